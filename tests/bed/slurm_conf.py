"""The files that a Slurm cluster of several pretended nodes on one host is set up with.

What is said here about Slurm was tried with 22.05: `config_overrides` lets nodes claim more than
the host has; `cred_expire` makes a job that is put back wait 8 s instead of 121; `MinJobAge`
keeps ended jobs in view, as there is no accounting; GPUs have to be character devices, else
CUDA_VISIBLE_DEVICES stays empty.
"""

import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CPUS: Final = 64


@dataclass(frozen=True)
class Pool:
    """Nodes of one kind: the Slurm type of their GPUs, how many nodes, GPUs of each."""

    type: str
    nodes: int
    gpus: int


@dataclass(frozen=True)
class Plan:
    """What a cluster is set up from; ports are counted from `port`."""

    name: str
    folder: Path
    address: str
    port: int
    pools: Sequence[Pool]

    @property
    def nodes(self) -> dict[str, Pool]:
        """Give the kind of each node, by name."""
        kinds = [pool for pool in self.pools for _ in range(pool.nodes)]
        return {f"{self.name}-n{number}": pool for number, pool in enumerate(kinds, start=1)}

    @property
    def ports(self) -> dict[str, int]:
        """Give the port of each server, by name."""
        servers = ["slurmctld", "slurmrestd", "sshd", *(f"slurmd:{node}" for node in self.nodes)]
        return {server: self.port + number for number, server in enumerate(servers, start=1)}


def write(plan: Plan) -> Path:
    """Write keys, devices and settings of a cluster; give the path of its slurm.conf."""
    etc = plan.folder / "etc"
    for name in ("etc", "state", "spool", "log", "run", "dev"):
        (plan.folder / name).mkdir()
    for name, length, mode in (("munge.key", 128, 0o400), ("jwt.key", 32, 0o600)):
        (etc / name).write_bytes(secrets.token_bytes(length))
        (etc / name).chmod(mode)
    for node, pool in plan.nodes.items():
        (plan.folder / "dev" / node).mkdir()
        for gpu in range(pool.gpus):
            device = plan.folder / "dev" / node / f"gpu{gpu}"
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null
    (etc / "gres.conf").write_text("\n".join(["AutoDetect=off", *gres(plan), ""]))
    conf = etc / "slurm.conf"
    conf.write_text(settings(plan))
    return conf


def gres(plan: Plan) -> Iterator[str]:
    """Give the lines of gres.conf: which devices are the GPUs of a node."""
    for node, pool in plan.nodes.items():
        devices = f"{plan.folder}/dev/{node}/gpu[0-{pool.gpus - 1}]"
        yield f"NodeName={node} Name=gpu Type={pool.type} File={devices}"


def settings(plan: Plan) -> str:
    """Give the text of slurm.conf."""
    folder = plan.folder
    nodes = "\n".join(
        f"NodeName={node} NodeHostname=localhost NodeAddr={plan.address} "
        f"Port={plan.ports['slurmd:' + node]} CPUs={CPUS} RealMemory=512000 "
        f"Gres=gpu:{pool.type}:{pool.gpus} Feature={pool.type} State=UNKNOWN"
        for node, pool in plan.nodes.items()
    )
    return f"""\
ClusterName={plan.name}
SlurmctldHost=localhost({plan.address})
SlurmctldPort={plan.ports["slurmctld"]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock,cred_expire=5
CredType=cred/munge
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key={folder}/etc/jwt.key
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmctldDebug=info
SlurmdDebug=info
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
PropagateResourceLimits=NONE
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobcomp.txt
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,sched_min_interval=10000,batch_sched_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
DefMemPerCPU=100
GresTypes=gpu
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=3
MinJobAge=86400
MaxJobCount=200000
MessageTimeout=60
SlurmctldTimeout=60
SlurmdTimeout=120
ReturnToService=2
SlurmdParameters=config_overrides
{nodes}
PartitionName=batch Nodes=ALL Default=YES MaxTime=7-0 DefaultTime=60 PriorityTier=10
PartitionName=low Nodes=ALL MaxTime=7-0 DefaultTime=60 PriorityTier=1 GraceTime=0
PartitionName=high Nodes=ALL MaxTime=7-0 DefaultTime=60 PriorityTier=100 PreemptMode=OFF
"""
