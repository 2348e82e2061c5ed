"""Requests made up from the OpenAPI document: none of them may be a fault of the service."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from front import Caller, guarded, job, listening, network, token
from tieline.service.control_plane import ControlPlane

#: No job of ours is built for the pool, so that no made-up command is ever run.
BARRED = "stacks: [cann], trust: [open]"
#: Requests to each route, by each caller.
EXAMPLES = 10
#: Fields of a job that need nothing else to fit.
PLAIN = {"env", "memory_gb", "name", "priority"}
#: Headers that every request of the test has of its own.
OURS = {"Authorization", "Host"}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give a control plane that never runs a job."""
    with network(tmp_path_factory.mktemp("schema"), pool=BARRED) as plane:
        yield plane


@pytest.fixture(scope="module")
def app(plane: ControlPlane) -> FastAPI:
    """Give its API, which asks who its callers are."""
    return guarded(plane)


@pytest.fixture(scope="module")
def url(app: FastAPI) -> Iterator[str]:
    """Give where it is served."""
    with listening(app) as (host, port):
        yield f"http://{host}:{port}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("role", "tenant"), [("operator", None), ("member", "lab")])
def test_no_request_is_a_fault(
    plane: ControlPlane, app: FastAPI, url: str, role: str, tenant: str | None
) -> None:
    """Whatever fits the document, or just not, is answered as the document says, never by 5xx."""
    text = token(plane, role, tenant)
    mine = Caller(app, token(plane, "member", "lab")).submit()
    document = Caller(app, text).get("/v1/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    given_back: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        assert operation is not None
        strategies = operation.as_strategy() | operation.as_strategy(
            generation_mode=schemathesis.GenerationMode.NEGATIVE
        )

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
            derandomize=True,  # what it comes upon is demanded below
        )
        @given(case=strategies, real=st.booleans())
        def ask(case: Any, *, real: bool) -> None:  # noqa: ANN401 - of schemathesis
            fit(case)
            if real:
                aim(case, mine)
            for name in OURS & set(case.headers or ()):
                del case.headers[name]
            answer = case.call(base_url=url, headers={"Authorization": f"Bearer {text}"})
            given_back[answer.status_code] += 1
            case.validate_response(
                answer,
                checks=[
                    not_a_server_error,
                    status_code_conformance,
                    content_type_conformance,
                    response_schema_conformance,
                ],
            )

        ask()
    # It came as far as the routes themselves, and to what they refuse.
    assert {200, 201, 202, 404, 422} <= given_back.keys()
    assert {one.status.name for one in plane.jobs(limit=1000)} <= {"QUEUED", "CANCELLED"}


def aim(case: Any, job_id: str) -> None:  # noqa: ANN401 - of schemathesis
    """Have a request mean things that there are."""
    places = case.path_parameters or {}
    for name, value in (("job_id", job_id), ("site_id", "one")):
        if name in places:
            places[name] = value


def fit(case: Any) -> None:  # noqa: ANN401 - of schemathesis
    """Have the body of a request hold together, where it is of the right kind."""
    if isinstance(case.body, dict) and "workload" in case.body:
        case.body = {name: case.body[name] for name in PLAIN & case.body.keys()} | job()
    if isinstance(case.body, dict) and "role" in case.body:
        case.body |= {"name": "made up", "role": "member", "tenant": "lab"}
