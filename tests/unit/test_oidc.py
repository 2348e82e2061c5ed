"""JSON Web Tokens of an issuer: which count, and that every other one is refused with its code."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from front import Caller, Issuer, guarded, network
from tieline.files.access import Issuer as Rules
from tieline.service.access.oidc import Oidc
from tieline.service.access.rules import Identity, Role
from tieline.service.control_plane import ControlPlane
from tieline.service.errors import Refused


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    """Give an issuer with keys in a file."""
    return Issuer(tmp_path)


def rules(place: str | Path, **changed: Any) -> Rules:  # noqa: ANN401 - fields of the rules
    """Give the rules for the issuer."""
    return Rules("https://id.example.org", "tieline", place, **changed)


def oidc(issuer: Issuer, **changed: Any) -> Oidc:  # noqa: ANN401 - fields of the rules
    """Give who checks its tokens."""
    return Oidc(rules(issuer.file, **changed), time.monotonic)


def refusal(checked: Oidc, text: str) -> Refused:
    """Give why a token does not count."""
    with pytest.raises(Refused) as found:
        checked.identify(text)
    return found.value


@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_a_good_token_counts(issuer: Issuer, key: str) -> None:
    """A token that the issuer signed for this service gives name, role and tenant."""
    identity, until = oidc(issuer).identify(issuer.token(key=key))
    assert identity == Identity("ann", Role.MEMBER, "lab")
    assert 50 < until - time.time() <= 60


def test_an_audience_may_be_one_of_several(issuer: Issuer) -> None:
    """A token for several services counts when this one is among them."""
    oidc(issuer).identify(issuer.token(aud=["other", "tieline"]))


def test_roles_and_claims_go_by_the_file(issuer: Issuer) -> None:
    """Claims may have other names, lie inside others, and mean roles by the file's table."""
    checked = oidc(
        issuer,
        name_claim="preferred_username",
        role_claim="realm_access.roles",
        tenant_claim="org.id",
        roles={"hpc-admin": "operator", "hpc-user": "member"},
    )
    named: dict[str, object] = {"preferred_username": "bob", "tieline_role": "operator"}
    user = issuer.token(**named, realm_access={"roles": ["x", "hpc-user"]}, org={"id": "clinic"})
    assert checked.identify(user)[0] == Identity("bob", Role.MEMBER, "clinic")
    both = issuer.token(**named, realm_access={"roles": ["hpc-user", "hpc-admin"]})
    assert checked.identify(both)[0] == Identity("bob", Role.OPERATOR)
    refusal(checked, issuer.token(**named, realm_access={"roles": ["operator"]}))


NOW = int(time.time())


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"aud": "other"}, "bad-token", "for another audience"),
        ({"aud": None}, "bad-token", "aud"),
        ({"iss": "https://evil.example"}, "bad-token", "of another issuer"),
        ({"iss": None}, "bad-token", "iss"),
        ({"exp": NOW - 120}, "expired-token", "expired"),
        ({"exp": None}, "bad-token", "exp"),
        ({"exp": "soon"}, "bad-token", ""),
        ({"exp": float("inf")}, "bad-token", ""),
        ({"iat": None}, "bad-token", "iat"),
        ({"iat": NOW + 3600}, "bad-token", "its time has not come"),
        ({"nbf": NOW + 3600}, "bad-token", "its time has not come"),
        ({"tieline_role": None}, "bad-token", "gives it no role"),
        ({"tieline_role": "root"}, "bad-token", "gives it no role"),
        ({"tieline_role": ["root", 7, None]}, "bad-token", "gives it no role"),
        ({"tieline_role": {"member": 1}}, "bad-token", "gives it no role"),
        ({"tieline_tenant": None}, "bad-token", "a member needs a tenant"),
        ({"tieline_tenant": ""}, "bad-token", "a member needs a tenant"),
        ({"tieline_tenant": "../lab"}, "bad-token", "a member needs a tenant"),
        ({"tieline_tenant": ["lab", "clinic"]}, "bad-token", "a member needs a tenant"),
        ({"sub": None}, "bad-token", "sub"),
        ({"sub": "a\nb"}, "bad-token", "sub"),
        ({"sub": " "}, "bad-token", "sub"),
    ],
)
def test_wrong_claims_do_not_count(
    issuer: Issuer, changed: dict[str, object], code: str, words: str
) -> None:
    """A token for others, of others, too early, too late or of nobody is refused."""
    found = refusal(oidc(issuer), issuer.token(**changed))
    assert found.code == code
    assert words in str(found)


