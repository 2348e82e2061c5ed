"""Turns away what must not reach the routes, and says whom the rest comes from.

- The `Host` must be a name that the service goes by: a page whose own name was rebound to this
  machine sends its own name.
- An `Origin`, which browsers add to what a page sends, must be the service itself.
- A body must say that it is JSON, which no page may send to another origin unasked.
- Nobody asks more often than allowed: an address, whoever it is, and an identity, wherever it is.
- What a request shows to be known by must count. Whether it must be known is the route's rule.
"""

import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tieline.files.access import Limits
from tieline.model.errors import TielineError
from tieline.service.access.rules import CALLER, Identity
from tieline.service.api.limits import Buckets
from tieline.service.errors import BODY_SIZE, HOST, MEDIA_TYPE, ORIGIN, RATE, Refused, answer_to

#: Larger bodies are refused [bytes]: some ten thousand jobs.
MAX_BODY_BYTES: Final = 4 * 2**20

Identify = Callable[[str | None], Awaitable[Identity | None]]
"""From the header `Authorization` to the caller; raises `Refused` for one that does not count."""


class Guard:
    """ASGI middleware around the application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        identify: Identify,
        hosts: frozenset[str] = frozenset(),
        limits: Limits | None = None,
    ) -> None:
        """Let in who names one of the hosts or loopback; without limits, as often as asked."""
        self.app = app
        self._identify = identify
        self._hosts = hosts
        burst_s = limits.burst_s if limits else 0.0
        self._by_address = Buckets(limits.per_address, burst_s) if limits else None
        self._by_name = Buckets(limits.per_identity, burst_s) if limits else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a refusal."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            headers = Headers(scope=scope)
            check(scope["method"], headers, self._hosts)
            if self._by_address and scope["client"]:
                _count(self._by_address, scope["client"][0])
            caller = scope[CALLER] = await self._identify(headers.get("authorization"))
            if self._by_name and caller:
                _count(self._by_name, f"{caller.tenant or ''}/{caller.name}")
            await self.app(scope, _limited(receive), send)
        except TielineError as error:
            await answer_to(error)(scope, receive, send)


def check(method: str, headers: Headers, hosts: frozenset[str] = frozenset()) -> None:
    """Refuse a request by its headers.

    Raises
    ------
    Refused
        With the code and the reason.
    """
    host = headers.get("host", "")
    if not is_loopback(host) and _name(host) not in hosts:
        names = ", ".join(["localhost", "127.0.0.1", "[::1]", *sorted(hosts)])
        raise Refused(HOST, f"host {host!r} is not served here; allowed: {names}")
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        raise Refused(ORIGIN, f"pages of {origin} may not use this service")
    declared = headers.get("content-length", "0")
    has_body = declared != "0" or "transfer-encoding" in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if method not in {"GET", "HEAD"} and has_body and kind != "application/json":
        wrong = f"content type {kind or 'unknown'!r}; allowed: application/json"
        raise Refused(MEDIA_TYPE, wrong)
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()


def is_loopback(host: str) -> bool:
    """Tell whether a `Host` header names this machine as it sees itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """Give the host without its port, in lower case; empty when it is none."""
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return ""
    return "" if parts.netloc != host or "@" in host else (parts.hostname or "")


def _count(buckets: Buckets, name: str) -> None:
    wait_s = buckets.take(name, time.monotonic())
    if wait_s:
        raise Refused(RATE, f"too many requests; ask again in {wait_s:.2g} s", wait_s=wait_s)


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
        BODY_SIZE,
        f"the body is larger than {MAX_BODY_BYTES // 2**20} MiB: send the jobs in several parts, "
        f"or the same job once with `count`",
    )
