"""Job files: what they give, and each mistake with its line and words."""

from pathlib import Path

import pytest

from tieline.files.job import job_from_dict, job_to_dict, jobs_from, read_job, read_jobs
from tieline.files.problems import FileErrors
from tieline.files.syntax import parse
from tieline.model.job import JobSpec
from tieline.model.workload import Workload

TEXT = """\
tenant: lab
name: train
workload: {class: training, model: llama-3-8b, rates: {nvidia-h200-sxm: 2.5, huawei-910b2: 0}}
accelerators: {count: 8, min: 4, max: 16, scaling: 0.9}
memory_gb: 60
stacks:
  cuda: {command: "python train.py"}
  cann:
    command: |
      source env.sh
      python train_npu.py
datasets: [corpus]
sensitivity: sensitive
residency: [east, west]
estimate: 2h
estimate_on: nvidia-h20-96
time_limit: 1d
priority: -3
deadline: 2026-12-01T08:00:00.25+08:00
preemptible: true
restart: 5min
checkpoint: 1h
idempotent: yes
env: {OMP_NUM_THREADS: "4"}
"""

SPEC = JobSpec(
    tenant="lab",
    workload=Workload(
        "training",
        "llama-3-8b",
        (("huawei-910b2", 0.0), ("nvidia-h20-96", 1.0), ("nvidia-h200-sxm", 2.5)),
    ),
    count=8,
    commands={"cuda": "python train.py", "cann": "source env.sh\npython train_npu.py\n"},
    name="train",
    memory_bytes=60e9,
    datasets=("corpus",),
    sensitivity="sensitive",
    residency=frozenset({"east", "west"}),
    estimate_s=7200.0,
    estimate_on="nvidia-h20-96",
    time_limit_s=86400.0,
    priority=-3,
    deadline_s=1796083200.25,
    preemptible=True,
    restart_s=300.0,
    checkpoint_s=3600.0,
    idempotent=True,
    env={"OMP_NUM_THREADS": "4"},
    min_count=4,
    max_count=16,
    scaling=0.9,
)

SMALL = """\
tenant: lab
workload: {class: hpc}
accelerators: {count: 1}
stacks: {cuda: {command: run}}
"""


def mistakes(text: str) -> list[str]:
    """Give the mistakes in the text of a job file, without the name of the file."""
    with pytest.raises(FileErrors) as raised:
        jobs_from(parse(text, "job.yaml"))
    return [str(problem).removeprefix("job.yaml:") for problem in raised.value.problems]


def test_every_field_arrives() -> None:
    """A job file gives the job it describes, in seconds and bytes."""
    assert jobs_from(parse(TEXT, "job.yaml")) == (SPEC,)


def test_defaults() -> None:
    """A job file with the four fields that are needed leaves the rest at its default."""
    assert jobs_from(parse(SMALL, "job.yaml")) == (
        JobSpec("lab", Workload("hpc"), 1, {"cuda": "run"}),
    )


def test_dictionary_of_a_job() -> None:
    """A job becomes JSON data in the shape of its file and back, with defaults left out."""
    data = job_to_dict(SPEC)
    assert job_from_dict(data) == SPEC
    assert data["accelerators"] == {"count": 8, "min": 4, "max": 16, "scaling": 0.9}
    assert data["deadline"] == "2026-12-01T00:00:00.250000+00:00"
    assert job_to_dict(JobSpec("lab", Workload("hpc"), 1, {"cuda": "run"})) == {
        "tenant": "lab",
        "workload": {"class": "hpc"},
        "accelerators": {"count": 1},
        "stacks": {"cuda": {"command": "run"}},
    }


def test_dictionary_with_mistakes() -> None:
    """Mistakes in data from elsewhere name their field and have no line."""
    data = job_to_dict(SPEC) | {"estimate": "soon", "kind": "x"}
    data["accelerators"]["count"] = "8"
    with pytest.raises(FileErrors) as raised:
        job_from_dict(data, source="request")
    assert str(raised.value).splitlines() == [
        "request: 3 mistakes",
        "request: accelerators.count: '8'; allowed: a whole number from 1 to 1,000,000",
        (
            "request: estimate: 'soon'; "
            "allowed: seconds, or text such as 90s, 30min, 2h, 1h30m, 1d or 2:30:00"
        ),
        (
            "request: kind: unknown field 'kind'; allowed: accelerators, array, checkpoint, "
            "datasets, deadline, env, estimate, estimate_on, idempotent, memory_gb, name, "
            "preemptible and 8 more"
        ),
    ]


