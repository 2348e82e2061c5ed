"""What is asked of Slurm and what it says, whichever way it is reached.

Job ids are reused after a crash of the controller, so a job is what has the token as its name
and the mark of the account's folder as its comment; its id only says where to look.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tieline.model.errors import EngineUnavailable, OrderRefused
from tieline.model.network import Pool

#: A job in one of these is over; `FAILED` and the like need no further look.
_LIVE: Final = frozenset(
    {
        "PENDING",
        "RUNNING",
        "SUSPENDED",
        "COMPLETING",
        "CONFIGURING",
        "REQUEUED",
        "REQUEUE_FED",
        "REQUEUE_HOLD",
        "RESIZING",
        "SIGNALING",
        "SPECIAL_EXIT",
        "STAGE_OUT",
        "STOPPED",
    }
)
_HOLDING: Final = frozenset(
    {"RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT"}
)
_STUCK: Final = ("launch failed requeued held", "job requeued in held state", "jobholdmaxrequeue")
#: What Slurm says of a submission that no waiting will cure.
_NEVER: Final = (
    "invalid partition",
    "invalid generic resource",
    "invalid account",
    "invalid qos",
    "invalid job array",
    "invalid user id",
    "requested node configuration is not available",
    "more processors requested than permitted",
    "node count specification invalid",
    "user's group not permitted",
    "time limit specification required",
    "requested time limit is invalid",
)


@dataclass(frozen=True, slots=True)
class Batch:
    """One submission."""

    token: str
    mark: str
    """Tells jobs of one folder from those of another network with tokens of the same name."""
    script: str
    directory: str
    output: str
    nodes: int
    gres: str | None
    """Per node, such as `gpu:h200:8`; None where `gpus` says it for all nodes together."""
    gpus: str | None
    partition: str | None
    minutes: int | None
    """None: without end."""
    account: str | None
    qos: str | None
    cpus: int | None
    """Per node."""
    memory: int | None
    """Per node [MiB]."""


@dataclass(frozen=True, slots=True)
class Row:
    """One job as Slurm shows it."""

    id: int
    name: str
    state: str
    reason: str
    exit_code: int | None = None
    mark: str = ""

    @property
    def live(self) -> bool:
        """Whether it runs, or may yet."""
        return self.state in _LIVE

    @property
    def holds(self) -> bool:
        """Whether it has accelerators."""
        return self.state in _HOLDING

    @property
    def waits(self) -> bool:
        """Whether it is in the queue."""
        return self.live and not self.holds

    @property
    def stuck(self) -> bool:
        """Whether it waits for an operator because Slurm could not start it."""
        reason = self.reason.lower().replace("_", " ")
        return self.waits and reason.startswith(_STUCK)

    @property
    def refused(self) -> bool:
        """Whether it is the ghost that a refused submission leaves behind."""
        return self.state == "FAILED" and self.reason.lower() == "badconstraints"


@dataclass(frozen=True, slots=True)
class Node:
    """One machine."""

    name: str
    partitions: frozenset[str]
    works: bool
    """Whether it takes new work."""
    gres: Mapping[str, int]
    """By name and type, such as `gpu:h200`."""
    used: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Partition:
    """One queue."""

    name: str
    default: bool
    up: bool
    most_minutes: int | None
    """Longest time limit; None: none."""


class Slurm(Protocol):
    """The way to one cluster, for all accounts; `user` says on whose behalf.

    Raises `EngineUnavailable` when there is no answer in time.
    """

    def submit(self, user: str, batch: Batch) -> int:
        """Give the job id of a new job; `OrderRefused` when Slurm will never take it."""

    def named(self, user: str, token: str) -> Sequence[Row]:
        """Give all jobs of that name."""

    def rows(
        self, user: str, wanted: Mapping[str, int | None], within_s: float
    ) -> Mapping[str, Sequence[Row]]:
        """Give the jobs of some tokens, whose ids are known or not.

        What would cost too much is left out: a token that is absent was not looked for.
        """

    def end(
        self, user: str, token: str, number: int, within_s: float, *, waiting: bool = False
    ) -> None:
        """Ask for the end of the job of that id and name, or only if it waits in the queue.

        Nothing happens when there is none.
        """

    def nodes(self, user: str, within_s: float) -> Sequence[Node]:
        """Give all nodes."""

    def partitions(self, user: str, within_s: float) -> Sequence[Partition]:
        """Give all partitions."""

    def close(self) -> None:
        """Let go of connections."""


def refusal(site: str, token: str, reason: str) -> EngineUnavailable | OrderRefused:
    """Give the error for a submission that failed: for good, or for now."""
    if any(words in reason.lower() for words in _NEVER):
        return OrderRefused(f"order {token!r}: Slurm of site {site} refuses it: {reason}")
    return EngineUnavailable(f"site {site}: Slurm does not take a job: {reason}")


def exit_code(status: int) -> int | None:
    """Give the exit code in a wait status of Slurm; None when a signal ended it."""
    return status >> 8 if status & 0x7F == 0 else None


def read_gres(text: str) -> dict[str, int]:
    """Give amounts by name and type, from text such as `gpu:h200:8(S:0-1),npu:4`."""
    found: dict[str, int] = {}
    for item in re.sub(r"\([^()]*\)", "", text).split(","):
        match = re.fullmatch(r"([^:]+(?::[^:]+)?):(\d{1,9})", item.strip())
        if match:
            found[match[1]] = found.get(match[1], 0) + int(match[2])
    return found


def amount(gres: Mapping[str, int], wanted: str) -> int:
    """Give how many there are of `gpu:h200`, or of any type of `gpu`."""
    if ":" in wanted:
        return gres.get(wanted, 0)
    return sum(number for name, number in gres.items() if name.partition(":")[0] == wanted)


def queue_of(pool: Pool, partitions: Sequence[Partition]) -> Partition | None:
    """Give the partition of a pool: the one it names, else the default one of the site."""
    for partition in partitions:
        if partition.name == pool.partition or (pool.partition is None and partition.default):
            return partition
    return None


def node_works(states: Sequence[str]) -> bool:
    """Tell whether a node takes new work, from its state and the flags of that."""
    usual = {"IDLE", "MIXED", "ALLOCATED"}
    harmless = {"PLANNED", "COMPLETING", "CLOUD", "POWERED_DOWN", "POWERING_UP", "DYNAMIC_NORM"}
    names = {state.upper() for state in states}
    return bool(names & usual) and names <= usual | harmless
