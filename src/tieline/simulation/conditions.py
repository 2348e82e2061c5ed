"""Under which conditions a trace is replayed: what the scheduler is told, and how wrong it is."""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal, get_args

from tieline.model.errors import InputError

Knowledge = Literal["exact", "user", "history", "default"]

#: What the scheduler can be told about run times.
KNOWLEDGE: Final[tuple[Knowledge, ...]] = get_args(Knowledge)

#: The largest factor by which estimates can be off.
LARGEST_ERROR: Final = 1e6


@dataclass(frozen=True)
class Conditions:
    """The conditions of a replay; by default the scheduler knows every run time.

    Raises
    ------
    InputError
        A value that is not allowed.
    """

    estimates: Knowledge = "exact"
    """`exact`: the run times of the trace; `user`: what users asked for; `history`: nobody
    says anything, so that only ended jobs tell; `default`: one hour for every job. A job of
    which nothing is said is estimated from history."""
    error: float = 1.0
    """Every estimate is off by a factor drawn log-uniformly from [1 / error, error]; in
    [1, `LARGEST_ERROR`]."""
    missing: float = 0.0
    """Share of the jobs, drawn at random, of which nothing is said; in [0, 1]. It changes
    nothing under `history`, where nothing is said of any, and `default`."""
    restart_s: float | None = None
    """Time that a stop and a new start cost every job, >= 0 [s]. None means that none is
    stopped; in rounds, that it costs nothing."""
    round_s: float | None = None
    """Length of lock-step rounds, > 0 [s]: all is decided anew at the start of each. None means
    that the scheduler decides whenever something happens."""
    seed: int = 0
    """Of what is drawn, >= 0. A row of the trace has the same luck under every policy."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.estimates not in KNOWLEDGE:
            raise InputError(
                f"estimates: found {self.estimates!r}, allowed are {', '.join(KNOWLEDGE)}"
            )
        if not 1 <= self.error <= LARGEST_ERROR:
            raise InputError(
                f"error: found {self.error:g}, allowed is a factor from 1 to {LARGEST_ERROR:,.0f}"
            )
        if not 0 <= self.missing <= 1:
            raise InputError(f"missing: found {self.missing:g}, allowed is a share from 0 to 1")
        if self.restart_s is not None and not 0 <= self.restart_s < inf:
            raise InputError(f"restart: found {self.restart_s:g} s, allowed is 0 s or more")
        if self.round_s is not None and not 0 < self.round_s < inf:
            raise InputError(f"rounds: found {self.round_s:g} s, allowed is a time above 0 s")
        if self.seed < 0:
            raise InputError(f"seed: found {self.seed}, allowed is 0 or more")

    @property
    def stop_s(self) -> float:
        """What a stop and a new start cost every job [s]; inf where none is stopped."""
        if self.restart_s is None:
            return inf if self.round_s is None else 0.0
        return self.restart_s

    @property
    def all_known(self) -> bool:
        """Whether the scheduler is told every run time as it is."""
        return self.estimates == "exact" and self.error == 1 and not self.some_silent

    @property
    def some_silent(self) -> bool:
        """Whether something is said of jobs in general, and nothing of some drawn at random."""
        return self.estimates in {"exact", "user"} and self.missing > 0