def test_job_that_no_file_may_hold() -> None:
    """A job made with wrong values is refused when it is to become data."""
    wrong = JobSpec("lab", Workload("hpc"), 0, {"cuda": "run"})
    with pytest.raises(FileErrors, match=r"job: accelerators\.count: 0; allowed"):
        job_to_dict(wrong)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "tenant: lab\n",
            "",
            "1: tenant: missing; needed: id of the tenant it belongs to",
            id="tenant",
        ),
        pytest.param(
            "class: training",
            "class: trainig",
            "3: workload.class: unknown workload class 'trainig'; did you mean training?",
            id="class",
        ),
        pytest.param(
            "count: 8",
            "count: -8",
            "4: accelerators.count: -8; allowed: a whole number from 1 to 1,000,000",
            id="negative gang",
        ),
        pytest.param(
            "count: 8",
            "count: 80000000",
            "4: accelerators.count: 80000000; allowed: a whole number from 1 to 1,000,000",
            id="absurd gang",
        ),
        pytest.param(
            "min: 4", "min: 9", "4: accelerators.min: 9; allowed: at most the count, 8", id="min"
        ),
        pytest.param(
            "max: 16", "max: 7", "4: accelerators.max: 7; allowed: at least the count, 8", id="max"
        ),
        pytest.param(
            "memory_gb: 60",
            "memory_gb: 60GB",
            "5: memory_gb: '60GB'; allowed: a number from 0 to 100,000 GB",
            id="memory with unit",
        ),
        pytest.param(
            "python train.py",
            " ",
            "7: stacks.cuda.command: ' '; allowed: a shell command: not empty, at most 64 KiB",
            id="empty command",
        ),
        pytest.param(
            '{command: "python train.py"}',
            '"python train.py"',
            "7: stacks.cuda: 'python train.py'; "
            'allowed: fields, such as `command: "python train.py"`',
            id="command in the wrong place",
        ),
        pytest.param(
            "  cuda:",
            "  cuda 12:",
            "7: stacks.cuda 12: 'cuda 12'; allowed: an id: letters, digits, `.`, `_` and `-`, "
            "at most 64, the first a letter or digit",
            id="form of a stack",
        ),
        pytest.param(
            "estimate: 2h",
            "estimate: 2 parsecs",
            "15: estimate: '2 parsecs': 'parsecs' is no unit of time; allowed: seconds, or text "
            "such as 90s, 30min, 2h, 1h30m, 1d or 2:30:00",
            id="wrong unit",
        ),
        pytest.param(
            "estimate: 2h",
            "estimate: 10 GBit",
            "15: estimate: '10 GBit': 'GBit' is no unit of time; allowed: seconds, or text "
            "such as 90s, 30min, 2h, 1h30m, 1d or 2:30:00",
            id="another quantity",
        ),
        pytest.param(
            "estimate: 2h",
            "estimate: 0s",
            "15: estimate: '0s'; allowed: a duration such as 90s, 2h or 1h30m "
            "above 0 to 315,360,000 s",
            id="no time",
        ),
        pytest.param(
            "2026-12-01T08:00:00.25+08:00",
            "2026-12-01T08:00:00",
            "19: deadline: '2026-12-01T08:00:00'; "
            "allowed: an ISO time with its zone, such as 2026-12-01T08:00+08:00",
            id="time without zone",
        ),
        pytest.param(
            "2026-12-01T08:00:00.25+08:00",
            "0001-01-01T00:00:00+23:00",
            "19: deadline: '0001-01-01T00:00:00+23:00'; "
            "allowed: an ISO time with its zone, such as 2026-12-01T08:00+08:00",
            id="time before all time",
        ),
        pytest.param(
            "preemptible: true",
            "preemptible: maybe",
            "20: preemptible: 'maybe'; allowed: true or false",
            id="no truth value",
        ),
        pytest.param(
            "priority: -3",
            "prioritty: -3",
            "18: prioritty: unknown field 'prioritty'; did you mean priority?",
            id="unknown field",
        ),
        pytest.param(
            "restart: 5min",
            "restart: 8d",
            "21: restart: '8d'; allowed: a duration such as 90s, 2h or 1h30m from 0 to 604,800 s",
            id="long restart",
        ),
        pytest.param(
            "scaling: 0.9",
            "scaling: 1.1",
            "4: accelerators.scaling: 1.1; allowed: a number above 0 to 1",
            id="more than twice as fast on twice as many",
        ),
        pytest.param(
            'OMP_NUM_THREADS: "4"',
            "OMP_NUM_THREADS: 4",
            '24: env.OMP_NUM_THREADS: the number 4; write "4", with quotes, if it is text',
            id="number for text",
        ),
        pytest.param(
            "OMP_NUM_THREADS",
            "TIELINE_ACCELERATORS",
            "24: env.TIELINE_ACCELERATORS: 'TIELINE_ACCELERATORS'; allowed: a variable name: "
            "letters, digits and `_`, not beginning with `TIELINE_`",
            id="reserved variable",
        ),
    ],
)
def test_mistake(old: str, new: str, expected: str) -> None:
    """A mistake gives one line: where it is, what was found, what is allowed."""
    assert TEXT.count(old) == 1
    assert mistakes(TEXT.replace(old, new)) == [expected]