def test_clocks_may_differ_a_little(issuer: Issuer) -> None:
    """Within the leeway a token counts that has just expired or is just to come."""
    late = issuer.token(exp=int(time.time()) - 20)
    oidc(issuer).identify(late)
    oidc(issuer).identify(issuer.token(nbf=int(time.time()) + 20))
    assert refusal(oidc(issuer, leeway_s=0.0), late).code == "expired-token"


def part(value: object) -> str:
    """Give a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forged(issuer: Issuer) -> dict[str, str]:
    """Give tokens that somebody made who does not have the issuer's keys."""
    private, _ = issuer.keys["rsa"]
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    own = rsa.generate_private_key(65537, 2048)
    claims, good = issuer.claims(), issuer.token()
    head, body, signature = good.split(".")
    as_operator = part(claims | {"tieline_role": "operator"})
    return {
        "alg none": f"{part({'alg': 'none', 'kid': 'rsa'})}.{body}.",
        "alg None": f"{part({'alg': 'None', 'kid': 'rsa'})}.{body}.{signature}",
        "no alg": f"{part({'kid': 'rsa'})}.{body}.{signature}",
        "alg a list": f"{part({'alg': ['RS256'], 'kid': 'rsa'})}.{body}.{signature}",
        "HS256 by the public key": by_secret(claims, public),
        "another key of the same id": jwt.encode(claims, own, "RS256", headers={"kid": "rsa"}),
        "an unknown key": jwt.encode(claims, own, "RS256", headers={"kid": "mine"}),
        "no key": jwt.encode(claims, own, "RS256"),
        "kid a path": jwt.encode(claims, own, "RS256", headers={"kid": "../../dev/null"}),
        "a key in the header": jwt.encode(
            claims, own, "RS256", headers={"jku": "http://evil.example", "kid": "mine"}
        ),
        "another algorithm": f"{part({'alg': 'ES256', 'kid': 'rsa'})}.{body}.{signature}",
        "an algorithm that is not allowed": issuer_signed(issuer, "PS256"),
        "other claims": f"{head}.{as_operator}.{signature}",
        "no signature": f"{head}.{body}.",
        "nothing": "..",
        "no token": "nonsense",
        "binary": "\xff\xfe.\x00.\x01",
        "deep": f"{part(0).replace('=', '')}.{base64.urlsafe_b64encode(b'[' * 5000).decode()}.x",
        "deep head": f"{base64.urlsafe_b64encode(b'[' * 5000).decode()}.{body}.x",
        "claims that are none": jwt_of(issuer, b"[1]"),
    }


def by_secret(claims: object, secret: bytes) -> str:
    """Give a token that is signed with a secret; the library refuses to make this one."""
    signed = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part(claims)}"
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def issuer_signed(issuer: Issuer, algorithm: str) -> str:
    """Give a token that the issuer's key has signed by an algorithm of its own choice."""
    return jwt.encode(issuer.claims(), issuer.keys["rsa"][0], algorithm, headers={"kid": "rsa"})


def jwt_of(issuer: Issuer, payload: bytes) -> str:
    """Give a signed token whose claims are these bytes."""
    signer = jwt.PyJWS()
    return signer.encode(payload, issuer.keys["rsa"][0], "RS256", headers={"kid": "rsa"})


def test_forged_tokens_do_not_count(issuer: Issuer) -> None:
    """No token counts that was not signed whole by a published key, by an allowed algorithm."""
    checked = oidc(issuer)
    for name, text in forged(issuer).items():
        assert refusal(checked, text).code == "bad-token", name
    checked.identify(issuer.token())


def test_a_short_key_does_not_count(issuer: Issuer) -> None:
    """An issuer whose key can be broken is not believed."""
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    issuer.add("weak", weak, "RS256")
    head = {"kid": "weak", "alg": "RS256"}
    signed = f"{part(head)}.{part(issuer.claims())}"
    signature = jwt.get_algorithm_by_name("RS256").sign(signed.encode(), weak)
    text = f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert refusal(oidc(issuer), text).code == "bad-token"


def test_the_only_key_needs_no_id(tmp_path: Path) -> None:
    """A token without a key id counts where the issuer has just one key."""
    issuer = Issuer(tmp_path)
    assert refusal(oidc(issuer), issuer.token(headers={})).code == "bad-token"
    issuer.published = []
    issuer.add("only", ed25519.Ed25519PrivateKey.generate(), "EdDSA")
    checked = oidc(issuer, algorithms=("EdDSA",))
    checked.identify(issuer.token(key="only", headers={}))


