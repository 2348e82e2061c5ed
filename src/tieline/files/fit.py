"""What a job asks for that a network does not have, or names that it does not know.

For `tieline check` and for submission: each fault is one that no waiting cures.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from tieline.control.layout import empty_snapshot
from tieline.control.replicas import Replicas
from tieline.control.terms import Terms
from tieline.files.problems import Fault, Loc, listed, unknown_name
from tieline.model.accelerator import Accelerator
from tieline.model.catalogue import catalogue, stacks
from tieline.model.job import JobKind, JobSpec
from tieline.model.network import Dataset, Network, Pool, Tenant
from tieline.model.observed_rates import ObservedRates
from tieline.model.rates import RateBook
from tieline.model.reasons import NEVER, WORDS, Reason
from tieline.model.units import BYTES_PER_GB
from tieline.rules.quota import total_quota


class Offer:
    """All that a network has for any job, gathered once for many jobs."""

    def __init__(self, network: Network) -> None:
        """Gather what there is."""
        self.network: Final = network
        accelerators = {**catalogue(), **{one.id: one for one in network.accelerators}}
        self.accelerators: Final[Mapping[str, Accelerator]] = accelerators
        _, empty = empty_snapshot(network)
        self.observed: Final = ObservedRates()
        """What ended jobs show of rates; whoever sees them end may add to it."""
        self.rates: Final = RateBook(
            accelerators, throughputs=network.throughputs, history=self.observed
        )
        self.terms: Final = Terms(network, accelerators, self.rates, empty)
        self.replicas: Final = Replicas(network)
        self.markets: Final = empty.pools["market"].tolist()
        self.tenants: Final[Mapping[str, Tenant]] = {one.id: one for one in network.tenants}
        self.datasets: Final[Mapping[str, Dataset]] = {one.id: one for one in network.datasets}
        self.names: Final[Mapping[str, Collection[str]]] = {
            "dataset": self.datasets.keys(),
            "region": {region.id for region in network.regions},
            "accelerator": accelerators.keys(),
            "sensitivity": {name for pool in network.pools for name in pool.trust},
        }
        self.largest: Final[dict[str, Pool]] = {}
        """The pool with most accelerators, by stack."""
        self.memory: Final[dict[str, float]] = {}
        """The most memory on an accelerator [bytes], by stack; infinite when not known."""
        for pool in network.pools:
            accelerator = accelerators[pool.accelerator]
            for stack in pool.stacks or {accelerator.stack}:
                if pool.capacity > self.largest.setdefault(stack, pool).capacity:
                    self.largest[stack] = pool
                memory = accelerator.memory_bytes or math.inf
                self.memory[stack] = max(memory, self.memory.get(stack, 0.0))


def job_faults(spec: JobSpec, offer: Offer) -> Iterator[Fault]:
    """Give what keeps a job off every pool of a network for good, by field of a job file.

    Unknown names; no pool with any of its stacks; a gang larger than every pool that has one,
    or than the tenant's whole quota; more memory than any such accelerator has.
    """
    yield from name_faults(spec, offer)
    served = [name for name in spec.commands if name in offer.largest]
    if served:
        yield from _sizes(spec, offer, served)
    elif any(name in stacks() for name in spec.commands):
        found = f"no pool has {' or '.join(sorted(spec.commands))}"
        yield Fault(("stacks",), found, f"{offer.network.name} has: {listed(offer.largest)}")


def name_faults(spec: JobSpec, offer: Offer) -> Iterator[Fault]:
    """Give the names in a job that neither the network nor the catalogue knows."""
    if offer.tenants and spec.tenant not in offer.tenants:
        yield unknown_name(("tenant",), "tenant", spec.tenant, offer.tenants)
    for loc, kind, name in _names(spec):
        if name not in offer.names[kind]:
            yield unknown_name(loc, kind, name, offer.names[kind])
    known = {*offer.largest, *stacks()}
    for name in spec.commands:
        if name not in known:
            yield unknown_name(("stacks", name), "stack", name, known)


def usable_pools(spec: JobSpec, offer: Offer) -> tuple[Pool, ...]:
    """Give the pools a job can run on, now or later; only for jobs that have no fault."""
    return tuple(pool for pool, reasons in _bars(spec, offer) if not reasons)


def nowhere(spec: JobSpec, offer: Offer) -> Fault:
    """Give the fault of a job that has no other, and still no pool to run on."""
    counts = Counter(reason for _, reasons in _bars(spec, offer) for reason in reasons)
    words = (f"{count}: {WORDS[reason]}" for reason, count in counts.most_common())
    return Fault(
        (),
        f"no pool of {offer.network.name} can run it",
        f"of {len(offer.network.pools)} pools, {', '.join(words)}",
    )


def _bars(spec: JobSpec, offer: Offer) -> Iterator[tuple[Pool, Reason]]:
    """Give each pool with all that keeps a job off it for good."""
    tenant = offer.tenants.get(spec.tenant, Tenant(spec.tenant))
    kind = replace(JobKind.of(spec), count=_least(spec))
    bars = offer.terms.of(kind, tenant, offer.replicas, 0.0).bars
    for pool, market in zip(offer.network.pools, offer.markets, strict=True):
        gang = Reason.GANG if _least(spec) > pool.capacity else Reason(0)
        yield pool, (Reason(int(bars[market])) | gang) & NEVER


def _least(spec: JobSpec) -> int:
    """Give the fewest accelerators that the job can run on."""
    return spec.min_count or spec.count


def _names(spec: JobSpec) -> Iterator[tuple[Loc, str, str]]:
    """Give place, kind and value of every name in a job."""
    for number, name in enumerate(spec.datasets):
        yield ("datasets", number), "dataset", name
    for name in sorted(spec.residency):
        yield ("residency",), "region", name
    yield ("sensitivity",), "sensitivity", spec.sensitivity
    if spec.estimate_on is not None:
        yield ("estimate_on",), "accelerator", spec.estimate_on
    for name, _ in spec.workload.rates:
        yield ("workload", "rates", name), "accelerator", name


def _sizes(spec: JobSpec, offer: Offer, served: Collection[str]) -> Iterator[Fault]:
    """Give what is too large for every pool with one of the stacks."""
    least = _least(spec)
    gang = ("accelerators", "count" if least == spec.count else "min")
    pool = max((offer.largest[stack] for stack in served), key=lambda pool: pool.capacity)
    having = f"with {' or '.join(sorted(served))}"
    if least > pool.capacity:
        allowed = f"the largest pool {having} is {pool.id} with {pool.capacity}"
        yield Fault(gang, f"{least} accelerators", allowed)
    tenant = offer.tenants.get(spec.tenant)
    if tenant and least > total_quota(tenant):
        allowed = f"{tenant.id} may use at most {total_quota(tenant)} at once"
        yield Fault(gang, f"{least} accelerators", allowed)
    most = max(offer.memory[stack] for stack in served)
    if spec.memory_bytes > most:
        found = f"{spec.memory_bytes / BYTES_PER_GB:g} GB"
        allowed = f"the most on an accelerator {having} is {most / BYTES_PER_GB:g} GB"
        yield Fault(("memory_gb",), found, allowed)
