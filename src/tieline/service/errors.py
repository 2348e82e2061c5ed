"""From errors to answers: one table from the code of an error to the status of HTTP.

The body of every refusal is a `Failure`: code, message and, where known, the fields.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tieline.files.problems import FileErrors, field_name, shown
from tieline.model.errors import (
    ConflictError,
    EngineError,
    EngineUnavailable,
    InputError,
    NotFoundError,
    OrderRefused,
    StoreUnavailable,
    TielineError,
)
from tieline.model.units import QuantityError
from tieline.wire.schemas import Failure, Problem

_LOG: Final = logging.getLogger(__name__)

#: The status of every code an error can carry; a code that is not here is a fault of ours.
STATUSES: Final[Mapping[str, HTTPStatus]] = {
    ConflictError.code: HTTPStatus.CONFLICT,
    EngineError.code: HTTPStatus.BAD_GATEWAY,
    EngineUnavailable.code: HTTPStatus.SERVICE_UNAVAILABLE,
    FileErrors.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    InputError.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFoundError.code: HTTPStatus.NOT_FOUND,
    OrderRefused.code: HTTPStatus.CONFLICT,
    QuantityError.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    StoreUnavailable.code: HTTPStatus.SERVICE_UNAVAILABLE,
    TielineError.code: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class Refused(InputError):  # noqa: N818 - the request is, not the service
    """A request that is turned away before it is looked into, with the status that says why."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status: Final = status


def answer(status: int, failure: Failure) -> JSONResponse:
    """Give the answer that carries a failure."""
    headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return JSONResponse(failure.model_dump(mode="json"), status, headers)


def add_handlers(app: FastAPI) -> None:
    """Let the application answer every error as a `Failure`."""
    app.add_exception_handler(TielineError, _ours)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _routing)
    app.add_exception_handler(Exception, _fault)


def failure_of(error: TielineError) -> tuple[HTTPStatus, Failure]:
    """Give status and body for an error that was raised on purpose."""
    if isinstance(error, Refused):
        return error.status, Failure(code=error.code, message=str(error))
    status = STATUSES.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    problems = error.problems if isinstance(error, FileErrors) else ()
    told = [Problem(field=one.field, found=one.found, allowed=one.allowed) for one in problems]
    return status, Failure(code=error.code, message=str(error), problems=told)


def _ours(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, TielineError)  # noqa: S101 - registered for this type alone
    return answer(*failure_of(error))


def _parameters(request: Request, error: Exception) -> JSONResponse:
    """Answer a path, query or header that FastAPI refused."""
    del request
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    problems = [
        Problem(field=field_name(one["loc"][1:]), found=shown(one["input"]), allowed=one["msg"])
        for one in error.errors()
    ]
    lines = (f"{one.field}: {one.found}; {one.allowed}" for one in problems)
    failure = Failure(code=InputError.code, message="\n".join(lines), problems=problems)
    return answer(HTTPStatus.UNPROCESSABLE_ENTITY, failure)


def _routing(request: Request, error: Exception) -> JSONResponse:
    """Answer a path or a method that there is not."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    where = f"{request.method} {request.url.path}"
    message = f"{where}: {error.detail}; GET /v1/openapi.json describes the routes"
    return answer(error.status_code, Failure(code="route", message=message))


def _fault(request: Request, error: Exception) -> JSONResponse:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    message = "a fault of the service, which its log explains"
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, Failure(code="fault", message=message))
