"""A job against a network: what it asks for that the network does not have."""

import pytest

from tieline.files.document import Document
from tieline.files.fit import Offer, job_faults, name_faults, nowhere, usable_pools
from tieline.files.job import job_from_dict, job_to_dict, jobs_from
from tieline.files.network import network_from
from tieline.files.problems import FileErrors
from tieline.files.syntax import parse
from tieline.model.job import JobSpec

NETWORK = """\
regions: [{id: east}, {id: west}]
sites:
  - id: east-1
    region: east
    pools:
      - {accelerator: nvidia-h20-96, nodes: 4, accelerators_per_node: 8}
      - {accelerator: nvidia-l20, nodes: 1, accelerators_per_node: 8}
  - id: west-1
    region: west
    pools:
      - {accelerator: huawei-910b2, nodes: 1, accelerators_per_node: 8, trust: [sensitive]}
tenants: [{id: lab, quotas: {total: 24}}, {id: other}]
datasets: [{id: corpus, size: 1TB, sensitivity: sensitive}]
"""
SMALL = """\
tenant: lab
workload: {class: hpc}
accelerators: {count: 1}
stacks: {cuda: {command: run}}
"""


def offer(text: str = NETWORK) -> Offer:
    """Give what a network has for jobs."""
    return Offer(network_from(parse(text, "net.yaml"), name="net"))


def job(**fields: object) -> JobSpec:
    """Give a small job with some fields changed."""
    return job_from_dict(job_to_dict(jobs_from(parse(SMALL, "job.yaml"))[0]) | fields)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            {"tenant": "lba"}, "tenant: unknown tenant 'lba'; did you mean lab?", id="tenant"
        ),
        pytest.param(
            {"datasets": ["corpse"]},
            "datasets[0]: unknown dataset 'corpse'; did you mean corpus?",
            id="dataset",
        ),
        pytest.param(
            {"residency": ["est"]},
            "residency: unknown region 'est'; did you mean west, east?",
            id="region",
        ),
        pytest.param(
            {"sensitivity": "secret"},
            "sensitivity: unknown sensitivity 'secret'; allowed: open, sensitive",
            id="sensitivity",
        ),
        pytest.param(
            {"estimate_on": "nvidia-h20"},
            "estimate_on: unknown accelerator 'nvidia-h20'; did you mean nvidia-h20-96, "
            "nvidia-h20-141, nvidia-h200-nvl? (tieline accelerators lists all)",
            id="accelerator",
        ),
        pytest.param(
            {"stacks": {"rocm": {"command": "run"}}},
            "stacks: no pool has rocm; net has: cann, cuda",
            id="stack that no pool has",
        ),
        pytest.param(
            {"stacks": {"cuda": {"command": "run"}, "cnan": {"command": "run"}}},
            "stacks.cnan: unknown stack 'cnan'; did you mean cann, cuda?",
            id="stack that nobody knows",
        ),
        pytest.param(
            {"accelerators": {"count": 33}, "tenant": "other"},
            "accelerators.count: 33 accelerators; "
            "the largest pool with cuda is east-1/nvidia-h20-96 with 32",
            id="gang larger than any pool",
        ),
        pytest.param(
            {"accelerators": {"count": 9}, "stacks": {"cann": {"command": "run"}}},
            "accelerators.count: 9 accelerators; "
            "the largest pool with cann is west-1/huawei-910b2 with 8",
            id="gang larger than any pool with its stack",
        ),
        pytest.param(
            {"accelerators": {"count": 25}},
            "accelerators.count: 25 accelerators; lab may use at most 24 at once",
            id="gang larger than the quota",
        ),
        pytest.param(
            {"accelerators": {"count": 64, "min": 40}, "tenant": "other"},
            "accelerators.min: 40 accelerators; "
            "the largest pool with cuda is east-1/nvidia-h20-96 with 32",
            id="least size larger than any pool",
        ),
        pytest.param(
            {"memory_gb": 141},
            "memory_gb: 141 GB; the most on an accelerator with cuda is 96 GB",
            id="memory",
        ),
    ],
)
def test_job_against_network(change: dict[str, object], expected: str) -> None:
    """A job that asks for what the network has not is told what the network has."""
    with pytest.raises(FileErrors) as raised:
        Document("job", change).demand(job_faults(job(**change), offer()))
    assert str(raised.value) == f"job: {expected}"


def test_a_job_that_can_do_with_less_may_ask_for_more() -> None:
    """What counts is the least it can run on, for pools as for quotas."""
    spec = job(accelerators={"count": 64, "min": 8})
    assert list(job_faults(spec, offer())) == []
    assert usable_pools(spec, offer()) != ()


def test_stack_of_another_network() -> None:
    """A stack that no pool has does no harm beside one that a pool has."""
    both = {stack: {"command": "run"} for stack in ("cuda", "rocm")}
    assert list(job_faults(job(stacks=both), offer())) == []


def test_network_without_tenants() -> None:
    """Where a network names no tenants, everybody may submit."""
    spec = job(tenant="anybody")
    assert list(job_faults(spec, offer())) != []
    assert list(job_faults(spec, offer(NETWORK.replace("tenants:", "#")))) == []


def test_only_names() -> None:
    """Names alone can be asked for; what is too large or has no stack is no fault of names."""
    assert list(name_faults(job(accelerators={"count": 1000}), offer())) == []
    faults = list(name_faults(job(tenant="nobody", datasets=["none"]), offer()))
    assert [fault.loc for fault in faults] == [("tenant",), ("datasets", 0)]


def test_usable_pools() -> None:
    """The pools a job can run on are those that no rule keeps it off."""
    assert [pool.id for pool in usable_pools(job(), offer())] == [
        "east-1/nvidia-h20-96",
        "east-1/nvidia-l20",
    ]
    gang = job(accelerators={"count": 9})
    assert [pool.id for pool in usable_pools(gang, offer())] == ["east-1/nvidia-h20-96"]
    stacks = {stack: {"command": "run"} for stack in ("cuda", "cann")}
    private = job(datasets=["corpus"], sensitivity="sensitive", stacks=stacks)
    assert [pool.id for pool in usable_pools(private, offer())] == ["west-1/huawei-910b2"]


def test_nowhere_to_run() -> None:
    """A job that passes every single rule and no pool is told why, reason by reason."""
    spec = job(sensitivity="sensitive")
    assert list(job_faults(spec, offer())) == []
    assert usable_pools(spec, offer()) == ()
    fault = nowhere(spec, offer())
    assert fault.found == "no pool of net can run it"
    assert fault.allowed == (
        "of 3 pools, 2: the pool is not trusted with this sensitivity, "
        "1: built for another software stack"
    )
