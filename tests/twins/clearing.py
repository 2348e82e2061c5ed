"""The clearing as a linear program, solved by HiGHS."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from tieline.model.snapshot import Snapshot


@dataclass(frozen=True)
class Option:
    """One way to start one job now."""

    row: int
    pool: int
    count: int
    value: float


def options(s: Snapshot) -> list[Option]:
    """Give every way to start a waiting job on an open pool where it fits now."""
    found = []
    for row in np.flatnonzero(s.jobs["waiting"]).tolist():
        kind = s.kinds[s.jobs[row]["kind"]]
        for p, pool in enumerate(s.pools):
            rate = s.rate[s.jobs[row]["kind"], pool["market"]]
            if pool["open"] and rate > 0 and fits(s, kind, pool):
                run = s.stage[s.jobs[row]["kind"], pool["market"]] + s.jobs[row]["work"] / rate
                value = float(kind["weight"]) / max(1.0, float(run))
                found.append(Option(row, p, int(kind["count"]), value))
    return found


def fits(s: Snapshot, kind: np.void, pool: np.void) -> bool:
    """Whether one job of the kind could start on the pool if it were alone in the queue."""
    n, t, a = int(kind["count"]), int(kind["tenant"]), int(pool["accelerator"])
    free = s.node_free[pool["first"] : pool["last"]]
    room = free.max() >= n if n <= pool["size"] else pool["free"] >= n
    return bool(room and s.used[t, a] + n <= s.limit[t, a] and s.used[t, -1] + n <= s.limit[t, -1])


def optimum(s: Snapshot, *, integer: bool) -> float:
    """Give the highest value that can be started now, a job in parts unless `integer`.

    Each job at most once, no pool filled beyond what it has free. Quotas, and how a pool's
    free accelerators lie on its nodes, limit each job alone, not jobs together: the integer
    optimum is at least the best placement.
    """
    ways = options(s)
    if not ways:
        return 0.0
    rows = sorted({way.row for way in ways})
    pools = sorted({way.pool for way in ways})
    at = [(rows.index(way.row), 1) for way in ways]
    at += [(len(rows) + pools.index(way.pool), way.count) for way in ways]
    columns = [*range(len(ways))] * 2
    matrix = csr_array(([n for _, n in at], ([i for i, _ in at], columns)))
    limits = [1.0] * len(rows) + [float(s.pools[p]["free"]) for p in pools]
    scale = max(way.value for way in ways)  # HiGHS has absolute tolerances
    answer = milp(
        [-way.value / scale for way in ways],
        constraints=LinearConstraint(matrix, ub=limits),
        bounds=Bounds(0, 1),
        integrality=int(integer),
        options={"mip_rel_gap": 0.0},
    )
    assert answer.success, answer.message
    return float(-answer.fun * scale)
