"""Keeping the accounts of service (`tieline.scheduling.accounts`), cycle by cycle.

Only `apply_plan` writes them, after everything else: what holds from then on is what counts up
to the next cycle, so no release or start needs a clock of its own.
"""

from tieline.model.snapshot import Snapshot
from tieline.scheduling.accounts import clock, equal_split, holds, served_by_tenant
from tieline.scheduling.compiled import compiled


@compiled
def settle(s: Snapshot, now: float) -> None:
    """Bring the accounts up to now, and take down what holds until the next cycle.

    Notes
    -----
    O(K + P + active jobs).
    """
    share = served_by_tenant(s, now)
    for k in range(len(s.kinds)):
        kind = s.kinds[k]
        if kind.count > 0:
            kind.served = share[kind.tenant] * kind.share
            kind.clock = clock(s, k, now)
        kind.since, kind.level, kind.active = now, 0.0, kind.end - kind.start
        for q in range(kind.start, kind.end):
            _promise(s, s.queue[q])
    for i in range(s.n_running[0]):
        row = s.running[i]
        _promise(s, row)
        s.kinds[s.jobs[row].kind].active += 1
        s.kinds[s.jobs[row].kind].level += holds(s, row, s.jobs[row].pool)
    most = equal_split(s)
    for k in range(len(s.kinds)):
        if s.kinds[k].count > 0:
            s.kinds[k].clock_rate = s.kinds[k].mean * min(1.0, most / s.kinds[k].count)


@compiled
def _promise(s: Snapshot, row: int) -> None:
    """Take down when an equal split would end a job that was not here before."""
    if s.jobs[row].due < 0.0:
        s.jobs[row].due = s.kinds[s.jobs[row].kind].clock + s.jobs[row].work
