"""The routes of jobs: each asks the control plane on behalf of its caller."""

from typing import Annotated, Any, Final

from fastapi import Header, Query, Response

from tieline.files.job import JobFields, JobListFields
from tieline.model.errors import EngineUnavailable
from tieline.service import answers
from tieline.service.access.rules import Anyone, Identity, Role, Worker, demand_own, own
from tieline.service.api.bodies import Body, submission
from tieline.service.api.routing import BODY, CHANGE, CONFLICT, JOB, PARAMETERS, Routes
from tieline.service.control_plane import ControlPlane
from tieline.wire.schemas import (
    KEY_HEADER,
    MAX_JOBS,
    MAX_KEY,
    MAX_PAGE,
    Events,
    Job,
    JobDetail,
    Jobs,
    StatusName,
    Why,
)

#: What a submission may be; read by hand, because its mistakes are told as those of a file.
SUBMISSION: Final = (JobFields, JobListFields)
REFERENCE: Final = "#/components/schemas/{model}"

#: Positions in the store have no more bits.
_MOST: Final = 2**62
_LIMIT: Final = Query(ge=1, le=MAX_PAGE)
_TENANT: Final = Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
_BEFORE: Final = Query(ge=0, le=_MOST, description="`next` of the page before")
_AFTER: Final = Query(ge=0, le=_MOST, description="`seq` of the last one known")
_KEY: Final = Header(
    alias=KEY_HEADER,
    min_length=1,
    max_length=MAX_KEY,
    description="a second submission with the same key adds nothing",
)
_LOG: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Bytes of the output, from `offset` on.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


def add_job_routes(routes: Routes, plane: ControlPlane) -> None:
    """Add submission, cancellation and every question about jobs."""
    _add_changes(routes, plane)
    _add_questions(routes, plane)

    @routes.add(
        "GET",
        "/jobs/{job_id}/log",
        fails=(*JOB, EngineUnavailable.code),
        slow=True,
        response_class=Response,
        responses=_LOG,
    )
    def log(
        caller: Worker, job_id: str, offset: Annotated[int, Query(ge=0, le=_MOST)] = 0
    ) -> Response:
        """Give the next piece of a job's output; empty when there is none yet."""
        _demand(plane, caller, job_id)
        return Response(
            plane.log(job_id, offset),
            media_type="text/plain; charset=utf-8",
            headers={"X-Content-Type-Options": "nosniff"},
        )


def _add_changes(routes: Routes, plane: ControlPlane) -> None:
    @routes.add(
        "POST",
        "/jobs",
        status=201,
        fails=(*BODY, *CONFLICT),
        openapi_extra={"requestBody": _request_body()},
    )
    def submit(
        caller: Worker,
        body: Body,
        count: Annotated[int, Query(ge=1, le=MAX_JOBS, description="add each job this often")] = 1,
        key: Annotated[str | None, _KEY] = None,
    ) -> Jobs:
        """Add jobs: all or none. The body is what a job file holds, one job or several."""
        specs = submission(body, count)
        demand_own(caller, specs)
        return answers.jobs(plane.submit(specs, caller.key(key), count=count, by=caller.name))

    @routes.add("POST", "/jobs/{job_id}/cancel", status=202, fails=(*JOB, *CHANGE))
    def cancel(caller: Worker, job_id: str) -> Job:
        """Ask for the end of a job; an ended one stays as it is."""
        _demand(plane, caller, job_id)
        return answers.job(plane.cancel(job_id, by=caller.name))


def _add_questions(routes: Routes, plane: ControlPlane) -> None:
    @routes.add("GET", "/jobs", fails=PARAMETERS)
    def jobs(
        caller: Anyone,
        status: Annotated[list[StatusName], Query(description="any of these")] = [],  # noqa: B006 - never written to
        tenant: Annotated[str | None, _TENANT] = None,
        limit: Annotated[int, _LIMIT] = 100,
        before: Annotated[int | None, _BEFORE] = None,
    ) -> Jobs:
        """Give jobs, newest first, in pages."""
        if caller.role is Role.MEMBER:
            if tenant not in {None, caller.tenant}:
                return Jobs(jobs=[])
            tenant = caller.tenant
        found = plane.jobs(status=status, tenant=tenant, limit=limit, before=before)
        return answers.jobs(found, limit=limit)

    @routes.add("GET", "/jobs/{job_id}", fails=JOB)
    def job(caller: Anyone, job_id: str) -> JobDetail:
        """Give one job; auditors are not told what it runs and with which environment."""
        record, estimate, rates = plane.detail(job_id)
        own(caller, record, job_id)
        with_commands = caller.role is not Role.AUDITOR
        return answers.job_detail(record, estimate, rates, with_commands=with_commands)

    @routes.add("GET", "/jobs/{job_id}/events", fails=JOB)
    def events(
        caller: Anyone,
        job_id: str,
        after: Annotated[int, _AFTER] = 0,
        limit: Annotated[int, _LIMIT] = MAX_PAGE,
    ) -> Events:
        """Give the history of a job, oldest first."""
        _demand(plane, caller, job_id)
        return answers.events(plane.events(job_id, after=after, limit=limit), limit=limit)

    @routes.add("GET", "/jobs/{job_id}/why", fails=JOB, slow=True)
    def why(caller: Anyone, job_id: str) -> Why:
        """Give why a job is where it is: every pool's answer while it waits."""
        _demand(plane, caller, job_id)
        return answers.why(plane.why(job_id), lambda name: _exists(plane, caller, name))


def _demand(plane: ControlPlane, caller: Identity, job_id: str) -> None:
    """Demand that the job exists for the caller; the control plane does so for who sees all."""
    if caller.role is Role.MEMBER:
        own(caller, plane.job(job_id), job_id)


def _exists(plane: ControlPlane, caller: Identity, job_id: str) -> bool:
    return caller.role is not Role.MEMBER or caller.sees(plane.job(job_id).spec.tenant)


def _request_body() -> dict[str, Any]:
    references = [{"$ref": REFERENCE.format(model=model.__name__)} for model in SUBMISSION]
    return {"required": True, "content": {"application/json": {"schema": {"anyOf": references}}}}
