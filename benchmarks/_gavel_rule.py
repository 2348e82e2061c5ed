"""The rule of Gavel's scheduler, as a policy of ours: the peer that tests the simulator.

Shares of time per job and accelerator model are worked out by one of several aims. Each round
then serves jobs by priority, the share over the part of the time received, one model after the
other. Written after the paper (Narayanan et al., OSDI '20, sections 4 and 5) and after what its
simulator and Shockwave's, a child of it, do. A rule keeps what a round needs to know of the
ones before, so it serves one run.
"""

from collections.abc import Callable

import highspy
import numpy as np
from numpy.typing import NDArray

from tieline.model.snapshot import Snapshot
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.room import Plan, open_room, take

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
#: (rows of the jobs present, now [s], run time left at rate 1 [s]) -> shares of time, axes
#: jobs present, models.
Shares = Callable[[Rows, float, Floats], Floats]


def max_min_shares(speed: Floats, count: Floats, workers: Floats) -> Floats:
    """Give shares that maximise the least normalised throughput (max-min fairness).

    Parameters
    ----------
    speed
        Axes jobs, models: throughput of the whole gang.
    count
        Axis jobs: accelerators of the gang.
    workers
        Axis models: accelerators.

    Notes
    -----
    The optimum is not unique. Gavel takes what its interior-point solver converges to, near
    the middle of the optimal face, so this does not go on to a vertex either.
    """
    jobs, models = speed.shape
    equal = speed @ (workers / workers.sum())
    weight = speed / equal[:, None] * count[:, None]
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no types
    highs.silent()
    for option, value in (("solver", "ipm"), ("run_crossover", "off"), ("threads", 1)):
        highs.setOptionValue(option, value)
    shares, inf = jobs * models, highspy.kHighsInf
    cell = np.arange(shares, dtype=np.int32)
    nothing = np.zeros(0, np.int32)
    for _ in range(shares):
        highs.addCol(0.0, 0.0, inf, 0, nothing, np.zeros(0))
    highs.addCol(-1.0, 0.0, inf, 0, nothing, np.zeros(0))  # the least of them
    for job in range(jobs):
        mine = cell[job * models : (job + 1) * models]
        highs.addRow(-inf, 1.0, models, mine, np.ones(models))
        least = np.append(mine, np.int32(shares))
        highs.addRow(0.0, inf, models + 1, least, np.append(weight[job], -1.0))
    for model in range(models):
        highs.addRow(-inf, workers[model], jobs, cell[model::models], count)
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise AssertionError(highs.modelStatusToString(highs.getModelStatus()))
    found: Floats = np.array(highs.getSolution().col_value[:shares])
    return np.clip(found, 0.0, 1.0).reshape(jobs, models)


def _fits(share: Floats, count: Floats, workers: float) -> bool:
    return bool((share <= 1.0).all() and share @ count <= workers)


def _spread(share: Floats, count: Floats, workers: float) -> Floats:
    """Give shares of one model, axes jobs, 1, with what is left over spread evenly towards 1."""
    spare, wanted = workers - float(share @ count), float((1.0 - share) @ count)
    part = 1.0 if spare >= wanted else max(0.0, spare / wanted)
    return (share + part * (1.0 - share))[:, None]


def makespan_shares(left: Floats, count: Floats, workers: float) -> Floats:
    """Give shares of one model by which all jobs end by the same time, soon.

    Gavel halves [100 s, 1,000,000 s] until the ends are within 5 %.
    """
    low, high = 100.0, 1e6
    while 1.05 * low < high:
        middle = (low + high) / 2
        if _fits(left / middle, count, workers):
            high = middle
        else:
            low = middle
    return _spread(left / high, count, workers)


class FinishTimeShares:
    """Shares of one model that minimise the worst finish-time fairness, as Shockwave has it.

    The time under an equal split is counted along: the work done since the last call at the
    speed of the equal split then, and what is left at that of now.
    """

    def __init__(self, submit_s: Floats, count: Floats, workers: float) -> None:
        """Begin with no work done; axes are the jobs of the trace."""
        self._submit_s, self._count, self._workers = submit_s, count, workers
        self._split_s = np.zeros(len(count))
        self._left = np.full(len(count), np.nan)
        self._equal = np.ones(len(count))

    def __call__(self, rows: Rows, now: float, left: Floats) -> Floats:
        """Give the shares of the jobs present."""
        count = self._count[rows]
        equal = np.minimum(1.0, self._workers / len(rows) / count)
        done = np.nan_to_num(self._left[rows] - left)
        self._split_s[rows] += done / self._equal[rows]
        self._left[:] = np.nan
        self._left[rows], self._equal[rows] = left, equal
        split_s, waited = self._split_s[rows] + left / equal, now - self._submit_s[rows]
        low = float((waited / split_s).max()) * (1.0 + 1e-9) + 1e-9
        high = low + 1e4
        for _ in range(100):
            middle = (low + high) / 2
            if _fits(left / (middle * split_s - waited), count, self._workers):
                high = middle
            else:
                low = middle
        return _spread(left / (high * split_s - waited), count, self._workers)


