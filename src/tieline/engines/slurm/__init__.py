"""The engine that runs jobs on a Slurm cluster, and what finds out about one."""

from tieline.engines.slurm.discovery import FoundPool, discover
from tieline.engines.slurm.engine import SlurmEngine

__all__ = ["FoundPool", "SlurmEngine", "discover"]
