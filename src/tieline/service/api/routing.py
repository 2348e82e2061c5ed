"""Routes whose work is done in threads, and whose failures stand in the OpenAPI document."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, Final, TypeVar

from fastapi import FastAPI, Response

from tieline.files.problems import FileErrors
from tieline.model.errors import (
    AccessDenied,
    ConflictError,
    InputError,
    NotFoundError,
    NotLeader,
    StoreUnavailable,
)
from tieline.service import errors
from tieline.wire.schemas import Failure, Message

T = TypeVar("T")
Handler = TypeVar("Handler", bound=Callable[..., Message | Response])

#: Threads for work that the store answers, and for work that takes seconds: the output that a
#: site gives, and why a job waits. So slow sites do not keep others from being answered.
_QUICK: Final = 32
_SLOW: Final = 8

#: Codes of failures that any route may give.
_ALWAYS: Final = (
    *(errors.BAD_REQUEST, errors.UNAUTHENTICATED, errors.BAD_TOKEN, errors.EXPIRED_TOKEN),
    *(errors.REVOKED_TOKEN, errors.ORIGIN, errors.SLOW, errors.HOST, errors.RATE),
    *(errors.FAULT, StoreUnavailable.code, errors.ISSUER, errors.BUSY),
)
#: Further codes of routes that do not answer everybody, and of those that take a body.
_OF_RULES: Final = (AccessDenied.code,)
_OF_BODIES: Final = (errors.MEDIA_TYPE, errors.BODY_SIZE)

#: What a route may fail by, besides that.
JOB: Final = (NotFoundError.code, InputError.code)
BODY: Final = (FileErrors.code, InputError.code, errors.BODY_DEPTH)
CHANGE: Final = (NotLeader.code,)
CONFLICT: Final = (ConflictError.code,)
PARAMETERS: Final = (InputError.code,)


class Workers:
    """Threads in which blocking work is done, so that the server goes on meanwhile."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._quick = ThreadPoolExecutor(_QUICK, "api")
        self._slow = ThreadPoolExecutor(_SLOW, "api-slow")

    async def do(self, work: Callable[[], T], *, slow: bool = False) -> T:
        """Do the work in a thread, under the id of the request, and give its result."""
        pool = self._slow if slow else self._quick
        within = copy_context().run
        return await asyncio.get_running_loop().run_in_executor(pool, partial(within, work))


class Routes:
    """Adds routes whose handlers are plain functions, each run in a thread."""

    def __init__(self, app: FastAPI, workers: Workers, *, prefix: str = "") -> None:
        """Keep where routes go; `prefix` is put before every path."""
        self._app = app
        self._workers = workers
        self._prefix = prefix

    def add(
        self,
        method: str,
        path: str,
        *,
        fails: Iterable[str] = (),
        status: int = 200,
        waits: bool = True,
        slow: bool = False,
        **options: Any,  # noqa: ANN401 - as FastAPI takes them
    ) -> Callable[[Handler], Handler]:
        """Add a route whose handler gives a message.

        Parameters
        ----------
        fails
            Codes it may fail by, besides those of every route.
        waits
            Whether the handler may wait for anything, so that it needs a thread.
        slow
            Whether it may take seconds.
        """

        def register(handler: Handler) -> Handler:
            self._app.add_api_route(
                f"{self._prefix}{path}",
                self._endpoint(handler, status, waits=waits, slow=slow),
                methods=[method],
                status_code=status,
                responses=_failures(method, fails) | options.pop("responses", {}),
                **options,
            )
            return handler

        return register

    def _endpoint(
        self, handler: Handler, status: int, *, waits: bool, slow: bool
    ) -> Callable[..., Any]:
        # FastAPI would run a plain function in one thread and check its result in another one.
        def answered(**arguments: object) -> Response:
            found = handler(**arguments)
            if isinstance(found, Response):
                return found
            return Response(found.model_dump_json(), status, media_type="application/json")

        @wraps(handler)
        async def route(**arguments: object) -> Response:
            if not waits:
                return answered(**arguments)
            return await self._workers.do(partial(answered, **arguments), slow=slow)

        return route


def _failures(method: str, fails: Iterable[str]) -> Mapping[int | str, dict[str, Any]]:
    """Give the answers to describe, by status: the codes of each with their meanings."""
    codes = [*_ALWAYS, *_OF_RULES, *fails, *(_OF_BODIES if method != "GET" else ())]
    words: dict[int, list[str]] = {}
    for name in dict.fromkeys(codes):
        code = errors.CODES[name]
        words.setdefault(code.status, []).append(f"`{name}`: {code.meaning}")
    return {
        status: {"model": Failure, "description": " ".join(lines)}
        for status, lines in sorted(words.items())
    }
