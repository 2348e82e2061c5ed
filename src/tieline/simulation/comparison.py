"""Several policies on several sizes of one network, with one trace: what a replay answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tieline.model.network import Network
from tieline.scheduling.policy import Policy
from tieline.simulation.bound import Bound, bound_of
from tieline.simulation.equal_service import EqualService, equal_service
from tieline.simulation.replay import Replay
from tieline.simulation.scaling import scaled
from tieline.simulation.summary import SameJobs, Summary, same_jobs, summarise

#: Replays the trace at hand. Equal arguments come more than once, so it should remember.
Run = Callable[[Network, Policy], Replay]

#: How much longer the mean completion time may be in an answer about equal service.
SLACKS: Final = (0.0, 0.01)


@dataclass(frozen=True)
class Needed:
    """What one policy needs to serve as well as another does at the scale at hand."""

    policy: str
    """The policy whose accelerators are counted."""
    like: str
    """The policy whose service is to be reached."""
    slack: float
    """By what share the mean completion time may be longer."""
    found: EqualService | None
    """None when even the largest network tried does not reach it."""


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
    needed: tuple[Needed, ...] = ()


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
    base: Network, at: AtScale, isolated: Policy, joined: Sequence[Policy], run: Run
) -> tuple[Needed, ...]:
    """Give what separate centres need for the service of the joined network, and the reverse.

    Parameters
    ----------
    isolated
        The policy of separate centres.
    joined
        Policies on the joined network, each compared with separate centres.
    """

    def needed(one: Policy, like: Policy, slack: float) -> Needed:
        target = run(at.network, like)
        found = equal_service(target, base, lambda network: run(network, one), slack=slack)
        return Needed(one.name, like.name, slack, found)

    pairs = [pair for one in joined for pair in ((isolated, one), (one, isolated))]
    return tuple(needed(one, like, slack) for one, like in pairs for slack in SLACKS)