class GavelRule:
    """Priority rounds over given shares. Axes: J jobs of the trace, A accelerator models."""

    def __init__(
        self, shares: Shares, speed: Floats, count: Floats, round_s: float, reset_s: float
    ) -> None:
        """Begin with no time received.

        Parameters
        ----------
        speed
            Axes J, A: steps per second of the whole gang; the models in the order of the
            network's pools, in which a round serves them.
        count
            Axis J: accelerators of the gang.
        round_s
            Length of a round [s].
        reset_s
            Shares and times received are worked out anew at most this often [s].
        """
        self._shares, self._speed, self._count = shares, speed, count
        self._round_s, self._reset_s = round_s, reset_s
        jobs, models = speed.shape
        self._share = np.zeros((jobs, models))
        self._known = np.zeros(jobs, np.bool_)  # has shares
        self._present = np.zeros(jobs, np.bool_)
        self._received = np.full((jobs, models), round_s / 2)
        self._deficit = np.zeros((jobs, models))
        self._served = np.zeros(models)
        self._changed, self._reset_at = True, 0.0
        self._decided_at, self._chosen = -1.0, list[tuple[int, int]]()

    def policy(self, name: str) -> Policy:
        """Give the rule as a policy."""
        summary = "Gavel's priority rounds"
        return Policy(name, summary, "submission", self._decide, preempts=True)

    def _decide(self, snapshot: Snapshot, plan: Plan, now: float) -> Decision:
        if now > self._decided_at:
            self._decided_at = now
            self._begin_round(snapshot, now)
        room = open_room(snapshot)
        for row, model in self._chosen:
            if snapshot.jobs["waiting"][row]:
                take(snapshot, room, plan, row, model)
        return Decision(plan, np.nan, np.nan, None)

    def _begin_round(self, snapshot: Snapshot, now: float) -> None:
        """Choose once per round; the stops of the round are followed by another decision."""
        jobs = snapshot.jobs[: len(self._present)]
        rows = np.flatnonzero(jobs["waiting"])
        present = jobs["waiting"] | (jobs["pool"] >= 0)
        self._changed |= bool((present != self._present).any())
        self._present = present
        due = self._reset_at == 0.0 or now - self._reset_at >= self._reset_s
        if self._changed and due and len(rows):
            self._reset(rows, now, snapshot)
        self._chosen = self._round(rows, snapshot)

    def _reset(self, rows: Rows, now: float, snapshot: Snapshot) -> None:
        """Note what each job is owed, forget what it received, and work out shares anew."""
        received = self._received[rows] - self._round_s / 2
        self._deficit[rows] += self._share[rows] * (now - self._reset_at) - received
        self._received[rows] = self._round_s / 2
        self._served[:] = len(rows) * self._round_s / 2
        self._share[rows] = self._shares(rows, now, snapshot.jobs["work"][rows])
        self._known[rows] = True
        self._changed, self._reset_at = False, now

    def _round(self, rows: Rows, snapshot: Snapshot) -> list[tuple[int, int]]:
        """Give (job, model) of the round and count its time as received.

        A job without shares yet takes its place in the queue and is then not started, as in
        Gavel's simulator.
        """
        free = [int(pool["free"]) for pool in snapshot.pools]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = self._received[rows] / self._served
            share = self._share[rows]
            priority = np.where(part > 0, share / part, share * 1e9)
        chosen, taken = [], set()
        for model in range(self._speed.shape[1]):
            keys = (share[:, model], self._deficit[rows, model], priority[:, model])
            for i in np.lexsort((np.arange(len(rows)), *(-key for key in keys))):
                row = int(rows[i])
                fits = self._count[row] <= free[model] and self._speed[row, model] > 0
                if row not in taken and fits:
                    taken.add(row)
                    free[model] -= int(self._count[row])
                    if self._known[row]:
                        chosen.append((row, model))
        for row, model in chosen:
            rate = snapshot.rate[snapshot.jobs["kind"][row], snapshot.pools["market"][model]]
            spent = min(self._round_s, float(snapshot.jobs["work"][row] / rate))
            self._received[row, model] += spent
            self._served[model] += spent
        return chosen
