"""The HTTP API: each route reads its arguments, asks the control plane once, and answers."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from tieline import __version__
from tieline.files.document import Document
from tieline.files.job import JobFields, JobListFields, jobs_from
from tieline.files.problems import Fault, FileErrors, Problem
from tieline.model.job import JobSpec
from tieline.service import answers
from tieline.service.control_plane import ControlPlane
from tieline.service.errors import add_handlers
from tieline.service.guard import Guard
from tieline.wire.schemas import (
    KEY_HEADER,
    MAX_JOBS,
    MAX_KEY,
    MAX_PAGE,
    Events,
    Failure,
    Health,
    Job,
    JobDetail,
    Jobs,
    Pools,
    Prices,
    StatusName,
    Why,
)

_SUMMARY: Final = "Joins compute centres with different accelerators into one network."
_REFERENCE: Final = "#/components/schemas/{model}"
#: What a submission may be; read by hand, because its mistakes are told as those of a file.
_SUBMISSION: Final = (JobFields, JobListFields)
_COUNT: Final = Query(ge=1, le=MAX_JOBS, description="add each job this often")
_FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": Failure, "description": "The request is wrong or cannot be met."},
    "5XX": {"model": Failure, "description": "Not now: try again later."},
}


def create_app(control_plane: ControlPlane) -> FastAPI:
    """Give the application that serves a control plane.

    It answers only requests that name a host of loopback: it asks nobody who they are.
    """
    app = FastAPI(
        title="Tieline",
        summary=_SUMMARY,
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # their pages run scripts from elsewhere
        redoc_url=None,
        responses=_FAILURES,
    )
    add_handlers(app)
    app.add_middleware(Guard)
    app.include_router(_routes(control_plane), prefix="/v1")
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign] # the documented way
    return app


def _routes(plane: ControlPlane) -> APIRouter:
    """Give all routes; each is a plain function, run in a thread of its own."""
    router = APIRouter()
    _add_job_routes(router, plane)

    @router.get("/pools")
    def pools() -> Pools:
        """Give every pool as it is now."""
        return answers.pools(plane.pools())

    @router.get("/prices")
    def prices(
        *,
        history: Annotated[
            bool, Query(description="also those of the last ten minutes, one per second at most")
        ] = False,
    ) -> Prices:
        """Give the prices of the last cycle."""
        return answers.prices(plane.prices(), history=history)

    @router.get("/health")
    def health() -> Health:
        """Give whether the loop runs and the sites answer."""
        return answers.health(plane.health())

    return router


def _add_job_routes(router: APIRouter, plane: ControlPlane) -> None:
    @router.post("/jobs", status_code=201, openapi_extra={"requestBody": _request_body()})
    def submit(
        specs: Annotated[Sequence[JobSpec], Depends(_submission)],
        count: Annotated[int, _COUNT] = 1,
        key: Annotated[
            str | None,
            Header(
                alias=KEY_HEADER,
                min_length=1,
                max_length=MAX_KEY,
                description="a second submission with the same key adds nothing",
            ),
        ] = None,
    ) -> Jobs:
        """Add jobs: all or none. The body is what a job file holds, one job or several."""
        return answers.jobs(plane.submit(specs, key, count=count))

    @router.get("/jobs")
    def jobs(
        status: Annotated[list[StatusName], Query(description="any of these")] = [],  # noqa: B006 - never written to
        tenant: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
        before: Annotated[int | None, Query(description="`next` of the page before")] = None,
    ) -> Jobs:
        """Give jobs, newest first, in pages."""
        found = plane.jobs(status=status, tenant=tenant, limit=limit, before=before)
        return answers.jobs(found, limit=limit)

    @router.get("/jobs/{job_id}")
    def job(job_id: str) -> JobDetail:
        """Give one job."""
        return answers.job_detail(*plane.detail(job_id))

    @router.post("/jobs/{job_id}/cancel", status_code=202)
    def cancel(job_id: str) -> Job:
        """Ask for the end of a job; an ended one stays as it is."""
        return answers.job(plane.cancel(job_id))

    @router.get("/jobs/{job_id}/log", response_class=Response, responses={200: _LOG})
    def log(job_id: str, offset: Annotated[int, Query(ge=0, le=2**62)] = 0) -> Response:
        """Give the next piece of a job's output; empty when there is none yet."""
        return Response(
            plane.log(job_id, offset),
            media_type="text/plain; charset=utf-8",
            headers={"X-Content-Type-Options": "nosniff"},
        )

    @router.get("/jobs/{job_id}/events")
    def events(
        job_id: str,
        after: Annotated[int, Query(ge=0, description="`seq` of the last one known")] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    ) -> Events:
        """Give the history of a job, oldest first."""
        return answers.events(plane.events(job_id, after=after, limit=limit))

    @router.get("/jobs/{job_id}/why")
    def why(job_id: str) -> Why:
        """Give why a job is where it is: every pool's answer while it waits."""
        return answers.why(plane.why(job_id))


_LOG: Final = {
    "description": "Bytes of the output, from `offset` on.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


async def _submission(request: Request, count: Annotated[int, _COUNT] = 1) -> tuple[JobSpec, ...]:
    """Read the jobs of a submission."""
    document = _document(await request.body())
    specs = jobs_from(document)
    if len(specs) * count > MAX_JOBS:
        found = f"{len(specs) * count:,} jobs"
        document.demand([Fault((), found, f"allowed: {MAX_JOBS:,} in one request")])
    return specs


def _document(body: bytes) -> Document:
    try:
        data = json.loads(body, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        needed = "needed: what a job file holds, as JSON"
        raise FileErrors([Problem("body", None, "", f"not JSON: {error}", needed)]) from None
    return Document("body", data)


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double!r} is given twice")
    return fields


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")


def _request_body() -> dict[str, Any]:
    references = [{"$ref": _REFERENCE.format(model=model.__name__)} for model in _SUBMISSION]
    return {"required": True, "content": {"application/json": {"schema": {"anyOf": references}}}}


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Give the OpenAPI document, with the body that FastAPI does not see."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, summary=app.summary, version=app.version, routes=app.routes
        )
        _, fields = models_json_schema(
            [(model, "validation") for model in _SUBMISSION], ref_template=_REFERENCE
        )
        document["components"]["schemas"] |= fields["$defs"]
        text = json.dumps(document)
        document["components"]["schemas"] = {
            name: schema  # FastAPI lists the enums whose names stand in for them, too
            for name, schema in document["components"]["schemas"].items()
            if f'"{_REFERENCE.format(model=name)}"' in text
        }
        app.openapi_schema = document
    return app.openapi_schema