class KeyServer(ThreadingHTTPServer):
    """Serves the keys of an issuer over HTTP, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keys)
        self.answer = b"{}"
        self.asked = 0

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"http://127.0.0.1:{self.server_port}/keys"


class _Keys(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Give the keys."""
        server = self.server
        assert isinstance(server, KeyServer)
        server.asked += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(server.answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    """Give a server of keys."""
    with KeyServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_new_keys_are_fetched_once_a_minute_at_most(issuer: Issuer, keys: KeyServer) -> None:
    """A new key is found when a minute has passed, however many unknown ones are shown."""
    now = 1000.0
    keys.answer = issuer.file.read_bytes()
    checked = Oidc(rules(keys.url), lambda: now)
    for _ in range(3):
        checked.identify(issuer.token())
    assert keys.asked == 1
    private = rsa.generate_private_key(65537, 2048)
    issuer.add("new", private, "RS256")
    keys.answer = issuer.file.read_bytes()
    for _ in range(3):
        assert refusal(checked, issuer.token(key="new")).code == "bad-token"
    assert keys.asked == 1
    now += 61
    checked.identify(issuer.token(key="new"))
    assert keys.asked == 2
    for _ in range(5):
        refusal(checked, issuer.token(headers={"kid": "forged"}))
    assert keys.asked == 2


def test_a_key_that_is_gone_does_not_count_for_long(issuer: Issuer, keys: KeyServer) -> None:
    """An hour after the issuer took a key back, tokens signed with it are refused."""
    now = 1000.0
    keys.answer = issuer.file.read_bytes()
    checked = Oidc(rules(keys.url), lambda: now)
    checked.identify(issuer.token())
    keys.answer = json.dumps({"keys": issuer.published[1:]}).encode()
    now += 3601
    assert refusal(checked, issuer.token()).code == "bad-token"
    checked.identify(issuer.token(key="ec"))


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"{}", b"[]", b'{"keys": 7}', b'{"keys": [7]}', b'{"keys": "x"}', b"\xff"],
)
def test_an_issuer_that_gives_no_keys_is_not_now(
    issuer: Issuer, keys: KeyServer, answer: bytes
) -> None:
    """While the issuer's keys cannot be had nobody is refused for good: 503, and later again."""
    now = 1000.0
    keys.answer = answer
    checked = Oidc(rules(keys.url), lambda: now)
    assert refusal(checked, issuer.token()).code in {"issuer-unavailable", "bad-token"}
    keys.answer = issuer.file.read_bytes()
    now += 61
    checked.identify(issuer.token())


def test_keys_that_are_there_outlive_the_issuer(issuer: Issuer, keys: KeyServer) -> None:
    """When the issuer cannot be reached any more, known keys still count."""
    now = 1000.0
    keys.answer = issuer.file.read_bytes()
    checked = Oidc(rules(keys.url), lambda: now)
    checked.identify(issuer.token())
    keys.answer = b"broken"
    now += 7200
    checked.identify(issuer.token())


def test_a_file_that_is_not_there_is_not_now(issuer: Issuer, tmp_path: Path) -> None:
    """Without its file of keys the service knows nobody, and says that it is not their fault."""
    checked = Oidc(rules(tmp_path / "nowhere.json"), time.monotonic)
    assert refusal(checked, issuer.token()).code == "issuer-unavailable"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give a control plane."""
    with network(tmp_path_factory.mktemp("oidc")) as plane:
        yield plane


def test_the_api_takes_both_kinds(plane: ControlPlane, issuer: Issuer) -> None:
    """With an issuer the API takes its tokens besides its own; forged ones are refused by code."""
    app = guarded(plane, oidc=rules(issuer.file))
    caller = Caller(app, issuer.token())
    assert caller.get("/v1/whoami").json() == {"name": "ann", "role": "member", "tenant": "lab"}
    assert caller.get("/v1/tokens").status_code == 403
    for text in (issuer.token(aud="other"), "nonsense", "tl_x"):
        answer = Caller(app, text).get("/v1/whoami")
        assert (answer.status_code, answer.json()["code"]) == (401, "bad-token")
    gone = Caller(app, issuer.token(exp=int(time.time()) - 90)).get("/v1/whoami")
    assert (gone.status_code, gone.json()["code"]) == (401, "expired-token")
