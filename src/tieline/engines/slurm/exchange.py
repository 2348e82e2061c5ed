"""One HTTP request and its answer, within a time that no server can stretch.

Ordinary clients begin their time-out anew with every piece that arrives, so a server that sends
a byte now and then would hold them for ever.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

#: An answer of more bytes is no answer.
_MOST_BYTES: Final = 64 << 20
#: A connection that was idle for longer may have been closed by the server [s].
_IDLE_S: Final = 1.0
_SHORTEST_S: Final = 0.001


class NoAnswer(Exception):  # noqa: N818 - a condition, not a fault of ours
    """There was no whole answer in time; the message says why."""


@dataclass
class Until:
    """The moment until which a connection may be waited for, on the monotonic clock."""

    at: float = 0.0

    def left_s(self) -> float:
        """Give the time that is left [s]."""
        left_s = self.at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return max(left_s, _SHORTEST_S)


class _Plain(socket.socket):
    until: Until

    def recv_into(self, *args: object, **more: object) -> int:
        self.settimeout(self.until.left_s())
        return super().recv_into(*args, **more)  # type: ignore[arg-type]

    def sendall(self, *args: object) -> None:
        self.settimeout(self.until.left_s())
        super().sendall(*args)  # type: ignore[arg-type]


class _Secure(ssl.SSLSocket):
    until: Until

    def recv_into(self, *args: object, **more: object) -> int:
        self.settimeout(self.until.left_s())
        return super().recv_into(*args, **more)  # type: ignore[arg-type]

    def sendall(self, *args: object) -> None:
        self.settimeout(self.until.left_s())
        super().sendall(*args)  # type: ignore[arg-type]


@dataclass
class Server:
    """An HTTP server: `http://HOST:PORT`, `https://HOST:PORT`, or a Unix socket."""

    address: str
    _idle: "list[tuple[float, _Connection]]" = field(default_factory=list)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, until: Until
    ) -> tuple[int, bytes]:
        """Give status and body of the answer.

        Raises
        ------
        NoAnswer
            There is none in time, or it is too long.
        """
        connection = self._connection(until)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            response = connection.getresponse()
            content = response.read(_MOST_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NoAnswer(_reason(error)) from None
        if len(content) > _MOST_BYTES:
            connection.close()
            raise NoAnswer("its answer has no end")
        if not response.will_close:
            self._idle.append((time.monotonic(), connection))
        return response.status, content

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop()[1].close()

    def _connection(self, until: Until) -> "_Connection":
        while True:
            try:
                since, connection = self._idle.pop()
            except IndexError:
                return _Connection(self.address, until)
            if time.monotonic() - since < _IDLE_S:
                connection.until.at = until.at
                return connection
            connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: str, until: Until) -> None:
        self.address = address
        self.until = Until(until.at)
        parts = urlsplit(address)
        secure = parts.scheme == "https"
        self.secure = ssl.create_default_context() if secure else None
        super().__init__(parts.hostname or "localhost", parts.port or (443 if secure else 80))

    def connect(self) -> None:
        if self.address.startswith("/"):
            places: list[tuple[int, object]] = [(socket.AF_UNIX, self.address)]
        else:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            places = [(entry[0], entry[4]) for entry in found]
        for number, (family, place) in enumerate(places, start=1):
            try:
                self.sock = self._connected(family, place)
            except OSError:
                if number == len(places):
                    raise
            else:
                return

    def _connected(self, family: int, place: object) -> socket.socket:
        connected = _Plain(family, socket.SOCK_STREAM)
        connected.until = self.until
        try:
            connected.settimeout(self.until.left_s())
            connected.connect(place)  # type: ignore[arg-type]
            if family != socket.AF_UNIX:
                # Head and body go out one by one: else the second waits 40 ms for an answer.
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.secure is None:
                return connected
            self.secure.sslsocket_class = _Secure
            secured = self.secure.wrap_socket(connected, server_hostname=self.host)
        except BaseException:
            connected.close()
            raise
        secured.until = self.until  # type: ignore[attr-defined]
        return secured


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"its answer is odd ({type(error).__name__})"
