"""Data before the start: what to move where, and who stands aside meanwhile.

Used where somebody moves data (`State.moves_data`), for kinds whose data is not everywhere:

1. decide as ever, with the time and cost of moving counted. Who would start where its data is
   not, has it sent there and is *bound* to that region until all of it has arrived
2. bound jobs stand aside, regions without their data are closed to the others, and it is
   decided again: these placements start. So other work runs while data is on its way
3. decide as if nothing ran: who is next where its data is not, has it sent ahead over links
   that nobody uses

A bound job may still start where its data is, if it would end sooner there. Everybody competes
anew when the data has arrived.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.control.holding import let_go, take_hold
from tieline.control.replicas import AHEAD, AT_ONCE, Move
from tieline.control.state import State
from tieline.control.waiting import step_aside, step_back
from tieline.scheduling.decide import decide

_Rows = NDArray[np.int64]


class Aside(NamedTuple):
    """What `make_way` changed for one decision, and what it sent."""

    moves: list[Move]
    rows: _Rows
    """Jobs that left the queue."""
    kinds: _Rows
    rate: NDArray[np.float64]
    """Of these kinds, axis M."""
    charge: NDArray[np.float64]


def make_way(state: State, now: float) -> Aside | None:
    """Send data to where waiting jobs would start, and leave in the queue who may start now.

    `step_in` undoes all but the sending. None where all waiting jobs have their data wherever
    they may run.
    """
    _release_bound(state)
    if not _renew(state, now):
        return None
    wanted = _planned(state, now)
    pinned = _in_use(state)
    for row, market in wanted:
        _pin(state, pinned, row, market)
    moves: list[Move] = []
    bound = set(state.bound)
    for row, market in wanted:
        if row not in bound or _ends(state, row)[market] < _bound_end(state, row):
            moves += _send(state, row, market, pinned, now) or ()
    if moves:
        _renew(state, now)
    aside = np.array([row for row in state.bound if _stays_bound(state, row)], np.int64)
    kinds = np.array([k for cold in _competing(state) for k in state.family(cold)], np.int64)
    s = state.snapshot
    found = Aside(moves, aside, kinds, s.rate[kinds], s.charge[kinds])
    absent = s.absent[kinds]
    s.rate[kinds] = np.where(absent, 0.0, found.rate)
    s.charge[kinds] = np.where(absent, np.inf, found.charge)
    step_aside(s, aside, state.by_work)
    return found


def step_in(state: State, aside: Aside) -> None:
    """Undo what `make_way` changed for one decision."""
    s = state.snapshot
    s.rate[aside.kinds], s.charge[aside.kinds] = aside.rate, aside.charge
    back = step_back(s, aside.rows, state.by_work)
    if back < len(aside.rows):
        state.lay_queue_anew(aside.rows[back:])


def send_ahead(state: State, now: float) -> list[Move]:
    """Send data over unused links to where jobs would be next if nothing ran."""
    _release_bound(state)
    if not _renew(state, now):
        return []
    s = state.snapshot
    held = np.empty((int(s.n_running[0]), 3), np.int64)
    n = let_go(s, held)
    wanted = _planned(state, now)
    take_hold(s, held, n)
    pinned = _in_use(state)
    for cold in _competing(state):
        pinned[state.data_kinds[cold]] = True
    moves: list[Move] = []
    for row, market in wanted:
        if row not in state.bound and s.absent[s.jobs["kind"][row], market]:
            datasets, region = state.data_kinds[_cold(state, row)], _region(state, market)
            moves += state.replicas.send(datasets, region, pinned, now, AHEAD) or ()
    return moves


def note_use(state: State, rows: NDArray[np.int32] | _Rows, now: float) -> None:
    """Take down that running jobs use their data at this moment."""
    for cold, region in _places(state, rows):
        state.replicas.use(state.data_kinds[cold], region, now)


def _competing(state: State) -> list[int]:
    """Give the kinds with data of which jobs wait, or run and may be stopped."""
    kinds, cold = state.snapshot.kinds, np.array(list(state.data_kinds))
    stopped = kinds["stopped"][cold]
    waits = kinds["start"] < kinds["end"]
    # Whoever may be stopped is not to be, for a place that lacks its data.
    competes = waits[cold] | (stopped >= 0) & (waits[stopped] | state.may_stop)
    return list(cold[competes].tolist())


def _renew(state: State, now: float) -> bool:
    """Bring the times of waiting kinds up to date; tell if any may run without its data."""
    lacking = False
    for cold in _competing(state):
        state.renew(cold, now)
        s = state.snapshot
        lacking |= bool((s.absent[cold] & (s.rate[cold] > 0)).any())
    return lacking


def _planned(state: State, now: float) -> list[tuple[int, int]]:
    """Give row and market of the jobs with data that the policy would start."""
    plan = decide(state.snapshot, state.policy, state.plan, now).plan
    s, placements = state.snapshot, plan.placements[: plan.size[0]]
    rows, markets = placements["row"], s.pools["market"][placements["pool"]]
    cold = s.kinds["cold"][s.jobs["kind"][rows]]
    with_data = np.isin(cold, list(state.data_kinds))
    return list(zip(rows[with_data].tolist(), markets[with_data].tolist(), strict=True))


def _cold(state: State, row: int) -> int:
    s = state.snapshot
    return int(s.kinds["cold"][s.jobs["kind"][row]])


def _region(state: State, market: int) -> int:
    return int(state.snapshot.markets["region"][market])


def _ends(state: State, row: int) -> NDArray[np.float64]:
    """Give how long the job would take to its end in each market, costs counted [s]; axis M."""
    s, k = state.snapshot, state.snapshot.jobs["kind"][row]
    with np.errstate(invalid="ignore"):
        ends = s.charge[k] + s.jobs["work"][row] * s.pace[k]
    return np.where(s.rate[k] > 0, ends, np.inf)


def _bound_end(state: State, row: int) -> float:
    """Give how long a bound job would take to its end in its region [s]."""
    there = state.snapshot.markets["region"] == state.bound[row]
    return float(_ends(state, row)[there].min())


def _stays_bound(state: State, row: int) -> bool:
    """Whether the job ends no sooner if it starts now where its data is."""
    s = state.snapshot
    here = _ends(state, row)[~s.absent[s.jobs["kind"][row]]]
    return bool(here.min(initial=np.inf) >= _bound_end(state, row))


def _release_bound(state: State) -> None:
    """Forget who is bound no longer: it waits no more, or all its data has arrived."""
    for row, region in list(state.bound.items()):
        waits = state.snapshot.jobs["waiting"][row]
        if not waits or state.replicas.present(state.data_kinds[_cold(state, row)])[region]:
            del state.bound[row]


def _send(
    state: State, row: int, market: int, pinned: NDArray[np.bool_], now: float
) -> list[Move] | None:
    """Send a job's data to the market and bind the job to it; None where that cannot be."""
    if not state.snapshot.absent[state.snapshot.jobs["kind"][row], market]:
        return None
    datasets, region = state.data_kinds[_cold(state, row)], _region(state, market)
    moves = state.replicas.send(datasets, region, pinned, now, AT_ONCE)
    if moves is not None:
        state.bound[row] = region
        pinned[datasets, region] = True
    return moves


