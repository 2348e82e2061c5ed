"""Everything that a memo says about a plan, worked out from two live models of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tieline.planning.frontier import Frontier, frontier
from tieline.planning.information import Delay, Information, delay, information, neutral_spec
from tieline.planning.near_optimal import Choice, choices
from tieline.planning.plan import Plan, Result
from tieline.planning.pooling import Pooling, pooling
from tieline.planning.regret import Regret, regret_of
from tieline.planning.shadow import LimitPrice, limit_prices, pool_prices, ratio_price
from tieline.planning.sweep import Curve, SpecAt, curve
from tieline.planning.verdict import Verdict, verdicts

#: Called with what is being worked out, how many parts are done, and how many there are.
Progress = Callable[[str, int, int], None]
#: Calls two functions, one after the other or at the same time, and gives back when both are done.
Both = Callable[[Callable[[], None], Callable[[], None]], None]


@dataclass(frozen=True)
class Findings:
    """What follows from a plan."""

    result: Result
    verdicts: tuple[Verdict, ...]
    pooling: Pooling
    delay: Delay
    choices: tuple[Choice, ...]
    information: Information
    regret: Regret
    limit_prices: tuple[LimitPrice, ...]
    ratio_usd: float | None
    """Saved by 1 more of the import ratio."""
    pool_prices: NDArray[np.float64]
    """Axes C, R, T [USD per accelerator-hour]."""
    curves: tuple[Curve, ...]
    frontier: Frontier | None


def in_turn(one: Callable[[], None], other: Callable[[], None]) -> None:
    """Call the one, then the other."""
    one()
    other()


def findings(
    plan: Plan,
    spec_at: SpecAt,
    present: Mapping[str, float],
    *,
    progress: Progress = lambda _what, _done, _all: None,
    both: Both = in_turn,
) -> Findings:
    """Give everything that a memo says.

    Parameters
    ----------
    plan
        Solved again as often as it takes.
    spec_at
        Gives the plan with another value at a path of its file.
    present
        What the file says at the path of each sweep.
    progress
        Called before each part; by both halves, where they run at the same time.
    both
        Runs the two halves of the work, each of which has a live model of its own: what comes
        out is the same in whatever order they run.

    Raises
    ------
    InputError, SolverError
        As `Plan.solve`.
    """
    spec, sweeps = plan.inputs.spec, plan.inputs.spec.sweeps
    count = _Count(8 + len(sweeps), progress)
    count.next("the plan itself")
    base = plan.solve()
    found: dict[str, object] = {}
    drawn: dict[int, Curve] = {}

    def sweep(hand: Plan, numbers: Sequence[int]) -> None:
        for i in numbers:
            count.next(f"sweep: {sweeps[i].title or sweeps[i].path}")
            drawn[i] = curve(hand, sweeps[i], present[sweeps[i].path], spec_at)

    def one() -> None:
        count.next("what pooling serves")
        found["pooling"] = pooling(plan, base)
        count.next("what delay costs")
        found["delay"] = delay(plan, base)
        count.next("what information is worth")
        neutral = base if spec.risk.weight == 0 else plan.what_if(neutral_spec(spec))
        known = found["information"] = information(plan, neutral)
        count.next("regret")
        found["regret"] = regret_of(plan, base, known.known_usd)
        count.next("what being careful costs")
        found["frontier"] = frontier(plan, neutral)
        sweep(plan, range(1, len(sweeps), 2))

    def other() -> None:
        hand = Plan(spec)
        count.next("what limits are worth")
        found["limit_prices"] = limit_prices(hand, base)
        count.next("how free the choice is")
        found["choices"] = choices(hand, base)
        sweep(hand, range(0, len(sweeps), 2))

    both(one, other)
    return Findings(
        result=base,
        verdicts=verdicts(base),
        ratio_usd=ratio_price(base),
        pool_prices=pool_prices(base),
        curves=tuple(drawn[i] for i in range(len(sweeps))),
        **found,  # type: ignore[arg-type] # each of its own type
    )


class _Count:
    """How far the work is."""

    def __init__(self, parts: int, progress: Progress) -> None:
        self._parts, self._done, self._progress = parts, 0, progress

    def next(self, what: str) -> None:
        self._progress(what, self._done, self._parts)
        self._done += 1
