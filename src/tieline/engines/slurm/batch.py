"""What Slurm is asked for when a run is submitted."""

import hashlib
import math
import shlex
from collections.abc import Sequence
from typing import Final

from tieline.control.ports import RunOrder
from tieline.engines.slurm.agent import OUTPUT
from tieline.engines.slurm.jobs import Batch, Partition, queue_of
from tieline.engines.slurm.link import Place
from tieline.engines.slurm.options import Options
from tieline.model.errors import OrderRefused
from tieline.model.network import Pool

_MARK: Final = "tieline-"
#: Marks of the engine are looked for so often [s].
_POLL_S: Final = 1.0
#: Between what the wrapper sees to itself and the limit that Slurm is told [s].
_SLACK_S: Final = 60.0


def shape(order: RunOrder, pool: Pool) -> tuple[int, str | None, str | None]:
    """Give nodes, accelerators per node and accelerators in all, of which one is None.

    As few nodes as can be. Each holds the same number where that is possible; else only GPUs
    can be asked for without saying how many are on which node.
    """
    gres, count = str(pool.gres), order.count
    fewest = math.ceil(count / pool.accelerators_per_node)
    if count % fewest == 0:
        return fewest, f"{gres}:{count // fewest}", None
    if gres.partition(":")[0] == "gpu":
        return fewest, None, f"{gres.partition(':')[2]}:{count}".lstrip(":")
    for nodes in range(fewest + 1, pool.nodes + 1):
        if count % nodes == 0:
            return nodes, f"{gres}:{count // nodes}", None
    raise OrderRefused(
        f"order {order.token!r}: {count} accelerators of {pool.id} cannot be spread evenly over "
        f"its {pool.nodes} nodes, and Slurm takes no other request for {gres}"
    )


def partition_of(order: RunOrder, pool: Pool, partitions: Sequence[Partition]) -> Partition:
    """Give the partition that an order goes to; the default one where the pool names none."""
    if partition := queue_of(pool, partitions):
        return partition
    known = ", ".join(partition.name for partition in partitions)
    wanted = f"partition {pool.partition}" if pool.partition else "default partition"
    raise OrderRefused(f"order {order.token!r}: the site has no {wanted}; it has: {known}")


def minutes(order: RunOrder, grace_s: float, partition: Partition) -> int | None:
    """Give the time limit to ask for [min]; None: without end.

    The wrapper keeps the limit of the order. Slurm's lies behind it, so that what is left can
    save its state; without one it is the longest that the partition allows, as the default may
    be short.
    """
    most, limit_s = partition.most_minutes, order.time_limit_s
    if limit_s is None:
        return most
    if most is not None and limit_s > 60 * most:
        raise OrderRefused(
            f"order {order.token!r}: a time limit of {limit_s:.10g} s is above the "
            f"{most} min that partition {partition.name} allows"
        )
    wanted = math.ceil((limit_s + grace_s + _SLACK_S) / 60)
    return wanted if most is None else min(wanted, most)


def mark(directory: str, user: str) -> str:
    """Give what marks the jobs of an account's folder, whatever their names."""
    folder = f"{directory}/{user}"
    return f"{_MARK}{hashlib.sha256(folder.encode()).hexdigest()[:16]}"


def is_mark(text: str) -> bool:
    """Tell whether a comment marks a job of some network."""
    return text.startswith(_MARK)


def make_batch(
    order: RunOrder,
    pool: Pool,
    options: Options,
    partition: Partition,
    place: Place,
) -> Batch:
    """Give the submission for an order whose run directory is there."""
    nodes, gres, gpus = shape(order, pool)
    share = math.ceil(order.count / nodes)
    run = f"{place.folder}/runs/{order.token}"
    words = (options.python, "-I", "-S", place.wrapper, run)
    cpus, memory = options.cpus_per_accelerator, options.memory_per_accelerator
    return Batch(
        token=order.token,
        mark=mark(options.directory, place.user),
        script=f"#!/bin/sh\nexec {shlex.join(words)}\n",
        directory=run,
        output=f"{run}/{OUTPUT}",
        nodes=nodes,
        gres=gres,
        gpus=gpus,
        partition=pool.partition,
        minutes=minutes(order, grace_s(order, options), partition),
        account=options.account,
        qos=options.qos,
        cpus=cpus and cpus * share,
        memory=memory and memory * share,
    )


def grace_s(order: RunOrder, options: Options) -> float:
    """Give the time between asking a run to end and killing it [s]."""
    return max(options.grace, order.grace_s)


def wrapper_order(
    order: RunOrder, pool: Pool, options: Options, place: Place
) -> dict[str, object]:
    """Give what the wrapper is to run."""
    workdir = (options.workdir or place.home).replace("{user}", place.user)
    leased = options.lease is not None and order.may_run_again
    return {
        "token": order.token,
        "job_id": order.job_id,
        "tenant": order.tenant,
        "command": order.command,
        "env": dict(order.env),
        "time_limit_s": order.time_limit_s,
        "workdir": workdir,
        "grace_s": grace_s(order, options),
        "attempt": order.attempt,
        "pool": pool.id,
        "count": order.count,
        "accelerator": pool.accelerator,
        "poll_s": min(_POLL_S, options.heartbeat / 4),
        "lease_s": options.heartbeat,
        "site_lease": f"{place.folder}/site-lease" if leased else None,
        # The run has to be over when the lease is.
        "lease_grace_s": min(grace_s(order, options), (options.lease or 0) / 2),
    }