def _in_use(state: State) -> NDArray[np.bool_]:
    """Give the replicas that must stay: in use by running jobs, or by ones bound; axes D, R."""
    s, pinned = state.snapshot, np.zeros(state.replicas.held.shape, np.bool_)
    for cold, region in _places(state, s.running[: s.n_running[0]]):
        pinned[state.data_kinds[cold], region] = True
    for row, region in state.bound.items():
        pinned[state.data_kinds[_cold(state, row)], region] = True
    return pinned


def _pin(state: State, pinned: NDArray[np.bool_], row: int, market: int) -> None:
    """Keep the data of a job that is about to start where its data is."""
    if not state.snapshot.absent[state.snapshot.jobs["kind"][row], market]:
        pinned[state.data_kinds[_cold(state, row)], _region(state, market)] = True


def _places(state: State, rows: NDArray[np.int32] | _Rows) -> Iterator[tuple[int, int]]:
    """Give kind and region, each pair once, of those of the jobs that run and have data."""
    s = state.snapshot
    jobs = s.jobs[rows[s.jobs["pool"][rows] >= 0]]
    cold = s.kinds["cold"][jobs["kind"]]
    region = s.markets["region"][s.pools["market"][jobs["pool"]]]
    with_data = np.isin(cold, list(state.data_kinds))
    pairs = np.unique(np.stack([cold[with_data], region[with_data]]), axis=1)
    yield from zip(*pairs.tolist(), strict=True)
