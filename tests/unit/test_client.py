"""The client: by what it is known, whom it trusts, what it repeats and what it makes of errors."""

import datetime as dt
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tieline.client import Client, NoControlPlane, RateLimited, Refusal, Unauthorised
from tieline.model.errors import (
    AccessDenied,
    EngineUnavailable,
    InputError,
    NotLeader,
    StoreUnavailable,
    TielineError,
)

SECRET = "tl_abc_0123456789"  # noqa: S105 - opens nothing
IDENTITY = {"name": "ann", "role": "member", "tenant": "lab"}


class Answers(BaseHTTPRequestHandler):
    """Gives the answers of its server one after the other, the last one for ever."""

    server: "Peer"

    def do_GET(self) -> None:
        """Give the next answer."""
        self.server.shown.append(self.headers.get("Authorization"))
        status, code, headers = self.server.answers[0]
        if len(self.server.answers) > 1:
            self.server.answers.pop(0)
        body = IDENTITY if status == 200 else {"code": code, "message": f"says {code}"}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Peer(ThreadingHTTPServer):
    """A peer that answers as it is told, in place of a control plane in trouble."""

    def __init__(self, *answers: tuple[int, str, dict[str, str]]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.answers = list(answers)
        self.shown: list[str | None] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def answering(*answers: tuple[int, str, dict[str, str]]) -> Iterator[Peer]:
    """Give a peer with these answers, while the block lasts."""
    with Peer(*answers) as peer:
        thread = threading.Thread(target=peer.serve_forever)
        thread.start()
        yield peer
        peer.shutdown()
        thread.join()


GOOD = (200, "", {})


@pytest.fixture(autouse=True)
def no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no token of whoever runs the tests count."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("TIELINE_TOKEN", raising=False)
    monkeypatch.delenv("TIELINE_CA", raising=False)


def token_file(folder: Path, text: str = f"{SECRET}\n", mode: int = 0o600) -> Path:
    """Write a token file and give it."""
    file = folder / "tieline" / "token"
    file.parent.mkdir()
    file.write_text(text)
    file.chmod(mode)
    return file


# -------------------------------------------------------------------------------- tokens


def test_a_token_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is the argument, else that of the environment, else that of the file."""
    with answering(GOOD) as peer:
        with Client(peer.url) as client:
            client.whoami()
        token_file(tmp_path, "of-the-file\n")
        with Client(peer.url) as client:
            client.whoami()
        monkeypatch.setenv("TIELINE_TOKEN", "of-the-environment")
        with Client(peer.url) as client:
            client.whoami()
        with Client(peer.url, token=SECRET) as client:
            client.whoami()
    assert peer.shown == [
        None,
        "Bearer of-the-file",
        "Bearer of-the-environment",
        f"Bearer {SECRET}",
    ]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """A token file that others may read is told with its mend, and the token not used."""
    file = token_file(tmp_path, mode=mode)
    with pytest.raises(InputError, match=f"not yours alone: chmod 600 {file}") as raised:
        Client("http://127.0.0.1:9")
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("text", ["two words", "a\r\nX-Evil: 1", "", "ümlaut"])
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    """Text that is no token is refused without being repeated."""
    token_file(tmp_path, text)
    with pytest.raises(InputError, match="holds no token; one is letters") as raised:
        Client("http://127.0.0.1:9")
    assert not text or text not in str(raised.value)


@pytest.mark.parametrize("url", ["http://10.1.2.3:8421", "http://centre.example"])
def test_a_token_does_not_travel_in_the_clear(url: str) -> None:
    """A token is not shown to another machine without encryption."""
    with pytest.raises(InputError, match="use https://, or reach that machine through an SSH"):
        Client(url, token=SECRET)
    Client(url).close()
    for private in ("https://centre.example", "http://localhost:1", "http://[::1]:1"):
        Client(private, token=SECRET).close()


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (401, "unauthenticated", Unauthorised, "set TIELINE_TOKEN, or write the token into"),
        (401, "expired-token", Unauthorised, "says expired-token"),
        (403, "access-denied", AccessDenied, "says access-denied"),
        (403, "origin", AccessDenied, "says origin"),
        (413, "body-size", Refusal, "says body-size"),
        (503, "engine-unavailable", EngineUnavailable, "says engine-unavailable"),
        (500, "fault", TielineError, "says fault"),
    ],
)
def test_errors_have_types(status: int, code: str, kind: type[Exception], words: str) -> None:
    """Each refusal is an error of its type, at once, with the words of the control plane."""
    with answering((status, code, {})) as peer, Client(peer.url, token=SECRET) as client:
        with pytest.raises(kind, match=words) as raised:
            client.whoami()
        assert type(raised.value) is kind
        assert len(peer.shown) == 1
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "rate-limited"), (503, "not-leader"), (503, "store-unavailable"), (503, "busy")],
)
def test_what_passes_is_waited_for(status: int, code: str) -> None:
    """A request that came at the wrong moment is made again, after the time that was told."""
    trouble = (status, code, {"Retry-After": "0.3"})
    with answering(trouble, trouble, GOOD) as peer, Client(peer.url) as client:
        began = time.monotonic()
        assert client.whoami().name == "ann"
        assert time.monotonic() - began >= 0.6
        assert len(peer.shown) == 3


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, "rate-limited", RateLimited),
        (503, "not-leader", NotLeader),
        (503, "store-unavailable", StoreUnavailable),
    ],
)
def test_waiting_has_an_end(status: int, code: str, kind: type[Exception]) -> None:
    """After its patience the client gives up, at once where it is told to wait longer."""
    with answering((status, code, {})) as peer:
        with Client(peer.url, patience_s=0.5) as client, pytest.raises(kind):
            client.whoami()
        assert 2 <= len(peer.shown) <= 4
    with answering((status, code, {"Retry-After": "3600"})) as peer, Client(peer.url) as client:
        with pytest.raises(kind):
            client.whoami()
        assert len(peer.shown) == 1


# ----------------------------------------------------------------------------------- TLS


def certificate(folder: Path) -> Path:
    """Make a key and a certificate that vouches for itself, for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "centre")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "centre.pem"
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(
        key.private_bytes(pem, form, serialization.NoEncryption()) + made.public_bytes(pem)
    )
    return file


def test_the_authority_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control plane is believed only if the authority that was named vouches for it."""
    file = certificate(tmp_path)
    with answering(GOOD) as peer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        peer.socket = context.wrap_socket(peer.socket, server_side=True)
        url = peer.url.replace("http://", "https://")
        with Client(url) as client, pytest.raises(NoControlPlane, match="cannot be trusted: self"):
            client.whoami()
        with Client(url, ca=str(file), token=SECRET) as client:
            assert client.whoami().name == "ann"
        monkeypatch.setenv("TIELINE_CA", str(file))
        with Client(url) as client:
            assert client.whoami().role == "member"


def test_an_authority_that_is_none_is_told(tmp_path: Path) -> None:
    """A file of an authority that is not there, or is none, is named with what is needed."""
    for file in (tmp_path / "none.pem", tmp_path / "empty.pem"):
        if file.name == "empty.pem":
            file.touch()
        with pytest.raises(InputError, match=f"authority {file}: .*; needed: a PEM file"):
            Client("https://centre.example", ca=str(file))
