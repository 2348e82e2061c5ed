"""Accounts of service: what each tenant has had, and what an equal split would have done.

Kept by `tieline.control.accounts` for policies that ask for them (`Policy.accounts`), read here.

Served. What a tenant gets is measured in accelerator-seconds, each counted by the rate of the
job there relative to its own best: an hour on a chip half as fast as the job's best is half an
hour. A tenant that comes back after having had no jobs starts level, by share, with the least
served of those that stayed: idling earns no credit.

Equal split. Every job present gets as many accelerators as any other, no more than its gang, of
all models that can run it alike. What that does for a job is read off the clock of its kind: a
job submitted at reading c with work w would end at reading c + w, its `due`.
"""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.room import Room


@compiled
def served_by_tenant(s: Snapshot, now: float) -> Array:
    """Give the service each tenant has had, per share of 1; shape (T,) [accelerator-seconds]."""
    n = len(s.used)
    served, share = np.zeros(n, np.float64), np.ones(n, np.float64)
    stayed, present = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    running = np.zeros(len(s.kinds), np.bool_)
    for i in range(s.n_running[0]):
        running[s.jobs[s.running[i]].kind] = True
    for k in range(len(s.kinds)):
        t = s.kinds[k].tenant
        if s.kinds[k].count == 0:  # no kind yet
            continue
        served[t] = max(served[t], s.kinds[k].served)
        share[t] = s.kinds[k].share
        stayed[t] |= s.kinds[k].active > 0
        present[t] |= running[k] or s.kinds[k].start < s.kinds[k].end
    for k in range(len(s.kinds)):
        served[s.kinds[k].tenant] += s.kinds[k].level * (now - s.kinds[k].since)
    served /= share
    least = np.inf
    for t in range(n):
        if stayed[t] and present[t]:
            least = min(least, served[t])
    for t in range(n):
        if present[t] and not stayed[t] and least < np.inf:
            served[t] = max(served[t], least)
    return served


@compiled
def holds(s: Snapshot, row: int, p: int) -> float:
    """Give what the job gets on the pool: its accelerators, at its rate relative to its best."""
    k = s.jobs[row].kind
    if s.kinds[k].best <= 0.0:  # a rule has changed since it started
        return 0.0
    return s.kinds[k].count * s.rate[k, s.pools[p].market] / s.kinds[k].best


@compiled
def suits(s: Snapshot, room: Room, k: int) -> float:
    """Give the rate relative to the best on the fastest market with room; 1 if there is none."""
    fastest = 0.0
    for m in range(len(s.markets)):
        if room.most[m] >= s.kinds[k].count:
            fastest = max(fastest, s.rate[k, m])
    return fastest / s.kinds[k].best if fastest > 0.0 else 1.0


@compiled
def clock(s: Snapshot, k: int, now: float) -> float:
    """Give the work an equal split would have done by now on a job of the kind [s at rate 1]."""
    return s.kinds[k].clock + s.kinds[k].clock_rate * (now - s.kinds[k].since)


@compiled
def split_end(s: Snapshot, row: int, now: float) -> float:
    """Give when the job would end, or would have ended, under an equal split [s].

    What has passed is accounted for; from now on the jobs present are taken to stay.
    """
    k = s.jobs[row].kind
    if s.kinds[k].clock_rate <= 0.0:  # not yet accounted for
        return np.inf
    if s.jobs[row].due < 0.0:
        return now + s.jobs[row].work / s.kinds[k].clock_rate
    return now + (s.jobs[row].due - clock(s, k, now)) / s.kinds[k].clock_rate


@compiled
def equal_split(s: Snapshot) -> float:
    """Give the accelerators each active job gets at most when all get as many; inf if all fit.

    The level l at which the sum over the active jobs of min(l, gang size) is the capacity.
    """
    capacity, demand = 0, 0
    for p in range(len(s.pools)):
        capacity += s.pools[p].capacity
    for k in range(len(s.kinds)):
        demand += s.kinds[k].active * s.kinds[k].count
    if demand <= capacity:
        return np.inf
    level = 0.0
    while True:  # rises from below to the solution, past one gang size at least each time
        small, large = 0, 0
        for k in range(len(s.kinds)):
            if s.kinds[k].count <= level:
                small += s.kinds[k].active * s.kinds[k].count
            else:
                large += s.kinds[k].active
        higher = (capacity - small) / large
        if higher <= level:
            return level
        level = higher
