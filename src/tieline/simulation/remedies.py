"""The cheapest change that would start a waiting job sooner.

Changes are tried in order of what they cost, each by a forecast in the same futures:

1. regions    the user's rule allows one more region
2. memory     the job makes do with less
3. gang       the job runs on fewer accelerators, where its user said how few
4. stack      the job is built for one more software stack: work for the user
5. priority   paid by all others
6. data       a copy of a dataset in one more region: the operator's to make
7. quota      the operator's rule
8. trust      the operator's rule, for good reasons

A change is kept when it starts the job sooner than every cheaper one does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Final, Literal, NamedTuple

import numpy as np

from tieline.control.replicas import Replicas
from tieline.control.state import State
from tieline.control.terms import Terms
from tieline.model.accelerator import Accelerator
from tieline.model.job import JobKind
from tieline.model.network import Network, Tenant
from tieline.model.reasons import Reason
from tieline.model.units import BYTES_PER_GB
from tieline.rules.access import effective_sensitivity
from tieline.simulation.forecast import Forecast, forecast
from tieline.simulation.futures import Future

#: A change counts when it saves at least this much of the wait, and so many seconds.
_LEAST_SAVING: Final = 0.1
_LEAST_SAVING_S: Final = 1.0
#: Sizes of a gang, and of memory, that are tried.
_SIZES: Final = 3
#: What a priority is raised by.
_RAISES: Final = (1, 3)

By = Literal["user", "operator"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change, and when the job would start with it."""

    words: str
    """In the form "built for cann as well"."""
    by: By
    """Whose rule it changes."""
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class Remedies:
    """Changes that help, the cheapest first, each sooner than those before it."""

    changes: tuple[Change, ...]
    untried: int
    """Changes that there was no time to try."""


class Case(NamedTuple):
    """The job that waits, and what is asked about it."""

    state: State
    """As `State.fork` gives it; not changed."""
    row: int
    now: float
    accelerators: Mapping[str, Accelerator]
    """By id."""
    least_count: int
    """Fewest accelerators that its user says it can run on."""

    @property
    def kind(self) -> JobKind:
        """The kind of the job."""
        return self.state.kinds[self.state.snapshot.jobs["kind"][self.row]]

    @property
    def bars(self) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
        """Bits of `Reason` that keep the job off each pool for good, axis P."""
        bars = self.state.bars()[self.state.snapshot.jobs["kind"][self.row]]
        return np.asarray(bars, np.uint32)

    def barred_by(self, reason: Reason) -> list[int]:
        """Give the pools that the reason bars."""
        return np.flatnonzero(self.bars & int(reason)).tolist()


class _Candidate(NamedTuple):
    words: str
    by: By
    make: Callable[[State], bool]
    """Changes a fork; tells whether it may help at all."""


def cheapest_changes(
    case: Case,
    as_it_is: Forecast,
    futures: Sequence[Future],
    go_on: Callable[[], bool] = lambda: True,
) -> Remedies:
    """Give the changes that would start the job sooner than its forecast says.

    Parameters
    ----------
    futures
        Those of the forecast.
    go_on
        Asked now and then; nothing more is tried when it says no.
    """
    found: list[Change] = []
    soonest = as_it_is.start_s
    candidates = list(_candidates(case))
    for i, candidate in enumerate(candidates):
        if soonest <= case.now:
            break
        fork, _ = case.state.fork()
        if not candidate.make(fork):
            continue
        (told,) = forecast(fork, [case.row], case.now, futures, anew=True, go_on=go_on)
        if told.start_s > case.now and not go_on():
            return Remedies(tuple(found), len(candidates) - i)
        if _is_sooner(told.start_s, soonest, case.now):
            found.append(Change(candidate.words, candidate.by, told))
            soonest = told.start_s
    return Remedies(tuple(found), 0)


def _is_sooner(start_s: float, other_s: float, now: float) -> bool:
    if other_s == inf:
        return start_s < inf
    return other_s - start_s >= max(_LEAST_SAVING_S, _LEAST_SAVING * (other_s - now))


