"""Why a waiting job does not run: typed reasons per pool, counted, with the numbers behind."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tieline.model.network import Pool
from tieline.model.reasons import NEVER, WORDS, Reason
from tieline.model.snapshot import Snapshot
from tieline.scheduling.policy import Policy
from tieline.scheduling.rivals import NO_CONTEST, Contest, Rivals, worth_of
from tieline.scheduling.room import Room, has_room, open_room, within_quota


@dataclass(frozen=True, slots=True)
class PoolAnswer:
    """One pool's answer to one waiting job."""

    pool: str
    reasons: tuple[Reason, ...]
    """Single bits, never empty."""
    free: int
    """Accelerators free now."""
    largest: int
    """The most free accelerators on one node."""
    price: float
    """Price of the pool [finished jobs per accelerator-second]."""
    worth: float
    """What the job is worth there, in the same unit; 0 where it can never run."""
    contest: Contest
    """Who stands before it there; nobody where it can never run."""

    @property
    def never(self) -> bool:
        """Whether no waiting cures it."""
        return any(reason & NEVER for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every pool's answer, the reasons counted, and one sentence."""

    answers: tuple[PoolAnswer, ...]
    """In the order of the network's pools."""
    counts: Mapping[Reason, int]
    """Pools by reason; a pool with two reasons counts in both."""
    never: bool
    """Whether no pool will ever run the job as it is."""
    sentence: str


def explain(snapshot: Snapshot, policy: Policy, pools: Sequence[Pool], row: int) -> Explanation:
    """Give every pool's answer to a job that waits after the cycle on this snapshot.

    Parameters
    ----------
    pools
        The network's pools, axis P of the snapshot.
    row
        The job's row.
    """
    room = open_room(snapshot)
    rivals = Rivals(snapshot, policy, row)
    answers = tuple(
        _answer(snapshot, policy, room, rivals, pool, p, row) for p, pool in enumerate(pools)
    )
    counts = Counter(reason for answer in answers for reason in answer.reasons)
    away = {Reason.HOME} if policy.home_only else set()
    usable = [one for one in answers if not one.never and away.isdisjoint(one.reasons)]
    count = int(snapshot.kinds[snapshot.jobs[row]["kind"]]["count"])
    return Explanation(
        answers=answers,
        counts=dict(sorted(counts.items())),
        never=not usable,
        sentence=_sentence(len(answers), usable, counts, count),
    )


def _answer(
    s: Snapshot, policy: Policy, room: Room, rivals: Rivals, pool: Pool, p: int, row: int
) -> PoolAnswer:
    k, m = int(s.jobs[row]["kind"]), int(s.pools[p]["market"])
    bars = Reason(int(s.barred[k, m]))
    if s.kinds[k]["count"] > s.pools[p]["capacity"]:
        bars |= Reason.GANG
    if policy.home_only and s.pools[p]["site"] != s.kinds[k]["home"]:
        bars |= Reason.HOME
    found = bars or _not_now(s, policy, room, k, p)
    return PoolAnswer(
        pool=pool.id,
        reasons=tuple(reason for reason in Reason if reason & found),
        free=int(room.free[p]),
        largest=int(room.largest[p]),
        price=float(s.prices[p]),
        worth=float(worth_of(s, np.array([row]), m)[0]),
        contest=NO_CONTEST if bars else rivals.at(p),
    )


def _not_now(s: Snapshot, policy: Policy, room: Room, k: int, p: int) -> Reason:
    if not s.pools[p]["open"]:
        return Reason.CLOSED
    if s.absent[k, s.pools[p]["market"]]:
        return Reason.DATA
    if not within_quota(s, room.used, k, p):
        return Reason.QUOTA_USED
    if not has_room(s, room, k, p):
        enough = room.free[p] >= s.kinds[k]["count"]
        return Reason.FRAGMENTED if enough else Reason.BUSY
    return Reason.TURN if policy.order == "submission" else Reason.PRICE


def _sentence(
    pools: int, usable: Sequence[PoolAnswer], counts: Mapping[Reason, int], count: int
) -> str:
    parts = "; ".join(f"{n} of {pools} pools: {WORDS[one]}" for one, n in sorted(counts.items()))
    if not usable:
        return f"No pool can ever run it as it is. {parts}."
    gang = "1 accelerator" if count == 1 else f"{count} accelerators together"
    free = max(answer.free for answer in usable)
    return f"It waits. It needs {gang}; the pools it may use have at most {free} free. {parts}."
