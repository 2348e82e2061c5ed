"""The routes of the network as a whole: pools, prices, sites, health, the event log, metrics."""

from typing import Annotated, Any, Final

from fastapi import Depends, Query, Response

from tieline.model.errors import StoreUnavailable
from tieline.service import answers
from tieline.service.access.rules import PUBLIC, Allowed, Anyone, Operator, Reviewer, Role
from tieline.service.api.bodies import Body, message
from tieline.service.api.routing import BODY, CHANGE, JOB, PARAMETERS, Routes
from tieline.service.control_plane import ControlPlane
from tieline.service.metrics import CONTENT_TYPE, Metrics
from tieline.wire.schemas import (
    MAX_PAGE,
    DrainRequest,
    Events,
    Health,
    Identity,
    Pools,
    Prices,
    Site,
    Sites,
    State,
)

_MOST: Final = 2**62
_LIMIT: Final = Query(ge=1, le=MAX_PAGE, description="at most so many; all when absent")
_AFTER_ID: Final = Query(max_length=200, description="`next` of the page before")
_LINES: Final = Query(ge=1, le=MAX_PAGE)
_AFTER: Final = Query(ge=0, le=_MOST, description="`next` of the page before")
_HISTORY: Final = Query(description="also those of the last ten minutes, one per second at most")
_DRAIN: Final = {
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": DrainRequest.model_json_schema()}},
    }
}
_METRICS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The text format of Prometheus.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


def add_network_routes(routes: Routes, plane: ControlPlane) -> None:
    """Add what is told of the network."""

    @routes.add("GET", "/pools", fails=PARAMETERS)
    def pools(
        _: Anyone,
        limit: Annotated[int | None, _LIMIT] = None,
        after: Annotated[str | None, _AFTER_ID] = None,
    ) -> Pools:
        """Give every pool as it is now, in the order of the network file."""
        return answers.pools(plane.pools(), limit=limit, after=after)

    @routes.add("GET", "/prices", fails=PARAMETERS)
    def prices(_: Anyone, *, history: Annotated[bool, _HISTORY] = False) -> Prices:
        """Give the prices of the last cycle."""
        return answers.prices(plane.prices(), history=history)

    @routes.add("GET", "/health")
    def health(_: Anyone) -> Health:
        """Give whether the loop runs and the sites answer."""
        return answers.health(plane.health())

    @routes.add("GET", "/whoami")
    def whoami(caller: Anyone) -> Identity:
        """Give whom the control plane takes the caller for."""
        return Identity(name=caller.name, role=caller.role, tenant=caller.tenant)

    @routes.add("GET", "/events", fails=PARAMETERS)
    def log_events(
        _: Reviewer,
        after: Annotated[int, _AFTER] = 0,
        limit: Annotated[int, _LINES] = MAX_PAGE,
    ) -> Events:
        """Give the event log of everything, oldest first, in pages."""
        return answers.events(plane.events(after=after, limit=limit), limit=limit)


def add_site_routes(routes: Routes, plane: ControlPlane) -> None:
    """Add the sites, and what an operator does to them."""

    @routes.add("GET", "/sites", fails=PARAMETERS)
    def sites(
        _: Anyone,
        limit: Annotated[int | None, _LIMIT] = None,
        after: Annotated[str | None, _AFTER_ID] = None,
    ) -> Sites:
        """Give every site as it is now, in the order of the network file."""
        return answers.sites(plane.sites(), limit=limit, after=after)

    @routes.add(
        "POST", "/sites/{site_id}/drain", fails=(*JOB, *BODY, *CHANGE), openapi_extra=_DRAIN
    )
    def drain(caller: Operator, site_id: str, body: Body) -> Site:
        """Close a site to new work; what runs there goes on. It stays as drained first."""
        plane.drain(site_id, by=caller.name, reason=message(DrainRequest, body).reason)
        return answers.site(plane.site(site_id))

    @routes.add("POST", "/sites/{site_id}/resume", fails=(*JOB, *CHANGE))
    def resume(caller: Operator, site_id: str) -> Site:
        """Open a drained site to new work again, or one in quarantine: that within moments."""
        plane.resume(site_id, by=caller.name)
        return answers.site(plane.site(site_id))


def add_state_routes(routes: Routes, plane: ControlPlane) -> None:
    """Add what whoever runs the service asks it, without being known."""

    @routes.add("GET", "/live", waits=False, dependencies=[PUBLIC])
    def live() -> State:
        """Give that the process answers, whatever may hold up its threads."""
        return State(ok=True)

    @routes.add("GET", "/ready", dependencies=[PUBLIC])
    def ready() -> State:
        """Give that requests can be met: the store answers, and there is a leader."""
        if not plane.ready():
            raise StoreUnavailable("not ready")  # no details for those who are not known
        return State(ok=True)


def add_metrics(routes: Routes, metrics: Metrics, *, public: bool) -> None:
    """Add what Prometheus reads; for everybody, where the access file says so."""
    rule = PUBLIC if public else Depends(Allowed(Role.OPERATOR, Role.AUDITOR))

    @routes.add(
        "GET", "/metrics", dependencies=[rule], response_class=Response, responses=_METRICS
    )
    def metrics_text() -> Response:
        """Give the metrics."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)