def _candidates(case: Case) -> Iterator[_Candidate]:
    """Give the changes in order of what they cost."""
    yield from _regions(case)
    yield from _memory(case)
    yield from _gangs(case)
    yield from _stacks(case)
    for more in _RAISES if (case.bars == 0).any() else ():
        kind = replace(case.kind, priority=case.kind.priority + more)
        yield _of_kind(case, f"with a priority higher by {more}", kind, opens=False)
    # What follows changes the terms of its kind; one that was stopped is of another.
    s = case.state.snapshot
    if s.kinds["cold"][s.jobs["kind"][case.row]] == s.jobs["kind"][case.row]:
        yield from _copies(case)
        yield from _quotas(case)
        yield from _trust(case)


def _of_kind(case: Case, words: str, kind: JobKind, *, opens: bool = True) -> _Candidate:
    """Give the change of the job into one of another kind; with `opens`, only to open pools."""
    open_now = case.bars == 0
    per_count = case.kind.count / kind.count

    def make(fork: State) -> bool:
        row = fork.intern(kind)
        s = fork.snapshot
        job = s.jobs[case.row]
        old = int(job["kind"])
        if s.kinds[old]["stopped"] == old:
            row = int(s.kinds[row]["stopped"])
        bars = fork.bars()[row]
        if opens and not ((bars == 0) & ~open_now).any():
            return False
        # Half the accelerators take twice as long: no faster than that.
        job["kind"], job["work"] = row, job["work"] * per_count
        if job["due"] >= 0:
            job["due"] = max(0.0, job["due"] - s.kinds[old]["clock"]) + s.kinds[row]["clock"]
        fork.lay_queue_anew()
        return True

    return _Candidate(words, "user", make)


def _regions(case: Case) -> Iterator[_Candidate]:
    where = case.state.network.site_region
    pools = case.state.network.pools
    if case.kind.residency:
        for region in dict.fromkeys(
            where[pools[p].site] for p in case.barred_by(Reason.RESIDENCY)
        ):
            if region not in case.kind.residency:
                kind = replace(case.kind, residency=case.kind.residency | {region})
                yield _of_kind(case, f"allowed in {region} as well", kind)


def _memory(case: Case) -> Iterator[_Candidate]:
    pools = case.state.network.pools
    sizes = {
        case.accelerators[pools[p].accelerator].memory_bytes for p in case.barred_by(Reason.MEMORY)
    }
    for size in sorted(sizes, reverse=True)[:_SIZES]:
        words = f"with at most {size / BYTES_PER_GB:g} GB per accelerator"
        yield _of_kind(case, words, replace(case.kind, memory_bytes=size))


def _gangs(case: Case) -> Iterator[_Candidate]:
    pools = case.state.snapshot.pools
    sizes = {case.least_count, *pools["capacity"].tolist(), *pools["free"].tolist()}
    allowed = sorted(n for n in sizes if case.least_count <= n < case.kind.count)
    largest_first = [*reversed(allowed[1 - _SIZES :]), *allowed[:1]]
    for size in dict.fromkeys(largest_first):
        words = f"as a gang of {size} instead of {case.kind.count}"
        yield _of_kind(case, words, replace(case.kind, count=size), opens=False)


def _stacks(case: Case) -> Iterator[_Candidate]:
    pools = case.state.network.pools
    found: dict[str, None] = {}
    for p in case.barred_by(Reason.STACK):
        own = case.accelerators[pools[p].accelerator].stack
        found.update(dict.fromkeys(sorted(pools[p].stacks or {own})))
    for stack in found:
        kind = replace(case.kind, stacks=case.kind.stacks | {stack})
        yield _of_kind(case, f"built for {stack} as well", kind)


