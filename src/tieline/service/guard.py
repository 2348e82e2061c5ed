"""Turns away what must not reach the routes: other hosts' pages, and bodies without end.

The service listens on loopback and asks nobody who they are. So that no web page in a browser
on the same machine can speak to it:

- the `Host` must be a name of loopback: a page whose own name was rebound to 127.0.0.1 sends
  its own name;
- an `Origin`, which browsers add to what a page sends, must be the service itself;
- a body must say that it is JSON, which no page may send to another origin unasked.
"""

import ipaddress
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tieline.service.errors import Refused, answer, failure_of

#: Larger bodies are refused [bytes]: some ten thousand jobs.
MAX_BODY_BYTES: Final = 4 * 2**20


class Guard:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a refusal."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            check(scope["method"], Headers(scope=scope))
            await self.app(scope, _limited(receive), send)
        except Refused as refused:
            await answer(*failure_of(refused))(scope, receive, send)


def check(method: str, headers: Headers) -> None:
    """Refuse a request by its headers.

    Raises
    ------
    Refused
        With the status and the reason.
    """
    host = headers.get("host", "")
    if not is_loopback(host):
        raise Refused(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"host {host!r} is not served here; allowed: localhost, 127.0.0.1, [::1]",
        )
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        raise Refused(HTTPStatus.FORBIDDEN, f"pages of {origin} may not use this service")
    declared = headers.get("content-length", "0")
    has_body = declared != "0" or "transfer-encoding" in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if method not in {"GET", "HEAD"} and has_body and kind != "application/json":
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"content type {kind or 'unknown'!r}; allowed: application/json",
        )
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()


def is_loopback(host: str) -> bool:
    """Tell whether a `Host` header names this machine as it sees itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _limited(receive: Receive) -> Receive:
    """Give the receiver that refuses once the body has become too large."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise _too_large()
        return message

    return limited


def _too_large() -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {MAX_BODY_BYTES // 2**20} MiB: send the jobs in several parts, "
        f"or the same job once with `count`",
    )
