"""Which kinds of job may use which pools: every typed reason, alone and together."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.control.state import State
from tieline.model.accelerator import Accelerator, Figure, Rate
from tieline.model.job import JobKind
from tieline.model.network import Dataset, Link, Network, Pool, Region, Site, Tenant
from tieline.model.rates import RateBook
from tieline.model.reasons import NEVER, WORDS, Reason
from tieline.model.workload import Workload
from tieline.rules.access import effective_sensitivity, may_reside
from tieline.rules.quota import UNLIMITED, quota, total_quota
from tieline.scheduling.policies.fifo import FIFO
from tieline.scheduling.policies.isolated import ISOLATED
from tieline.scheduling.policy import Policy

TRAINING = Workload("training")
CHIP = Accelerator(
    "chip",
    "Chip",
    "V",
    "US",
    "cuda",
    figures={"memory_gb": Figure(80.0, "GB", "here", "2026", "high")},
    rates={"training": Rate(0.5, "assumed", ""), "decode": Rate(0.0, "assumed", "")},
)
BASE = Accelerator("base", "Base", "V", "US", "cuda", rates={"training": Rate(1.0, "assumed", "")})

POOL = Pool("s/chip", "s", "chip", 2, 4, trust=frozenset({"open", "sensitive"}))
NETWORK = Network(
    "made",
    (Region("r"), Region("q"), Region("island")),
    (Site("s", "r", (POOL,)),),
    links=(Link(("r", "q"), 1e9),),
    tenants=(Tenant("t", home="s", quotas={"chip": 8, "total": 8}), Tenant("away")),
    datasets=(
        Dataset("here", 1e9, frozenset({"s"})),
        Dataset("bound", 1e9, frozenset({"s"}), residency=frozenset({"q"})),
        Dataset("secret", 1e9, frozenset({"s"}), sensitivity="sensitive"),
    ),
)
KIND = JobKind("t", TRAINING, 4)


def found(kind: JobKind, network: Network = NETWORK, policy: Policy = FIFO) -> Reason:
    """Give the reasons that keep a kind off the first pool for good."""
    chips = {"chip": CHIP, "base": BASE}
    state = State(network, policy, chips, RateBook(chips, relative_to="base"))
    row = state.intern(kind)
    bars = Reason(int(state.bars()[row, 0]))
    assert (state.rates_by_pool()[row, 0] > 0) == (not bars)
    return bars


def with_pool(**changes: object) -> Network:
    """Give the network with its pool changed."""
    pool = replace(POOL, **changes)  # type: ignore[arg-type]
    return replace(NETWORK, sites=(replace(NETWORK.sites[0], pools=(pool,)),))


def test_a_job_with_nothing_against_it_may_run() -> None:
    """No reason is found, and the rate is the accelerator's."""
    assert found(KIND) == Reason(0)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (replace(KIND, stacks=frozenset({"cann"})), Reason.STACK),
        (replace(KIND, memory_bytes=80.1e9), Reason.MEMORY),
        (replace(KIND, residency=frozenset({"q"})), Reason.RESIDENCY),
        (replace(KIND, datasets=("bound",)), Reason.RESIDENCY),
        (replace(KIND, sensitivity="secret"), Reason.TRUST),
        (replace(KIND, workload=Workload("decode")), Reason.SPEED),
        (replace(KIND, tenant="away", count=9), Reason.GANG),
        (replace(KIND, count=9), Reason.GANG | Reason.QUOTA),
        (
            replace(KIND, stacks=frozenset({"cann"}), memory_bytes=1e15),
            Reason.STACK | Reason.MEMORY,
        ),
    ],
)
def test_each_reason_is_found_and_no_other(kind: JobKind, reason: Reason) -> None:
    """What is wrong is named, all of it and nothing else."""
    assert found(kind) == reason
    assert reason & NEVER == reason


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        (replace(KIND, stacks=frozenset({"cann", "cuda"})), NETWORK),  # one of several
        (replace(KIND, stacks=frozenset({"rocm"})), with_pool(stacks=frozenset({"rocm"}))),
        (replace(KIND, memory_bytes=80e9), NETWORK),  # exactly
        (replace(KIND, residency=frozenset({"r", "q"})), NETWORK),
        (replace(KIND, sensitivity="sensitive"), NETWORK),
        (replace(KIND, datasets=("here", "secret")), NETWORK),
        (replace(KIND, count=8), NETWORK),  # the whole pool, the whole quota
    ],
)
def test_the_edge_of_each_rule_is_inside(kind: JobKind, network: Network) -> None:
    """A rule that is just kept keeps nobody out."""
    assert found(kind, network) == Reason(0)


