"""What the API turns away before it is looked at, and how errors become answers."""

import asyncio
import http.client
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus

import httpx
import pytest
from fastapi import FastAPI, Request

import tieline.files.problems
import tieline.model.errors
import tieline.model.units
from tieline.model.errors import StoreUnavailable, TielineError
from tieline.service.access.rules import LOCAL, Identity
from tieline.service.api.guard import MAX_BODY_BYTES, Guard, is_loopback
from tieline.service.errors import CODES, add_handlers
from tieline.wire.schemas import Failure

JSON = {"content-type": "application/json"}


async def local(header: str | None) -> Identity:
    """Take everybody for the local operator."""
    del header
    return LOCAL


def app() -> FastAPI:
    """Give an application of few routes behind the guard, with the real handlers."""
    made = FastAPI()
    add_handlers(made)
    made.add_middleware(Guard, identify=local)

    @made.get("/")
    def ask() -> str:
        return "here"

    @made.post("/")
    async def take(request: Request) -> int:
        return len(await request.body())

    @made.get("/busy")
    def busy() -> None:
        raise StoreUnavailable("the store is locked")

    @made.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("a secret")

    return made


def ask(method: str = "GET", path: str = "/", **options: object) -> httpx.Response:
    """Give the answer to one request; it names a loopback host unless told otherwise."""

    async def exchange() -> httpx.Response:
        transport = httpx.ASGITransport(app(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **options)  # type: ignore[arg-type] # as given

    return asyncio.run(exchange())


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8421", "127.0.0.1", "127.0.0.1:80", "127.8.7.6", "[::1]:1"]
)
def test_names_of_loopback_are_served(host: str) -> None:
    """A request that names this machine as it sees itself is answered."""
    assert is_loopback(host)
    assert ask(headers={"host": host}).json() == "here"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8421",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "10.0.0.1",
        "2130706433",
        "[::]",
        "[::1",
        "a b",
        "",
    ],
)
def test_other_names_are_not_served(host: str) -> None:
    """A page whose name was rebound to this machine still sends its own name, and is refused."""
    assert not is_loopback(host)
    answer = ask(headers={"host": host})
    assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST
    assert "is not served here" in Failure.model_validate_json(answer.content).message


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_other_origins_are_refused(method: str, origin: str) -> None:
    """A browser tells on whose behalf it asks; other pages are not answered."""
    answer = ask(method, headers={"origin": origin})
    assert answer.status_code == HTTPStatus.FORBIDDEN


def test_pages_of_our_own_are_served() -> None:
    """A page that came from the service itself may use it."""
    headers = {"origin": "http://localhost:8421", "host": "localhost:8421"}
    assert ask(headers=headers).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_body_must_be_json(kind: str) -> None:
    """Bodies that any page may send without asking are refused."""
    answer = ask("POST", content=b"{}", headers={"content-type": kind})
    assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def test_a_charset_does_no_harm() -> None:
    """A content type may have parameters."""
    kind = {"content-type": "application/json; charset=utf-8"}
    assert ask("POST", content=b"{}", headers=kind).json() == 2


def pieces(size: int) -> Iterator[bytes]:
    """Give a body of that size, in pieces."""
    while size > 0:
        yield bytes(min(size, 2**16))
        size -= 2**16


async def streamed(size: int) -> AsyncIterator[bytes]:
    """Give the same without telling its length beforehand."""
    for piece in pieces(size):
        yield piece


@pytest.mark.parametrize("told", [True, False])
def test_a_body_has_a_largest_size(*, told: bool) -> None:
    """The largest body is taken, and one byte more is not, whether or not its length is told."""
    for size, status in ((MAX_BODY_BYTES, HTTPStatus.OK), (MAX_BODY_BYTES + 1, 413)):
        body = b"".join(pieces(size)) if told else streamed(size)
        answer = ask("POST", content=body, headers=JSON)
        assert answer.status_code == status
    assert "4 MiB" in Failure.model_validate_json(answer.content).message


def test_every_code_has_a_status() -> None:
    """Every error that can be raised has its place in the one table of statuses."""
    kinds = [TielineError]
    for kind in kinds:  # grows on the way
        kinds += kind.__subclasses__()
    ours = {kind.code for kind in kinds if kind.__module__.startswith("tieline.model")}
    ours.add(tieline.files.problems.FileErrors.code)
    assert ours <= CODES.keys()
    assert all(code.status in http.client.responses for code in CODES.values())


def test_a_condition_of_the_store_is_not_now() -> None:
    """A store that cannot be used gives 503 with the words of the error and when to come back."""
    answer = ask("GET", "/busy")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.headers["retry-after"] == "1"
    told = Failure.model_validate_json(answer.content)
    assert (told.code, told.message) == ("store-unavailable", "the store is locked")


def test_a_fault_of_ours_tells_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    """A fault gives 500 without a trace; the trace is in the log."""
    answer = ask("GET", "/broken")
    assert answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert Failure.model_validate_json(answer.content).code == "fault"
    assert "secret" not in answer.text
    assert "a secret" in caplog.text
