"""The HTTP server: uvicorn, made to bear slow and numerous clients, with or without TLS.

uvicorn waits for ever for the rest of a request. Here the headers have ten seconds to arrive and
the body thirty, however steadily they trickle, and connections beyond a number are turned away.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from tieline.model.errors import InputError
from tieline.service.errors import BAD_REQUEST, BUSY, SLOW, bare_answer

#: Longer heads of requests are refused [bytes].
MAX_HEADER_BYTES: Final = 16 * 2**10
#: Requests under way when it stops get so long to be answered [s].
_FAREWELL_S: Final = 3
#: Between two requests of one connection at most [s].
_IDLE_S: Final = 30


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for a client, and for how many at a time."""

    headers_s: float = 10.0
    body_s: float = 30.0
    connections: int = 512


@dataclass(frozen=True, slots=True)
class Tls:
    """What the service proves itself with."""

    certificate: Path
    """PEM, its chain after it."""
    key: Path

    def check(self) -> None:
        """Demand that both can be used together.

        Raises
        ------
        InputError
            They cannot.
        """
        for option, file in (("--tls-cert", self.certificate), ("--tls-key", self.key)):
            try:
                file.read_bytes()
            except OSError as error:
                raise InputError(f"{option} {file}: {error.strerror}") from None
        try:
            # With a password it would ask for one at the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                self.certificate, self.key, password=b""
            )
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or "it needs a password"
            raise InputError(
                f"--tls-cert {self.certificate}, --tls-key {self.key}: no certificate in PEM with "
                f"its key, without password ({reason})"
            ) from None


def server(
    app: ASGIApp,
    *,
    patience: Patience | None = None,
    tls: Tls | None = None,
    proxies: tuple[str, ...] = (),
) -> uvicorn.Server:
    """Give the server of an application.

    Parameters
    ----------
    proxies
        Addresses and networks whose `X-Forwarded-For` is believed.
    """
    config = uvicorn.Config(
        app,
        http=partial(_PatientProtocol, patience or Patience()),  # type: ignore[arg-type] # makes one
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=_FAREWELL_S,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    return uvicorn.Server(config)


class _PatientProtocol(H11Protocol):
    """One connection, whose patience has an end."""

    def __init__(self, patience: Patience, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **options)
        self._patience = patience
        self._awaited = ""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._patience.connections:
            self._end(BUSY, "too many connections; try again later")
        else:
            self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # From one request to the next the keep-alive time of uvicorn counts.
        if self.conn.their_state is not h11.SEND_BODY:
            self._stop_waiting()

    def send_400_response(self, msg: str) -> None:
        self._end(BAD_REQUEST, msg)

    def _await(self) -> None:
        """Have a timer run for what must come next; one that runs for it goes on."""
        awaited = _AWAITED.get(self.conn.their_state, "")
        if awaited == self._awaited:
            return
        self._stop_waiting()
        if awaited and not self.transport.is_closing():
            self._awaited = awaited
            seconds = getattr(self._patience, f"{awaited}_s")
            self._timer = self.loop.call_later(seconds, self._give_up, awaited, seconds)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._awaited = None, ""

    def _give_up(self, awaited: str, seconds: float) -> None:
        self._end(SLOW, f"the {awaited} did not arrive within {seconds:g} s")

    def _end(self, code: str, message: str) -> None:
        """Answer with a failure, unless an answer is under way, and close."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            # It may be in a state, such as the answer to HEAD, that takes no such answer.
            with suppress(h11.LocalProtocolError):
                self.transport.write(self._told(code, message))
        self.transport.close()

    def _told(self, code: str, message: str) -> bytes:
        """Give the bytes of an answer with a failure."""
        status, body = bare_answer(code, message)
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", f"{len(body)}"),
            ("Connection", "close"),
        ]
        reason = HTTPStatus(status).phrase
        events = (
            h11.Response(status_code=status, headers=headers, reason=reason),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        return b"".join(self.conn.send(event) or b"" for event in events)


#: What is waited for in each state of the other side.
_AWAITED: Final[Mapping[type, str]] = {h11.IDLE: "headers", h11.SEND_BODY: "body"}
