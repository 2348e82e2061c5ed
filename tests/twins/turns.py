"""First come, first served, played through event by event."""

import heapq
from collections import Counter
from collections.abc import Sequence

from twins.cases import Case
from twins.packing import can_sit, seats

#: (start, pool) of a job; None when it never started.
Start = tuple[float, int] | None


def counter_queue(capacity: int, jobs: Sequence[tuple[float, float, int]]) -> list[float]:
    """Give the start of each job (submission, run time, count) on one heap of accelerators."""
    now, free, starts = 0.0, capacity, []
    running: list[tuple[float, int]] = []
    for submit, run, count in jobs:
        now = max(now, submit)
        while running and (running[0][0] <= now or free < count):
            end, held = heapq.heappop(running)
            now, free = max(now, end), free + held
        starts.append(now)
        free -= count
        heapq.heappush(running, (now + run, count))
    return starts


class InTurn:
    """A whole network under strict first come, first served."""

    def __init__(self, case: Case, *, home_only: bool) -> None:
        """Start with every accelerator free."""
        self.case, self.pools = case, case.network.pools
        self.limits = {tenant.id: tenant.quotas for tenant in case.network.tenants}
        self.free = [[pool.accelerators_per_node] * pool.nodes for pool in self.pools]
        self.used: Counter[tuple[str, str]] = Counter()
        self.running: list[tuple[float, int, int, dict[int, int]]] = []
        self.usable = [
            [
                p
                for p, pool in enumerate(self.pools)
                if case.may_use(k, pool) and (not home_only or pool.site == self._home(k))
            ]
            for k in range(len(case.kinds))
        ]

    def play(self) -> list[Start]:
        """Give where and when each job starts."""
        jobs, at = self.case.jobs, 0
        waiting: list[int] = []
        found: list[Start] = [None] * len(jobs)
        while at < len(jobs) or self.running:
            ends = self.running[0][0] if self.running else float("inf")
            now = min(ends, jobs[at].submit if at < len(jobs) else float("inf"))
            while self.running and self.running[0][0] == now:
                self._end(heapq.heappop(self.running))
            while at < len(jobs) and jobs[at].submit == now:
                waiting.append(at)
                at += 1
            for row, p in self._started(waiting, now):
                found[row] = (now, p)
                waiting.remove(row)
        return found

    def _started(self, waiting: list[int], now: float) -> list[tuple[int, int]]:
        """Go through the queue once: start a job, or shut the pools that it waits for."""
        shut = {p for p, free in enumerate(self.free) if sum(free) == 0}
        kept: set[tuple[str, str]] = set()
        started = []
        for row in waiting:
            k = self.case.jobs[row].kind
            open_to = [p for p in self.usable[k] if p not in shut and not self._over(k, p, kept)]
            fitting = [p for p in open_to if self._fits(k, p)]
            if fitting:
                p = min(fitting, key=lambda p: (-self._speed(k, p), sum(self.free[p]), p))
                self._start(row, p, now)
                started.append((row, p))
                continue
            for p in self.usable[k]:
                if p not in shut:
                    kept |= self._over(k, p, kept)
            shut |= set(open_to)
        return started

    def _over(self, k: int, p: int, kept: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Give the quotas that keep the kind off the pool now."""
        kind = self.case.kinds[k]
        columns = [(kind.tenant, self.pools[p].accelerator), (kind.tenant, "total")]
        limits = self.limits[kind.tenant]
        return {
            column
            for column in columns
            if column in kept or self.used[column] + kind.count > limits.get(column[1], 10**9)
        }

    def _fits(self, k: int, p: int) -> bool:
        size = self.pools[p].accelerators_per_node
        return can_sit(self.free[p], size, self.case.kinds[k].count)

    def _start(self, row: int, p: int, now: float) -> None:
        job = self.case.jobs[row]
        kind, pool = self.case.kinds[job.kind], self.pools[p]
        taken = seats(self.free[p], pool.accelerators_per_node, kind.count)
        for node, amount in taken.items():
            self.free[p][node] -= amount
        self.used[kind.tenant, pool.accelerator] += kind.count
        self.used[kind.tenant, "total"] += kind.count
        end = now + job.run / self._speed(job.kind, p)
        heapq.heappush(self.running, (end, row, p, taken))

    def _end(self, run: tuple[float, int, int, dict[int, int]]) -> None:
        _, row, p, taken = run
        kind, pool = self.case.kinds[self.case.jobs[row].kind], self.pools[p]
        for node, amount in taken.items():
            self.free[p][node] += amount
        self.used[kind.tenant, pool.accelerator] -= kind.count
        self.used[kind.tenant, "total"] -= kind.count

    def _speed(self, k: int, p: int) -> float:
        return self.case.speeds[k][self.pools[p].accelerator]

    def _home(self, k: int) -> str | None:
        sites = self.case.network.sites
        return sites[0].id if len(sites) == 1 else self.case.home_of(k)