def test_fields_that_mean_nothing_by_themselves() -> None:
    """What a stop costs needs a job that may be stopped, and a scaling needs other sizes."""
    small = SMALL.replace("{count: 1}", "{count: 1, scaling: 0.5}")
    assert mistakes(f"{small}preemptible: false\nrestart: 1min\ncheckpoint: 0\n") == [
        "3: accelerators.scaling: 0.5; needs min or max as well",
        "6: restart: '1min'; needs preemptible: true as well",
        "7: checkpoint: 0; needs preemptible: true as well",
    ]
    assert mistakes(f"jobs: [{{{', '.join(SMALL.splitlines())}, restart: 9}}]") == [
        "1: jobs[0].restart: 9; needs preemptible: true as well"
    ]


def test_field_under_another_name() -> None:
    """A field under a name of its own is missing under the right one."""
    assert mistakes(TEXT.replace("class: training", "kind: training")) == [
        "3: workload.class: missing; needed: what kind of work, such as training",
        "3: workload.kind: unknown field 'kind'; allowed: class, model, rates",
    ]


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ("{b: -1}", "rates.b: -1; allowed: a number from 0 to 1,000"),
        ("{b: .nan}", "rates.b: .nan; allowed: a number from 0 to 1,000"),
        ("{b: .inf}", "rates.b: .inf; allowed: a number from 0 to 1,000"),
        ("{b: 1001}", "rates.b: 1001; allowed: a number from 0 to 1,000"),
        ("{b: fast}", "rates.b: 'fast'; allowed: a number from 0 to 1,000"),
        ("{b: 1, b: 2}", "rates.b: given a second time, first on line 2; allowed: once"),
        (
            "{nvidia-h200-sxm: 2}",
            "rates.nvidia-h200-sxm: 2; allowed: 1, where the estimate holds",
        ),
    ],
)
def test_mistake_in_rates(rates: str, expected: str) -> None:
    """A rate is a number that makes sense, given once, and 1 where the estimate holds."""
    text = SMALL.replace("{class: hpc}", f"{{class: hpc, rates: {rates}}}")
    assert mistakes(text) == [f"2: workload.{expected}"]


def test_rates_are_relative_to_where_the_estimate_holds() -> None:
    """A rate of 1 is where the estimate holds, named or not."""
    text = SMALL.replace("{class: hpc}", "{class: hpc, rates: {a: 0.5}}")
    (spec,) = jobs_from(parse(f"{text}estimate_on: b\n", "job.yaml"))
    assert spec.workload.rates == (("a", 0.5), ("b", 1.0))
    assert mistakes(f"{text}estimate_on: a\n") == [
        "2: workload.rates.a: 0.5; allowed: 1, where the estimate holds"
    ]


def test_no_stack() -> None:
    """A job is built for one stack at least."""
    assert mistakes(SMALL.replace("{cuda: {command: run}}", "{}")) == [
        "4: stacks: a group of fields; allowed: stack ids such as cuda, each with a command"
    ]


def test_several_jobs(tmp_path: Path) -> None:
    """A file may hold several jobs in a list; where one is wanted it is refused."""
    file = tmp_path / "jobs.yaml"
    one = "\n".join(f"    {line}" for line in SMALL.splitlines())
    file.write_text(f"jobs:\n  -\n{one}\n  -\n{one.replace('count: 1', 'count: 2')}\n")
    assert [job.count for job in read_jobs(file)] == [1, 2]
    with pytest.raises(FileErrors) as raised:
        read_job(file)
    assert str(raised.value) == f"{file}:1: jobs: 2 jobs; allowed here: one"
    file.write_text(SMALL)
    assert (read_job(file),) == read_jobs(file)


def test_mistake_in_one_of_several_jobs() -> None:
    """A mistake in one of several jobs says in which."""
    text = "jobs:\n  - {tenant: lab, workload: {class: hpc}, accelerators: {count: 1, min: 2}}\n"
    assert mistakes(text) == [
        (
            "2: jobs[0].stacks: missing; "
            "needed: software stacks it is built for, and how to start it on each"
        ),
        "2: jobs[0].accelerators.min: 2; allowed: at most the count, 1",
    ]
