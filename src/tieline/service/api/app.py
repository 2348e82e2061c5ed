"""The HTTP API: who may ask what, and the document that describes it."""

import json
from typing import Any, Final

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from tieline import __version__
from tieline.files.access import AccessRules
from tieline.service.access.callers import Callers
from tieline.service.access.rules import Allowed, Identity, Public, Role
from tieline.service.api.guard import Guard
from tieline.service.api.jobs import REFERENCE, SUBMISSION, add_job_routes
from tieline.service.api.network import (
    add_metrics,
    add_network_routes,
    add_site_routes,
    add_state_routes,
)
from tieline.service.api.routing import Routes, Workers
from tieline.service.api.tokens import add_token_routes
from tieline.service.api.trail import Trail
from tieline.service.control_plane import ControlPlane
from tieline.service.errors import add_handlers
from tieline.service.metrics import Metrics

_VERSION: Final = "/v1"
_SUMMARY: Final = "Joins compute centres with different accelerators into one network."


def create_app(
    plane: ControlPlane,
    *,
    access: AccessRules | None = None,
    metrics: Metrics | None = None,
) -> FastAPI:
    """Give the application that serves a control plane.

    Parameters
    ----------
    access
        Who may come in. None: it asks nobody who they are, and answers only requests that name a
        host of loopback.
    metrics
        What it counts in, and `/metrics` tells; its own when None.
    """
    app = FastAPI(
        title="Tieline",
        summary=_SUMMARY,
        version=__version__,
        openapi_url=None,  # ours has a rule
        docs_url=None,  # their pages run scripts from elsewhere
        redoc_url=None,
    )
    measures, workers = metrics or Metrics(), Workers()
    measures.watch(plane.present)
    callers = Callers(access, plane.tokens)
    add_handlers(app)
    _add_routes(app, plane, callers, workers)
    public = access is not None and access.public_metrics
    add_metrics(Routes(app, workers), measures, public=public)

    async def identify(header: str | None) -> Identity | None:
        known = callers.recall(header)
        if known or header is None:
            return known
        return await workers.do(lambda: callers.identify(header))

    app.add_middleware(
        Guard,
        identify=identify,
        hosts=access.hosts if access else frozenset(),
        limits=access.limits if access else None,
    )
    app.add_middleware(Trail, metrics=measures)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign] # the documented way
    return app


def rule_of(route: APIRoute) -> tuple[Role, ...] | None:
    """Give the roles that may use a route; none for everybody, known or not.

    Raises
    ------
    LookupError
        The route has no rule.
    """
    rules = [dependency.call for dependency in route.dependant.dependencies]
    for rule in rules:
        if isinstance(rule, Allowed):
            return rule.roles
    if any(isinstance(rule, Public) for rule in rules):
        return None
    raise LookupError(f"{route.path} has no rule: who may use it?")


def _add_routes(app: FastAPI, plane: ControlPlane, callers: Callers, workers: Workers) -> None:
    routes = Routes(app, workers, prefix=_VERSION)
    add_job_routes(routes, plane)
    add_network_routes(routes, plane)
    add_site_routes(routes, plane)
    add_token_routes(routes, plane.tokens, callers.forget)
    add_state_routes(routes, plane)

    @app.get(
        f"{_VERSION}/openapi.json",
        include_in_schema=False,
        dependencies=[Depends(Allowed(*Role))],
    )
    async def document() -> JSONResponse:
        """Give the document that describes the API."""
        return JSONResponse(app.openapi())


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Give the OpenAPI document, with the body that FastAPI does not see."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, summary=app.summary, version=app.version, routes=app.routes
        )
        _, fields = models_json_schema(
            [(model, "validation") for model in SUBMISSION], ref_template=REFERENCE
        )
        document["components"]["schemas"] |= fields["$defs"]
        text = json.dumps(document)
        document["components"]["schemas"] = {
            name: schema  # FastAPI lists the enums whose names stand in for them, too
            for name, schema in document["components"]["schemas"].items()
            if f'"{REFERENCE.format(model=name)}"' in text
        }
        app.openapi_schema = document
    return app.openapi_schema
