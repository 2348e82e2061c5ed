"""When waiting jobs will start: the scheduler run forward, over and over, in drawn futures.

    futures = draw_futures(fork, now, past, chance, RUNS)
    forecast(fork, rows, now, futures)                    one `Forecast` per row

It is `control.run_cycle` that decides in every one of them, so a forecast knows each policy as
well as the scheduler does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.control.cycle import Observations, absorb
from tieline.control.state import State
from tieline.simulation.driver import World, drive, trace_world
from tieline.simulation.futures import Future
from tieline.simulation.schedule import Schedule

#: Futures to draw. Of a tenth and those nine, the lowest is equally likely to be any; so the
#: tenth lies between the lowest and the highest of the nine in 8 of 10 cases.
RUNS: Final = 9

#: Cycles of one run at most; a job that has not started then starts later than reached.
_MOST_CYCLES: Final = 50_000
#: Cycles between two looks at whether to go on.
_STRIDE: Final = 16

_Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a waiting job will start [s], on the clock of the state."""

    start_s: float
    """The median; inf when it is later than `until_s`."""
    low_s: float
    high_s: float
    """At or after the median; inf as for the median."""
    chance: float
    """How likely the start is to lie between low and high, given that the futures are apt."""
    until_s: float
    """How far it was looked ahead; inf when to the end. A start of inf is then never, unless
    something is changed or a closed pool opens."""
    pool: int
    """Row of the pool where it starts in the median course; -1 when it does not."""
    runs: int
    """Futures that were run to the start."""


NEVER: Final = Forecast(inf, inf, inf, 1.0, inf, -1, 0)


def forecast(
    state: State,
    rows: Sequence[int],
    now: float,
    futures: Sequence[Future],
    *,
    anew: bool = False,
    go_on: Callable[[], bool] = lambda: True,
) -> list[Forecast]:
    """Give for each of the rows when it will start.

    Parameters
    ----------
    state
        As `State.fork` gives it, after the cycle at `now`: open jobs alone. Left as it is.
    rows
        Jobs that wait.
    now
        [s].
    futures
        At least one, for this state.
    anew
        Whether to decide about the jobs now, as about new ones; where they have been changed.
    go_on
        Asked now and then; the forecast is made from what was run when it says no, from part of
        the first run at least.

    Returns
    -------
    list of Forecast
        low <= start <= high. The same arguments give the same, while `go_on` says yes.
    """
    asked = np.array(rows, np.int64)
    hopeless = ~_may_start(state)[state.snapshot.jobs["kind"][asked]]
    sought = asked[~hopeless]
    runs: list[_Run] = []
    for future in futures if len(sought) else ():
        run = _Run(state, sought, now, future, go_on, anew=anew)
        if run.cut and runs:
            break
        runs.append(run)
        # What happens at once happens in every future.
        if run.cut or (anew and (run.start_s == now).all()):
            break
    found = {int(row): _summary(runs, i) for i, row in enumerate(sought)}
    return [found.get(int(row), NEVER) for row in asked]


def _may_start(state: State) -> NDArray[np.bool_]:
    """Give whether any open pool may ever run each kind; axis K."""
    may_run = (state.bars() == 0) & state.snapshot.pools["open"]
    return np.asarray(may_run.any(axis=1))


class _Run:
    """One future, run until the jobs asked about have started."""

    def __init__(
        self,
        state: State,
        rows: _Rows,
        now: float,
        future: Future,
        go_on: Callable[[], bool],
        *,
        anew: bool,
    ) -> None:
        fork, _ = state.fork()
        n = fork.add(future.kind, future.work, future.submit_s)
        s = fork.snapshot
        schedule = Schedule.empty(fork.n_jobs, len(s.pools))
        running = s.running[: s.n_running[0]]
        schedule.end_s[running] = future.end_s
        run_s = s.jobs["work"][: fork.n_jobs] * np.concatenate([future.ratio, future.later_ratio])
        run_s[running] = inf  # how far they are, their ends say
        # Told to stop, they have not stopped yet: they will at once, and wait again.
        stopping = running[s.jobs["stopping"][running]].astype(np.int64)
        schedule.end_s[stopping] = np.nan
        run_s[stopping] = s.jobs["work"][stopping] * future.ratio[stopping]
        at_once = np.concatenate([rows, stopping]) if anew else stopping
        absorb(fork, Observations(ended=stopping, withdrawn=at_once), now)
        submit_s = s.jobs["submitted"][: fork.n_jobs].copy()
        submit_s[at_once] = now
        arriving = np.concatenate([at_once, np.arange(n, fork.n_jobs)])
        world = trace_world(fork, submit_s, run_s, arriving, schedule, None)
        self.cut = False
        self.reached_s = now
        drive(fork, self._watched(world, schedule, rows, future.until_s, go_on))
        self.start_s = np.where(np.isnan(schedule.start_s[rows]), inf, schedule.start_s[rows])
        self.pool = schedule.pool[rows]

    def _watched(
        self,
        world: World,
        schedule: Schedule,
        rows: _Rows,
        until_s: float,
        go_on: Callable[[], bool],
    ) -> World:
        """Pass the world on while there is need to; note how far it has come."""
        happens = next(world, None)
        for cycle in range(_MOST_CYCLES):
            if happens is None or happens[0] > until_s:
                self.reached_s = inf if happens is None else until_s
                return
            self.cut = cycle % _STRIDE == 0 and not go_on()
            if self.cut:
                return
            actions = yield happens
            self.reached_s = happens[0]
            try:
                happens = world.send(actions)
            except StopIteration:
                happens = None
            if len(actions.rows) and not np.isnan(schedule.start_s[rows]).any():
                return


def _summary(runs: Sequence[_Run], i: int) -> Forecast:
    """Give the forecast of the i-th job asked about."""
    starts = np.array([run.start_s[i] for run in runs])
    order = np.argsort(starts, kind="stable")
    n = len(runs)
    edge, middle = max(1, (n + 1) // 10), order[(n - 1) // 2]
    unseen = [run.reached_s for run in runs if run.start_s[i] == inf]
    return Forecast(
        start_s=float(starts[middle]),
        low_s=float(starts[order[edge - 1]]),
        high_s=float(starts[order[n - edge]]),
        chance=(n + 1 - 2 * edge) / (n + 1),
        until_s=float(min(unseen, default=inf)),
        pool=int(runs[middle].pool[i]),
        runs=n - len(unseen),
    )
