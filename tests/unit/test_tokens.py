"""Tokens: how they are made, when they count, and that their secrets are nowhere."""

import logging
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from front import Caller, guarded, listening, network, token
from tieline.cli.token import token as command
from tieline.model.errors import ConflictError, InputError, NotFoundError, TielineError
from tieline.service.access.rules import Identity, Role
from tieline.service.access.tokens import Tokens, Wanted
from tieline.service.control_plane import ControlPlane
from tieline.service.errors import Refused
from tieline.store import open_store
from tieline.wire.schemas import DEFAULT_LIFE_S, LONGEST_LIFE_S

DAY_S = 86_400.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def now(self) -> float:
        """Give the time."""
        return self.at


@contextmanager
def kept(clock: Clock) -> Iterator[Tokens]:
    """Give tokens in a store of memory."""
    with closing(open_store("sqlite://")) as store:
        yield Tokens(store, clock)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give a control plane."""
    with network(tmp_path_factory.mktemp("tokens")) as plane:
        yield plane


def code(tokens: Tokens, text: str) -> str:
    """Give why a token does not count."""
    with pytest.raises(Refused) as refusal:
        tokens.identify(text)
    return refusal.value.code


def test_a_token_is_known_again() -> None:
    """The text of a token gives the identity it was made for, until its time is over."""
    clock = Clock()
    with kept(clock) as tokens:
        made, text = tokens.create(Wanted("ann", Role.MEMBER, "lab", DAY_S), by="root")
        assert re.fullmatch(r"tl_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", text)
        assert tokens.identify(text) == (Identity("ann", Role.MEMBER, "lab"), clock.at + DAY_S)
        clock.at += DAY_S - 1
        tokens.identify(text)
        clock.at += 1
        assert code(tokens, text) == "expired-token"
        assert made.id in text


def test_the_store_has_no_secret(tmp_path: Path) -> None:
    """What is stored of a token is not enough to come in with it."""
    file = tmp_path / "tieline.db"
    with closing(open_store(f"sqlite:///{file}")) as store:
        made, text = Tokens(store, Clock()).create(Wanted("ann", Role.OPERATOR), by="root")
        secret = text.removeprefix(f"tl_{made.id}_")
        told = [line for line in store.events() if line.event == "token-created"]
        assert len(told) == 1
        assert secret not in repr(told) + repr(store.tokens())
    for one in tmp_path.iterdir():
        assert secret.encode() not in one.read_bytes()


def test_a_revoked_token_does_not_count() -> None:
    """From its revocation on a token is refused; to revoke it again changes nothing."""
    clock = Clock()
    with kept(clock) as tokens:
        made, text = tokens.create(Wanted("ann", Role.AUDITOR), by="root")
        gone = tokens.revoke(made.id, by="root")
        assert gone.revoked_at == clock.at
        assert code(tokens, text) == "revoked-token"
        clock.at += 5
        assert tokens.revoke(made.id, by="root").revoked_at == gone.revoked_at
        with pytest.raises(NotFoundError):
            tokens.revoke("000000000000", by="root")


def test_a_forged_token_does_not_count() -> None:
    """A token with one wrong character, of another form or of another id is not known."""
    with kept(Clock()) as tokens:
        _, text = tokens.create(Wanted("ann", Role.OPERATOR), by="root")
        other = "A" if text[-1] != "A" else "B"
        for forged in (
            text[:-1] + other,
            text[:-1],
            f"{text}A",
            f"{text}\n",
            text.upper(),
            text.replace("tl_", "tl-"),
            "tl_" + "0" * 12 + text[15:],
            text[:15] + "_" + "A" * 43,
            "tl_",
            "",
            "\x00",
            "tl_' OR 1=1 --_" + "A" * 43,
        ):
            assert code(tokens, forged) == "bad-token", forged


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted("", Role.OPERATOR), "name"),
        (Wanted("a\nb", Role.OPERATOR), "name"),
        (Wanted("x" * 101, Role.OPERATOR), "name"),
        (Wanted("ann", Role.MEMBER), "tenant: a member has one"),
        (Wanted("ann", Role.OPERATOR, "lab"), "tenant: a member has one"),
        (Wanted("ann", Role.MEMBER, "../lab"), "tenant '../lab'"),
        (Wanted("ann", Role.OPERATOR, None, 0.0), "life 0s"),
        (Wanted("ann", Role.OPERATOR, None, LONGEST_LIFE_S + 1), "at most"),
    ],
)
def test_what_does_not_fit_together_is_refused(wanted: Wanted, words: str) -> None:
    """No token is made that has no name, the wrong tenant, or more than two years."""
    with kept(Clock()) as tokens:
        with pytest.raises(InputError, match=words):
            tokens.create(wanted, by="root")
        assert tokens.all() == []


def test_revocation_over_the_api_holds_at_once(plane: ControlPlane) -> None:
    """The request after a revocation is refused, although the token was in use just before."""
    app = guarded(plane)
    operator = Caller(app, token(plane, "operator"))
    made = operator.post("/v1/tokens", {"name": "ci", "role": "member", "tenant": "lab"}).json()
    program = Caller(app, made["token"])
    assert program.get("/v1/whoami").json()["name"] == "ci"
    assert operator.ask("DELETE", f"/v1/tokens/{made['id']}").json()["revoked_at"]
    refused = program.get("/v1/whoami")
    assert (refused.status_code, refused.json()["code"]) == (401, "revoked-token")
    assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "tl_x", "Bearer a b", "Bearer " + "x" * 9000]
)
def test_a_header_of_another_form_does_not_count(plane: ControlPlane, header: str) -> None:
    """Whatever else stands in the header Authorization, the caller is not known: 401."""
    answer = Caller(guarded(plane)).get("/v1/whoami", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "bad-token")


def test_tokens_can_be_switched_off(plane: ControlPlane) -> None:
    """Where the access file takes no tokens, a good one does not count."""
    answer = Caller(guarded(plane, tokens=False), token(plane, "operator")).get("/v1/whoami")
    assert answer.status_code == 401


def test_no_secret_is_logged(plane: ControlPlane, caplog: pytest.LogCaptureFixture) -> None:
    """No line of the log has a token in it, neither of good requests nor of refused ones."""
    text = token(plane, "operator")
    caplog.set_level(logging.DEBUG)
    app = guarded(plane)
    made = Caller(app, text).post("/v1/tokens", {"name": "x", "role": "auditor"}).json()["token"]
    Caller(app, text[:-1] + "x").get("/v1/whoami")
    Caller(app).get("/v1/whoami", headers={"Authorization": f"Basic {text}"})
    secrets = [one.split("_", 2)[2][:-1] for one in (text, made)]
    lines = "\n".join(record.getMessage() for record in caplog.records)
    assert "event=request" in lines
    assert not any(secret in lines for secret in secrets)


# ------------------------------------------------------------------------ the command


def run(*words: str) -> tuple[int, str, str]:
    """Give exit code, output and complaint of `tieline token`."""
    try:
        result = CliRunner().invoke(command, words, catch_exceptions=False)
    except TielineError as error:
        return 2, "", str(error)
    return result.exit_code, result.stdout, result.stderr


def test_the_first_token_is_made_on_the_store(tmp_path: Path) -> None:
    """Whoever may open the store makes a token on it, prints it alone, lists and revokes it."""
    url = f"sqlite:///{tmp_path}/tieline.db"
    open_store(url).close()
    done, out, said = run("create", "--name", "ann", "--role", "operator", "--store", url)
    assert done == 0
    text = out.strip()
    assert text.startswith("tl_")
    assert "shown only now" in said
    token_id = text.split("_")[1]
    assert run("list", "--store", url)[1].split()[6:10] == [token_id, "ann", "operator", "-"]
    with closing(open_store(url)) as store:
        (kept_now,) = store.tokens()
        assert kept_now.expires_at - kept_now.created_at == DEFAULT_LIFE_S
        assert [line.data.get("by") for line in store.events()] == ["local"]
    assert "is revoked" in run("revoke", token_id, "--store", url)[1]
    assert "revoked" in run("list", "--store", url)[1]


def test_a_token_is_made_over_the_api(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator makes tokens over the API; nobody else may."""
    with listening(guarded(plane)) as (host, port):
        url = f"http://{host}:{port}"
        monkeypatch.setenv("TIELINE_TOKEN", token(plane, "operator"))
        words = ("--name", "bob", "--role", "member", "--tenant", "lab", "--expires", "2h")
        _, out, _ = run("create", *words, "--url", url)
        assert plane.tokens.identify(out.strip())[0] == Identity("bob", Role.MEMBER, "lab")
        assert "bob" in run("list", "--url", url)[1]
        monkeypatch.setenv("TIELINE_TOKEN", out.strip())
        code_now, _, complaint = run("create", *words, "--url", url)
        assert code_now
        assert "this is for operators" in complaint


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("create", "--name", "a", "--role", "operator", "--expires", "3y"), "--expires 3y"),
        (("create", "--name", "a", "--role", "operator", "--expires", "0s"), "--expires 0s"),
        (
            ("create", "--name", "a", "--role", "member", "--store", "sqlite://"),
            "a member has one",
        ),
        (("list", "--store", "sqlite:///nowhere/x.db"), "there is no such file"),
        (("list", "--store", "sqlite://", "--url", "http://x"), "give one of them"),
    ],
)
def test_a_wrong_command_is_told(words: tuple[str, ...], complaint: str) -> None:
    """What cannot be made is told in one line, and nothing is made."""
    code_now, out, said = run(*words)
    assert (code_now, out) == (2, "")
    assert complaint in said
    assert "\n" not in said


def test_an_id_is_used_once() -> None:
    """Two tokens of one id cannot be: the second is refused by the store."""
    with closing(open_store("sqlite://")) as store:
        made, _ = Tokens(store, Clock()).create(Wanted("ann", Role.OPERATOR), by="root")
        with pytest.raises(ConflictError):
            store.add_token(made, by="root")
