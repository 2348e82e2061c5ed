"""Metrics: what is counted, what is told of the present state, and that labels are bounded."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from front import Caller, network
from tieline.control.ports import Engine, Store
from tieline.model.errors import EngineUnavailable, NotFoundError, StoreUnavailable
from tieline.service.api.app import create_app
from tieline.service.control_plane import ControlPlane
from tieline.service.metrics import Metrics
from tieline.service.views import Present

Eventually = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give a control plane."""
    with network(tmp_path_factory.mktemp("metrics")) as plane:
        yield plane


def values(text: bytes) -> dict[str, float]:
    """Give all samples by name and labels, as a reader of Prometheus understands them."""
    return {
        sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): float(
            sample.value
        )
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_the_state_is_told(plane: ControlPlane, eventually: Eventually) -> None:
    """Leader, jobs by status, pools, sites and the head of the log stand in the metrics."""
    caller = Caller(create_app(plane))
    running = caller.submit(command="sleep 60", accelerators={"count": 3})
    eventually(lambda: caller.get(f"/v1/jobs/{running}").json()["status"] == "running")
    waiting = [caller.submit(accelerators={"count": 4}) for _ in range(2)]
    eventually(lambda: plane.pools()[0].waiting == 2)
    answer = caller.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    told = values(answer.content)
    pool = "one/nvidia-h200-sxm"
    assert told["tieline_leader"] == 1
    assert told["tieline_epoch"] >= 1
    assert told["tieline_audit_head"] == len(plane.events(limit=10_000))
    assert (told["tieline_jobs|running"], told["tieline_jobs|queued"]) == (1, 2)
    assert told[f"tieline_pool_accelerators|{pool}"] == 4
    assert told[f"tieline_pool_free|{pool}"] == 1
    assert told[f"tieline_pool_waiting|{pool}"] == 2
    assert told[f"tieline_pool_price|{pool}"] > 0
    assert told["tieline_site_state|one|open"] == 1
    assert 0 <= told["tieline_gap"] <= 1
    for one in (running, *waiting):
        plane.cancel(one)


def test_requests_are_counted_by_route(plane: ControlPlane) -> None:
    """Requests count by route and status; what callers make up is one label, none."""
    caller = Caller(create_app(plane))
    for path in ("/v1/jobs", "/v1/jobs/job-1x", "/v1/jobs/job-2x", "/made/up", "/made/up/too"):
        caller.get(path)
    told = values(caller.get("/metrics").content)
    counted = {name: n for name, n in told.items() if name.startswith("tieline_requests_total")}
    assert counted == {
        "tieline_requests_total|GET /v1/jobs|200": 1,
        "tieline_requests_total|GET /v1/jobs/{job_id}|404": 2,
        "tieline_requests_total|GET none|404": 2,
    }


def test_methods_that_callers_make_up_are_one_label(plane: ControlPlane) -> None:
    """A method that HTTP does not have makes no label of its own."""
    caller = Caller(create_app(plane))
    for method in ("BREW", "PROPFIND", "X" * 50):
        caller.ask(method, "/v1/jobs")
    told = values(caller.get("/metrics").content)
    assert not any(re.search("BREW|PROPFIND|XX", name) for name in told)


class _Engine:
    lease_s = 7.0

    def observe(self) -> NoReturn:
        """Fail."""
        raise EngineUnavailable("away")

    def log(self, token: str, offset: int = 0, limit: int = 1) -> bytes:
        """Give the arguments."""
        return f"{token} {offset} {limit}".encode()


class _Store:
    def job(self, job_id: str) -> NoReturn:
        """Fail, as stores do."""
        raise StoreUnavailable("away") if job_id == "a" else NotFoundError("no")


def test_calls_are_measured_and_passed_on() -> None:
    """A measured engine or store answers, fails and has properties as the one inside."""
    metrics = Metrics()
    engine = metrics.measured_engine("one", cast("Engine", _Engine()))
    assert engine.lease_s == 7.0
    assert engine.log("t", limit=3) == b"t 0 3"
    with pytest.raises(EngineUnavailable):
        engine.observe()
    store = metrics.measured_store(cast("Store", _Store()))
    for job_id, kind in (("a", StoreUnavailable), ("b", NotFoundError)):
        with pytest.raises(kind):
            store.job(job_id)
    told = values(metrics.text())
    assert told["tieline_engine_seconds_count|log|one"] == 1
    assert told["tieline_failures_total|observe|one"] == 1
    assert told["tieline_store_seconds_count|job"] == 2
    assert told["tieline_failures_total|job|store"] == 1


def test_a_store_that_is_away_leaves_the_rest() -> None:
    """While the present state cannot be had, what was counted is told all the same."""

    def away() -> Present:
        raise StoreUnavailable("away")

    metrics = Metrics()
    metrics.watch(away)
    metrics.request("GET /x", 200, 0.1)
    told = values(metrics.text())
    assert told["tieline_requests_total|GET /x|200"] == 1
    assert "tieline_leader" not in told


def test_two_applications_count_apart(plane: ControlPlane) -> None:
    """Metrics belong to one application: what another one does is not in them."""
    one, other = Caller(create_app(plane)), Caller(create_app(plane))
    one.get("/v1/jobs")
    assert "GET /v1/jobs" not in other.get("/metrics").text


def test_cycles_and_decisions_are_counted() -> None:
    """Each cycle counts with its time and with the jobs it placed."""
    metrics = Metrics()

    class Actions:
        rows = (1, 2)
        stops = (3,)

    def cycle(*given: Any) -> Any:  # noqa: ANN401 - only what is counted
        return (Actions, *given[:2])

    given: Any = ("state", "seen", 1.0)
    assert metrics.measured_cycle(cycle)(*given) == (Actions, "state", "seen")
    told = values(metrics.text())
    assert told["tieline_decisions_total|placed"] == 2
    assert told["tieline_decisions_total|preempted"] == 1
    assert told["tieline_cycle_seconds_count"] == 1