def _copies(case: Case) -> Iterator[_Candidate]:
    """Give a copy of each dataset in each region whose pools wait for it or cannot get it."""
    network, s = case.state.network, case.state.snapshot
    k = int(s.jobs[case.row]["kind"])
    only_far = case.bars & ~np.uint32(Reason.LINK) == 0
    slow = only_far & (s.stage[k, s.pools["market"]] > 0)
    regions: dict[str, str] = {}
    for p in np.flatnonzero(slow).tolist():
        site = network.pools[p].site
        regions.setdefault(network.site_region[site], site)
    for dataset in network.datasets:
        for region, site in regions.items():
            if dataset.id not in case.kind.datasets:
                continue
            if dataset.residency and region not in dataset.residency:
                continue
            copied = replace(dataset, replicas=dataset.replicas | {site})
            datasets = tuple(copied if one is dataset else one for one in network.datasets)
            words = f"with a copy of {dataset.id} in {region}"
            yield _on_terms(case, words, replace(network, datasets=datasets))


def _quotas(case: Case) -> Iterator[_Candidate]:
    """Give quotas that leave room for the gang beside what its tenant uses now."""
    s, state = case.state.snapshot, case.state
    tenant = _tenant(state.network, case.kind.tenant)
    t = int(s.kinds[s.jobs[case.row]["kind"]]["tenant"])
    needed = s.used[t] + case.kind.count
    names = [*state.models, "total"]
    short = [
        (i, name)
        for i, name in enumerate(names)
        if name in tenant.quotas and needed[i] > s.limit[t, i]
    ]
    if not short:
        return
    larger = replace(
        tenant, quotas={**tenant.quotas, **{name: int(needed[i]) for i, name in short}}
    )
    tenants = tuple(larger if one is tenant else one for one in state.network.tenants)
    told = " and ".join(
        f"{int(needed[i])} {'accelerators in all' if name == 'total' else name}"
        for i, name in short
    )
    words = f"with a quota of {told} for {tenant.id}"
    changed = _on_terms(case, words, replace(state.network, tenants=tenants), opens=False)

    def make(fork: State) -> bool:
        limit = fork.snapshot.limit
        for i, _ in short:
            limit[t, i] = needed[i]
        return changed.make(fork)

    yield changed._replace(make=make)


def _trust(case: Case) -> Iterator[_Candidate]:
    """Give each group of alike pools the trust that it lacks."""
    state, s = case.state, case.state.snapshot
    network = state.network
    datasets = [one for one in network.datasets if one.id in case.kind.datasets]
    sensitivities = effective_sensitivity(case.kind.sensitivity, datasets)
    barred = np.array(case.barred_by(Reason.TRUST), np.int64)
    for market in np.unique(s.pools["market"][barred]).tolist():
        alike = {network.pools[p].id for p in np.flatnonzero(s.pools["market"] == market)}
        sites = tuple(
            replace(
                site,
                pools=tuple(
                    replace(pool, trust=pool.trust | sensitivities) if pool.id in alike else pool
                    for pool in site.pools
                ),
            )
            for site in network.sites
        )
        more = f" and {len(alike) - 1} like it" if len(alike) > 1 else ""
        trust = " and ".join(sorted(sensitivities))
        words = f"with {min(alike)}{more} trusted with {trust} work"
        yield _on_terms(case, words, replace(network, sites=sites))


def _on_terms(case: Case, words: str, network: Network, *, opens: bool = True) -> _Candidate:
    """Give the change of the network for jobs of this kind; with `opens`, only if it betters."""
    k = int(case.state.snapshot.jobs[case.row]["kind"])

    def make(fork: State) -> bool:
        s = fork.snapshot
        if network.datasets != fork.network.datasets:
            fork.replicas, fork.bound = Replicas(network), {}
        moves_data = fork.moves_data
        terms = Terms(network, case.accelerators, fork.rates, s, moves_data=moves_data)
        before, tenant = s.stage[k].copy(), _tenant(network, case.kind.tenant)
        row = terms.of(case.kind, tenant, fork.replicas, case.now)
        s.rate[k], s.barred[k], s.stage[k], s.charge[k], s.pace[k] = row[:-1]
        s.absent[k] = row.absent
        return not opens or bool((s.stage[k] < before).any())

    return _Candidate(words, "operator", make)


def _tenant(network: Network, name: str) -> Tenant:
    return next((one for one in network.tenants if one.id == name), Tenant(name))
