"""From a placed job to the order that its site is handed. Pure."""

from tieline.control.ports import JobRecord, RunOrder
from tieline.model.errors import OrderRefused
from tieline.model.network import Pool


def run_order(record: JobRecord, pool: Pool, own_stack: str) -> RunOrder:
    """Give the order for the present attempt of a job.

    The command is the one for the accelerator's own stack where the job has one, else for
    the first of the job's stacks that the pool has.

    Parameters
    ----------
    own_stack
        The stack of the pool's accelerator.

    Raises
    ------
    OrderRefused
        The pool has none of the job's stacks: the network has changed since it was placed.
    """
    spec = record.spec
    installed = pool.stacks or {own_stack}
    command = next(
        (
            spec.commands[stack]
            for stack in (own_stack, *spec.commands)
            if stack in installed and stack in spec.commands
        ),
        None,
    )
    if command is None:
        has = ", ".join(sorted(installed))
        raise OrderRefused(f"built for {' and '.join(spec.commands)}; {pool.id} has {has}")
    return RunOrder(
        token=record.token,
        job_id=record.id,
        tenant=spec.tenant,
        pool=pool.id,
        count=record.size,
        command=command,
        env=spec.env,
        time_limit_s=spec.time_limit_s,
        attempt=record.attempt,
        grace_s=spec.restart_s if spec.preemptible else 0.0,
        may_run_again=spec.preemptible or spec.idempotent,
    )
