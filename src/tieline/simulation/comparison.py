"""Several policies on several sizes of one network, with one trace: what a replay answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tieline.model.network import Network
from tieline.model.trace import Trace
from tieline.scheduling.policy import Policy
from tieline.simulation.bound import Bound, bound_of
from tieline.simulation.conditions import Conditions
from tieline.simulation.equal_service import EqualService, equal_service
from tieline.simulation.replay import Replay
from tieline.simulation.scaling import scaled
from tieline.simulation.summary import SameJobs, Summary, same_jobs, summarise

#: Replays the trace at hand. Equal arguments come more than once, so it should remember.
Run = Callable[[Network, Policy], Replay]

#: By what share the mean completion time may be longer to count as nearly the same.
NEAR: Final = 0.01


@dataclass(frozen=True)
class Needs:
    """Networks of equal service: a policy on the joined network against separate centres.

    None where even the largest network tried does not serve as well.
    """

    separate: EqualService | None
    """What separate centres need for the service the joined network gives."""
    separate_near: EqualService | None
    """The same, for a mean completion time at most `NEAR` longer."""
    joined: EqualService | None
    """What the joined network needs for the service separate centres give."""


@dataclass(frozen=True)
class AtScale:
    """All policies on the network at one scale."""

    scale: float
    network: Network
    replays: Mapping[str, Replay]
    summaries: Mapping[str, Summary]
    """By policy, as `replays`."""
    same_jobs: SameJobs | None
    """None when every policy ran the same jobs."""
    needs: Mapping[str, Needs] = field(default_factory=dict)
    """By joined policy; empty when it was not asked for."""


@dataclass(frozen=True)
class Comparison:
    """Everything one call of `tieline replay` answers."""

    network: Network
    """As it stands in its file, scale 1."""
    trace: Trace
    recorded_on: str
    """Accelerator on which the run times of the trace hold."""
    conditions: Conditions
    scales: tuple[AtScale, ...]
    """At least one."""


def compare(base: Network, scale: float, policies: Sequence[Policy], run: Run) -> AtScale:
    """Replay every policy on the network with its nodes times `scale`, and sum up."""
    network = scaled(base, scale)
    replays = {policy.name: run(network, policy) for policy in policies}
    bounds: dict[bytes, Bound | None] = {}
    for replay in replays.values():
        key = replay.ran.tobytes()
        if key not in bounds:
            bounds[key] = bound_of(replay) if replay.ran.any() else None
    return AtScale(
        scale,
        network,
        replays,
        {
            name: summarise(replay, bounds[replay.ran.tobytes()])
            for name, replay in replays.items()
        },
        same_jobs(list(replays.values())),
    )


def equal_services(
    base: Network, at: AtScale, separate: Policy, joined: Sequence[Policy], run: Run
) -> dict[str, Needs]:
    """Give what separate centres need for the service of the joined network, and the reverse.

    Parameters
    ----------
    separate
        The policy of separate centres.
    joined
        Policies on the joined network, each compared with separate centres at the same scale.
    """

    def needed(policy: Policy, like: Policy, slack: float = 0.0) -> EqualService | None:
        target = run(at.network, like)
        return equal_service(target, base, lambda network: run(network, policy), slack=slack)

    return {
        one.name: Needs(needed(separate, one), needed(separate, one, NEAR), needed(one, separate))
        for one in joined
    }
