"""How slurmrestd names things: all that differs between versions of its interface.

A new version is one more entry of `DIALECTS`.

Traps of v0.0.38, all seen with Slurm 22.05: `requeue: false` is taken and does nothing, while
`no_requeue` works and is not documented; one unknown key refuses the whole submission; an
empty environment is refused; `exit_code` is a wait status; the HTTP status says little.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tieline.engines.slurm.jobs import (
    Batch,
    Node,
    Partition,
    Row,
    exit_code,
    node_works,
    read_gres,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version of the interface."""

    submission: Callable[[Batch, Mapping[str, str]], Mapping[str, object]]
    """Gives the body of a submission, from it and the environment of its script."""
    row: Callable[[Mapping[str, object]], Row | None]
    node: Callable[[Mapping[str, object]], Node | None]
    partition: Callable[[Mapping[str, object]], Partition | None]


def _submission_38(batch: Batch, environment: Mapping[str, str]) -> Mapping[str, object]:
    job = {
        "name": batch.token,
        "comment": batch.mark,
        "current_working_directory": batch.directory,
        "standard_output": batch.output,
        "environment": dict(environment),
        "nodes": batch.nodes,
        "tasks": batch.nodes,
        "tasks_per_node": 1,
        "gres": batch.gres,
        "gpus": batch.gpus,
        "partition": batch.partition,
        "time_limit": _UNLIMITED if batch.minutes is None else batch.minutes,
        "account": batch.account,
        "qos": batch.qos,
        "cpus_per_task": batch.cpus,
        "memory_per_node": batch.memory,
        "no_requeue": True,
    }
    given = {name: value for name, value in job.items() if value is not None}
    return {"script": batch.script, "job": given}


def _row_38(job: Mapping[str, object]) -> Row | None:
    number, name, state, reason, status = (
        job.get(key) for key in ("job_id", "name", "job_state", "state_reason", "exit_code")
    )
    if not isinstance(number, int) or not isinstance(name, str) or not isinstance(state, str):
        return None
    code = exit_code(status) if isinstance(status, int) else None
    return Row(number, name, state.upper(), str(reason or ""), code, str(job.get("comment")))


def _node_38(node: Mapping[str, object]) -> Node | None:
    name, state = node.get("name"), node.get("state")
    if not isinstance(name, str) or not isinstance(state, str):
        return None
    return Node(
        name=name,
        partitions=frozenset(_words(node.get("partitions"))),
        works=node_works([state, *_words(node.get("state_flags"))]),
        gres=read_gres(str(node.get("gres"))),
        used=read_gres(str(node.get("gres_used"))),
    )


def _partition_38(partition: Mapping[str, object]) -> Partition | None:
    name, minutes = partition.get("name"), partition.get("max_time_limit")
    if not isinstance(name, str):
        return None
    return Partition(
        name=name,
        default="default" in _words(partition.get("flags")),
        up=partition.get("state") == "UP",
        most_minutes=minutes if isinstance(minutes, int) and 0 < minutes < _UNLIMITED else None,
    )


def _words(value: object) -> Sequence[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


_UNLIMITED: Final = 0xFFFFFFFF
DIALECTS: Final[Mapping[str, Dialect]] = {
    "v0.0.38": Dialect(_submission_38, _row_38, _node_38, _partition_38),
}
