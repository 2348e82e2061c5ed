"""From errors to answers: one table from the code of an error to the status of HTTP.

The body of every refusal is a `Failure`: code, message and, where known, the fields.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tieline.files.problems import FileErrors, field_name, shown
from tieline.model.errors import (
    AccessDenied,
    ConflictError,
    EngineError,
    EngineUnavailable,
    InputError,
    NotFoundError,
    NotLeader,
    OrderRefused,
    StoreUnavailable,
    TielineError,
)
from tieline.model.units import QuantityError
from tieline.wire.schemas import Failure, Problem

_LOG: Final = logging.getLogger(__name__)


class Code(NamedTuple):
    """What a code of a failure goes with."""

    status: HTTPStatus
    meaning: str


#: Codes that no type of error carries.
BAD_REQUEST: Final = "bad-request"
BAD_TOKEN: Final = "bad-token"  # noqa: S105 - a code
BODY_DEPTH: Final = "body-depth"
BODY_SIZE: Final = "body-size"
BUSY: Final = "busy"
EXPIRED_TOKEN: Final = "expired-token"  # noqa: S105 - a code
FAULT: Final = "fault"
HOST: Final = "host"
ISSUER: Final = "issuer-unavailable"
MEDIA_TYPE: Final = "media-type"
ORIGIN: Final = "origin"
RATE: Final = "rate-limited"
REVOKED_TOKEN: Final = "revoked-token"  # noqa: S105 - a code
ROUTE: Final = "route"
SLOW: Final = "slow-client"
UNAUTHENTICATED: Final = "unauthenticated"

#: Every code of a failure. A code that is not here is a fault of ours.
CODES: Final[Mapping[str, Code]] = {
    BAD_REQUEST: Code(HTTPStatus.BAD_REQUEST, "It is no request of HTTP/1.1."),
    UNAUTHENTICATED: Code(HTTPStatus.UNAUTHORIZED, "It needs a token, and has none."),
    BAD_TOKEN: Code(HTTPStatus.UNAUTHORIZED, "The token does not count; the message says why."),
    EXPIRED_TOKEN: Code(HTTPStatus.UNAUTHORIZED, "The time of the token is over."),
    REVOKED_TOKEN: Code(HTTPStatus.UNAUTHORIZED, "The token was revoked."),
    AccessDenied.code: Code(HTTPStatus.FORBIDDEN, "The caller may not do that."),
    ORIGIN: Code(HTTPStatus.FORBIDDEN, "A page of another origin may not use the service."),
    NotFoundError.code: Code(HTTPStatus.NOT_FOUND, "There is no such thing, or not for you."),
    ROUTE: Code(HTTPStatus.NOT_FOUND, "There is no such route (404) or method (405)."),
    SLOW: Code(HTTPStatus.REQUEST_TIMEOUT, "The request took too long to arrive."),
    ConflictError.code: Code(HTTPStatus.CONFLICT, "The present state does not allow it."),
    OrderRefused.code: Code(HTTPStatus.CONFLICT, "A site will never run it."),
    BODY_SIZE: Code(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large."),
    BODY_DEPTH: Code(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is nested too deeply."),
    MEDIA_TYPE: Code(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A body must be application/json."),
    HOST: Code(HTTPStatus.MISDIRECTED_REQUEST, "The service goes by another name."),
    FileErrors.code: Code(HTTPStatus.UNPROCESSABLE_ENTITY, "The body has mistakes."),
    InputError.code: Code(HTTPStatus.UNPROCESSABLE_ENTITY, "A parameter is wrong."),
    QuantityError.code: Code(HTTPStatus.UNPROCESSABLE_ENTITY, "A quantity is wrong."),
    RATE: Code(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests: `Retry-After` says when."),
    FAULT: Code(HTTPStatus.INTERNAL_SERVER_ERROR, "A fault of the service."),
    TielineError.code: Code(HTTPStatus.INTERNAL_SERVER_ERROR, "A fault of the service."),
    EngineError.code: Code(HTTPStatus.BAD_GATEWAY, "A site did not do what it was asked."),
    EngineUnavailable.code: Code(HTTPStatus.SERVICE_UNAVAILABLE, "A site does not answer now."),
    StoreUnavailable.code: Code(HTTPStatus.SERVICE_UNAVAILABLE, "The store cannot be used now."),
    NotLeader.code: Code(HTTPStatus.SERVICE_UNAVAILABLE, "No control plane leads now."),
    ISSUER: Code(HTTPStatus.SERVICE_UNAVAILABLE, "The keys of the issuer cannot be had now."),
    BUSY: Code(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections."),
}


class Refused(InputError):  # noqa: N818 - the request is, not the service
    """A request that is turned away before it is looked into."""

    def __init__(self, code: str, message: str, *, wait_s: float = 0.0) -> None:
        """Keep the code, one of `CODES`, and after how long it may be made again."""
        super().__init__(message)
        self.code: Final = code  # type: ignore[misc] # each has its own
        self.wait_s: Final = wait_s


def answer(status: int, failure: Failure, *, wait_s: float = 0.0) -> JSONResponse:
    """Give the answer that carries a failure."""
    headers = {}
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        headers["Retry-After"] = f"{max(1, round(wait_s))}"
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(failure.model_dump(mode="json"), status, headers)


def bare_answer(code: str, message: str) -> tuple[int, bytes]:
    """Give status and body of a failure that is told below the application."""
    failure = {"code": code, "message": message, "problems": []}
    return CODES[code].status, json.dumps(failure).encode()


def add_handlers(app: FastAPI) -> None:
    """Let the application answer every error as a `Failure`."""
    app.add_exception_handler(TielineError, _ours)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _routing)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _fault)


def answer_to(error: TielineError) -> JSONResponse:
    """Give the answer to an error that was raised on purpose."""
    code = CODES.get(error.code, CODES[FAULT])
    problems = error.problems if isinstance(error, FileErrors) else ()
    told = [Problem(field=one.field, found=one.found, allowed=one.allowed) for one in problems]
    wait_s = error.wait_s if isinstance(error, Refused) else 0.0
    failure = Failure(code=error.code, message=str(error), problems=told)
    return answer(code.status, failure, wait_s=wait_s)


def _ours(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, TielineError)  # noqa: S101 - registered for this type alone
    return answer_to(error)


def _parameters(request: Request, error: Exception) -> JSONResponse:
    """Answer a path, query or header that FastAPI refused."""
    del request
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    problems = problems_of(error.errors(), skip=1)
    lines = (f"{one.field}: {one.found}; {one.allowed}" for one in problems)
    failure = Failure(code=InputError.code, message="\n".join(lines), problems=problems)
    return answer(HTTPStatus.UNPROCESSABLE_ENTITY, failure)


def problems_of(errors: Iterable[ErrorDetails], *, skip: int = 0) -> list[Problem]:
    """Give what pydantic found, without the first `skip` parts of each place."""
    return [
        Problem(field=field_name(one["loc"][skip:]), found=shown(one["input"]), allowed=one["msg"])
        for one in errors
    ]


def _routing(request: Request, error: Exception) -> JSONResponse:
    """Answer a path or a method that there is not."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    where = f"{request.method} {request.url.path}"
    message = f"{where}: {error.detail}; GET /v1/openapi.json describes the routes"
    told = answer(error.status_code, Failure(code=ROUTE, message=message))
    told.headers.update(error.headers or {})  # which methods there are
    return told


def _gone(request: Request, error: Exception) -> JSONResponse:
    """Answer nobody: the caller went away while its body was read."""
    del request, error
    return answer(*_GONE)


_GONE: Final = (
    HTTPStatus.BAD_REQUEST,
    Failure(code=BAD_REQUEST, message="the connection ended before the body did"),
)


def _fault(request: Request, error: Exception) -> JSONResponse:
    _LOG.error(
        "event=request-failed method=%s path=%s", request.method, request.url.path, exc_info=error
    )
    message = "a fault of the service, which its log explains"
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, Failure(code=FAULT, message=message))
