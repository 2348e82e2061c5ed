"""How many accelerators give the same service: the answer to what joining centres is worth."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tieline.model.network import Network
from tieline.model.reasons import Reason
from tieline.simulation.replay import Replay
from tieline.simulation.scaling import scaled

#: Factors that are tried are 2**(k / STEPS) for whole k: steps of about 1 %, and the same
#: ones in every search, so that searches share their replays.
STEPS: Final = 64
#: The largest factor tried.
LARGEST: Final = 16.0
#: Rounding of sums, which must not decide.
_EXACT: Final = 1e-12


@dataclass(frozen=True)
class EqualService:
    """The smallest network found on which a policy serves as well as a given replay."""

    policy: str
    scale: float
    """Factor on the nodes of every pool."""
    accelerators: int
    jobs: int
    """Jobs that both ran: those that the means are over."""
    mean_jct_s: float
    target_jct_s: float
    """What the other replay gives on the same jobs."""
    rejected: int
    """Jobs that only the other replay ran, and that no number of nodes would let in."""


def serves_as_well(one: Replay, target: Replay, slack: float) -> bool:
    """Whether the mean completion time is at most (1 + slack) times that of the target.

    Over the jobs that both ran. A network too small for a job that the target ran does not
    serve as well; a job that is kept out for another reason, such as a tenant without a home,
    is left out of the comparison.
    """
    too_small = (one.blocked == int(Reason.GANG)) & target.ran
    both = one.ran & target.ran
    if too_small.any() or not both.any():
        return False
    limit = float(target.jct_s[both].mean()) * (1 + slack) * (1 + _EXACT)
    return float(one.jct_s[both].mean()) <= limit


def equal_service(
    target: Replay,
    base: Network,
    run: Callable[[Network], Replay],
    *,
    slack: float = 0.0,
) -> EqualService | None:
    """Give the smallest scaled `base` on which `run` serves as well as the target.

    Parameters
    ----------
    run
        Replays the target's trace under one policy; called with `scaled(base, factor)`.
        Equal networks come more than once, so it should remember.
    slack
        By what share the mean completion time may be longer, >= 0.

    Returns
    -------
    EqualService or None
        None when even the largest network tried does not serve as well.

    Notes
    -----
    Gallops by factors of two, then bisects. Service is taken to improve with capacity; first
    come first served does not quite keep to that, so a smaller network might serve as well
    by luck.
    """

    def at(k: int) -> Replay:
        return run(scaled(base, 2.0 ** (k / STEPS)))

    def good(k: int) -> bool:
        return serves_as_well(at(k), target, slack)

    def differ(low: int, high: int) -> bool:
        return scaled(base, 2.0 ** (low / STEPS)) != scaled(base, 2.0 ** (high / STEPS))

    high = 0
    while not good(high):
        high += STEPS
        if 2.0 ** (high / STEPS) > LARGEST:
            return None
    low = high - STEPS
    while high <= 0 and differ(low, high) and good(low):
        low, high = low - STEPS, low
    while high - low > 1 and differ(low, high):
        middle = (low + high) // 2
        low, high = (low, middle) if good(middle) else (middle, high)
    found = at(high)
    both = found.ran & target.ran
    return EqualService(
        policy=found.policy.name,
        scale=2.0 ** (high / STEPS),
        accelerators=found.network.capacity,
        jobs=int(both.sum()),
        mean_jct_s=float(found.jct_s[both].mean()),
        target_jct_s=float(target.jct_s[both].mean()),
        rejected=int((target.ran & ~found.ran).sum()),
    )
