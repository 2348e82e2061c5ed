"""Which work may be where: trust and residency."""

from collections.abc import Iterable

from tieline.model.network import Dataset, Pool


def effective_sensitivity(stated: str, datasets: Iterable[Dataset]) -> frozenset[str]:
    """Give every sensitivity a pool must be trusted with: the job's own and its data's.

    Where anything is more than `open`, being trusted with open work is not asked for.
    """
    found = frozenset({stated, *(dataset.sensitivity for dataset in datasets)})
    return found - {"open"} or found


def trusted(pool: Pool, sensitivities: frozenset[str]) -> bool:
    """Whether the pool may serve work with all of these sensitivities."""
    return sensitivities <= pool.trust


def may_reside(region: str, residency: frozenset[str], datasets: Iterable[Dataset]) -> bool:
    """Whether the job's and all its datasets' residency rules allow the region."""
    rules = [residency, *(dataset.residency for dataset in datasets)]
    return all(not allowed or region in allowed for allowed in rules)
