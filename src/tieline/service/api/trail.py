"""What is kept of every request: an id, one line of the log, and its place in the metrics."""

import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tieline.service.access.rules import CALLER
from tieline.service.logs import REQUEST
from tieline.service.metrics import Metrics

ID_HEADER: Final = "X-Request-Id"

_LOG: Final = logging.getLogger(__name__)
#: Others could forge lines of the log, or be of any length; they get an id of ours.
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: For a request that ended without an answer, by a fault of ours.
_NO_ANSWER: Final = 500
#: What callers make up is no label of a metric.
_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_RAW_HEADER: Final = ID_HEADER.lower().encode()


class Trail:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under an id, which the answer carries."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get(ID_HEADER, "")
        request = given if _ID.fullmatch(given) else uuid.uuid4().hex
        token = REQUEST.set(request)
        status, begin = 0, time.perf_counter()

        async def answering(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_RAW_HEADER, request.encode())]
            await send(message)

        try:
            await self.app(scope, receive, answering)
        finally:
            self._note(scope, status, time.perf_counter() - begin)
            REQUEST.reset(token)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.request(f"{method} {route}", status or _NO_ANSWER, seconds)
        if _LOG.isEnabledFor(logging.INFO):
            caller = scope.get(CALLER)
            client = scope["client"]
            _LOG.info(
                "event=request method=%s path=%s status=%d seconds=%.4f caller=%s from=%s",
                scope["method"],
                scope["raw_path"].decode("ascii", "replace"),  # as sent: no line breaks in it
                status,
                seconds,
                caller.name if caller else "-",
                client[0] if client else "-",
            )
