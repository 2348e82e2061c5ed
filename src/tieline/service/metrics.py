"""What a control plane tells Prometheus: a registry of its own, and wrappers that measure.

What happens is counted as it happens; what is, is asked for when somebody looks. Labels are ids of
the network, names of calls and routes: never what a caller makes up.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, Protocol, cast

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tieline.control.cycle import Actions, Observations
from tieline.control.ports import Engine, Store
from tieline.control.state import State
from tieline.model.errors import EngineUnavailable, StoreUnavailable, TielineError
from tieline.scheduling.policy import Decision
from tieline.service.live.roster import Cycle
from tieline.service.views import PoolView, Present

#: Upper ends of the classes of times [s].
_QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SLOW: Final = (*_QUICK, 30.0, 60.0)

#: What `/metrics` answers with.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts and measures for one control plane. Threads may share it."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._registry: Final = CollectorRegistry()
        of = partial(Histogram, registry=self._registry)
        self._request_s = of(
            "tieline_request_seconds", "Time to answer a request.", ["route"], buckets=_QUICK
        )
        self._requests = Counter(
            "tieline_requests", "Requests answered.", ["route", "status"], registry=self._registry
        )
        self._store_s = of(
            "tieline_store_seconds", "Time of a call of the store.", ["call"], buckets=_QUICK
        )
        self._engine_s = of(
            "tieline_engine_seconds",
            "Time of a call of an engine.",
            ["site", "call"],
            buckets=_SLOW,
        )
        self._failures = Counter(
            "tieline_failures",
            "Calls of the store and of engines that were not answered.",
            ["place", "call"],
            registry=self._registry,
        )
        self._cycle_s = of("tieline_cycle_seconds", "Time of a scheduling cycle.", buckets=_SLOW)
        self._decisions = Counter(
            "tieline_decisions", "Jobs placed and stopped.", ["kind"], registry=self._registry
        )
        for kind in ("placed", "preempted"):
            self._decisions.labels(kind)

    def text(self) -> bytes:
        """Give all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request; `route` is one of the application's, or none."""
        self._requests.labels(route, status).inc()
        self._request_s.labels(route).observe(seconds)

    def measured_cycle(self, cycle: Cycle) -> Cycle:
        """Give the same cycle, measured."""

        def measured(
            state: State, seen: Observations, now: float
        ) -> tuple[Actions, State, Decision]:
            with self._cycle_s.time():
                actions, after, decision = cycle(state, seen, now)
            self._decisions.labels("placed").inc(len(actions.rows))
            self._decisions.labels("preempted").inc(len(actions.stops))
            return actions, after, decision

        return measured

    def measured_store(self, store: Store) -> Store:
        """Give the same store, each of its calls measured."""
        return cast("Store", _Measured(store, self._note_store))

    def measured_engine(self, site: str, engine: Engine) -> Engine:
        """Give the same engine, each of its calls measured."""
        return cast("Engine", _Measured(engine, partial(self._note_engine, site)))

    def watch(self, present: Callable[[], Present]) -> None:
        """Have the present state told whenever somebody looks."""
        self._registry.register(_PresentState(present))

    def _note_store(self, call: str, seconds: float, *, failed: bool) -> None:
        self._store_s.labels(call).observe(seconds)
        if failed:
            self._failures.labels("store", call).inc()

    def _note_engine(self, site: str, call: str, seconds: float, *, failed: bool) -> None:
        self._engine_s.labels(site, call).observe(seconds)
        if failed:
            self._failures.labels(site, call).inc()


class _Note(Protocol):
    def __call__(self, call: str, seconds: float, *, failed: bool) -> None: ...


class _Measured:
    """Passes every call on and notes how long it took. A port has no other attributes to hide."""

    def __init__(self, inner: object, note: _Note) -> None:
        self._inner = inner
        self._note = note

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        found = getattr(self._inner, name)
        return partial(self._call, name, found) if callable(found) else found

    def _call(self, name: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:  # noqa: ANN401 - passed on
        begin, failed = time.perf_counter(), False
        try:
            return function(*given, **named)
        except (EngineUnavailable, StoreUnavailable):
            failed = True
            raise
        finally:
            self._note(name, time.perf_counter() - begin, failed=failed)


class _PresentState(Collector):
    """Gauges of what is now."""

    def __init__(self, present: Callable[[], Present]) -> None:
        self._present = present

    def describe(self) -> Iterable[Metric]:
        """Give nothing: names are known only with the values."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Give the present state; nothing while it cannot be had, as when the store is away."""
        try:
            now = self._present()
        except TielineError:
            return
        yield _gauge("tieline_leader", "1 while this control plane leads.", [((), now.leads)])
        yield _gauge("tieline_epoch", "Epoch of the present leader.", [((), now.epoch)])
        yield _gauge("tieline_audit_head", "Lines of the event log.", [((), now.audit_head)])
        jobs = [((status,), count) for status, count in now.jobs.items()]
        yield _gauge("tieline_jobs", "Open jobs, by status.", jobs, "status")
        gap = [] if now.gap is None else [((), now.gap)]
        yield _gauge("tieline_gap", "Certified gap of the last cycle.", gap)
        for name, words, value in _POOL:
            rows = [((one.pool.id,), value(one)) for one in now.pools]
            yield _gauge(f"tieline_pool_{name}", words, rows, "pool")
        states = [((site, state), 1) for site, state in now.sites.items()]
        yield _gauge("tieline_site_state", "1 for the state of a site.", states, "site", "state")


_POOL: Final[tuple[tuple[str, str, Callable[[PoolView], float]], ...]] = (
    ("accelerators", "Accelerators of a pool.", lambda one: one.pool.capacity),
    ("usable", "Those that work now and that no stranger holds.", lambda one: one.usable),
    ("free", "Free accelerators of a pool.", lambda one: one.free),
    ("waiting", "Waiting jobs that may run at a pool.", lambda one: one.waiting),
    ("price", "Finished jobs that one more accelerator-second brings.", lambda one: one.price),
)


def _gauge(
    name: str, words: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family