def test_a_pool_is_trusted_with_what_it_lists_alone() -> None:
    """Sensitive work, or work on sensitive data, goes only where `sensitive` is listed."""
    open_only = with_pool(trust=frozenset({"open"}))
    assert found(replace(KIND, sensitivity="sensitive"), open_only) == Reason.TRUST
    assert found(replace(KIND, datasets=("secret",)), open_only) == Reason.TRUST
    assert found(KIND, open_only) == Reason(0)


def test_stacks_of_a_pool_replace_that_of_its_accelerator() -> None:
    """A pool that lists its stacks has those and no other."""
    rocm = with_pool(stacks=frozenset({"rocm"}))
    assert found(replace(KIND, stacks=frozenset({"cuda"})), rocm) == Reason.STACK


def test_data_that_cannot_come_bars_the_region() -> None:
    """Without a link from the data's region no pool there can run the job."""
    island = replace(NETWORK, sites=(replace(NETWORK.sites[0], region="island"),))
    far = Site("far", "r", (replace(POOL, id="far/chip", site="far"),))
    data = replace(NETWORK.datasets[0], replicas=frozenset({"far"}))
    network = replace(island, sites=(*island.sites, far), datasets=(data,))
    assert found(replace(KIND, datasets=("here",)), network) == Reason.LINK


def test_home_counts_only_where_tenants_stay_at_home() -> None:
    """A pool away from home is barred under `isolated` alone."""
    second = Site("s2", "r", (replace(POOL, id="s2/chip", site="s2"),))
    network = replace(NETWORK, sites=(second, *NETWORK.sites))
    assert found(KIND, network, ISOLATED) == Reason.HOME
    assert found(KIND, network, FIFO) == Reason(0)
    assert found(replace(KIND, tenant="away"), network, ISOLATED) == Reason.HOME


def test_a_single_site_is_everybodys_home() -> None:
    """A tenant without a home, or one nobody has heard of, is at home on the only site."""
    assert found(replace(KIND, tenant="away"), policy=ISOLATED) == Reason(0)
    assert found(replace(KIND, tenant="new"), policy=ISOLATED) == Reason(0)


def test_every_reason_has_its_words() -> None:
    """No reason is left without a sentence for the user, and each has one bit of its own."""
    assert set(WORDS) == set(Reason)
    assert all(WORDS.values())
    assert len({int(reason) for reason in Reason}) == len(Reason)
    assert max(Reason) <= np.iinfo(np.uint32).max


# -------------------------------------------------------------------------------- rules
names = st.sampled_from(["open", "sensitive", "secret"])
places = st.frozensets(st.sampled_from(["r", "q", "p"]))


@given(names, st.lists(names, max_size=3))
def test_data_makes_a_job_at_least_as_sensitive_as_itself(job: str, data: list[str]) -> None:
    """A pool must be trusted with all that is above open, or with open when nothing is."""
    datasets = [Dataset(f"d{i}", 1.0, sensitivity=name) for i, name in enumerate(data)]
    above = {job, *data} - {"open"}
    assert effective_sensitivity(job, datasets) == (above or {"open"})


@given(places, st.lists(places, max_size=3), st.sampled_from(["r", "q", "p"]))
def test_every_residency_rule_must_allow_a_region(
    job: frozenset[str], data: list[frozenset[str]], region: str
) -> None:
    """The job's rule and each dataset's hold together; an empty one allows all."""
    datasets = [Dataset(f"d{i}", 1.0, residency=rule) for i, rule in enumerate(data)]
    allowed = {"r", "q", "p"}
    for rule in (job, *data):
        allowed &= rule or allowed
    assert may_reside(region, job, datasets) == (region in allowed)


@given(st.dictionaries(st.sampled_from(["chip", "total"]), st.integers(0, 99)))
def test_quotas_are_what_the_tenant_has_or_none(quotas: dict[str, int]) -> None:
    """A quota of 0 is a quota; without one there is no limit."""
    tenant = Tenant("t", quotas=quotas)
    assert quota(tenant, "chip") == quotas.get("chip", UNLIMITED)
    assert total_quota(tenant) == quotas.get("total", UNLIMITED)
