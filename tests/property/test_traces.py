"""Traces, whatever is in them: what is written is read back, what Slurm ran is read."""

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tieline.model.trace import Trace
from tieline.model.workload import WORKLOAD_CLASSES, Workload
from tieline.traces.native import write_trace
from tieline.traces.registry import read_trace
from tieline.traces.rows import MAX_COUNT, MAX_SECONDS, NO_TENANT

#: Names as people give them: commas, quotes, line ends, any alphabet; no lone surrogates, no NUL.
names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff"), min_size=1
).filter(lambda name: name != NO_TENANT)
seconds = st.floats(0, MAX_SECONDS / 2, allow_subnormal=True)


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder for one example."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def used(codes: list[int], table: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Give the names that are pointed at, in order, and the codes into them."""
    chosen = [table[code % len(table)] for code in codes]
    unique = sorted(set(chosen))
    return tuple(unique), np.array([unique.index(name) for name in chosen], np.int32)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Draw any trace a native file can hold."""
    size = draw(st.integers(1, 8))

    def column(values: st.SearchStrategy[float]) -> list[float]:
        return draw(st.lists(values, min_size=size, max_size=size))

    submit = np.sort(np.array(column(seconds)))
    codes = draw(st.lists(st.integers(0, 7), min_size=size, max_size=size))
    tenants, tenant = used(codes, draw(st.lists(names, min_size=1, max_size=3)))
    kinds = draw(
        st.lists(
            st.builds(Workload, st.sampled_from(WORKLOAD_CLASSES), st.none() | names),
            min_size=size,
            max_size=size,
        )
    )
    workloads = sorted(set(kinds), key=lambda one: (one.kind, one.model or ""))
    types, job_type = used(codes, draw(st.lists(names, min_size=1, max_size=3)))
    typed, with_data = draw(st.booleans()), draw(st.booleans())
    labels = draw(st.lists(st.integers(-1, 3), min_size=size, max_size=size))
    seen = dict.fromkeys(label for label in labels if label >= 0)
    label = np.array([[*seen].index(one) if one >= 0 else -1 for one in labels], np.int32)
    if len(types) == 1 and size > 1:
        job_type[0] = -1
    later = st.integers(0, 1000).map(float) | st.just(np.inf)
    return Trace(
        name="jobs",
        submit_s=submit - submit[0],
        duration_s=np.array(column(seconds)),
        count=np.array(column(st.integers(1, MAX_COUNT)), np.int32),
        tenant=tenant,
        workload=np.array([workloads.index(kind) for kind in kinds], np.int32),
        tenants=tenants,
        workloads=tuple(workloads),
        job_ids=draw(st.just(()) | st.tuples(*[names] * size)),
        accelerator=draw(st.none() | names),
        types=types if typed else (),
        job_type=job_type if typed else None,
        label=draw(st.none() | st.just(label)) if seen else None,
        datasets=types if with_data else (),
        dataset=job_type if with_data else None,
        estimate_s=draw(st.none() | st.just(np.array(column(seconds | st.just(float("nan")))))),
        deadline_s=draw(st.none() | st.just(np.array([*column(later)[:-1], 0.0]))),
    )


@given(traces(), st.sampled_from(["jobs.csv", "jobs.parquet"]))
def test_what_is_written_is_read_back(trace: Trace, name: str) -> None:
    """A native file gives back every job to the last bit: times, gangs, names, estimates."""
    with folder() as place:
        write_trace(trace, place / name)
        back = read_trace(place / name)
        assert [path.name for path in place.iterdir()] == [name]
    for field in dataclasses.fields(Trace):
        one, other = getattr(trace, field.name), getattr(back, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        elif field.name != "notes":  # told about a file, not part of the jobs
            assert one == other, field.name


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One run of a job, as Slurm records it."""

    submit: int
    waited: int
    ran: int
    state: str


#: A job: its attempts in order, its gang, its account, how many steps it had.
attempts = st.builds(
    Attempt,
    submit=st.integers(1_600_000_000, 1_700_000_000),
    waited=st.integers(0, 10**6),
    ran=st.integers(0, 10**7),
    state=st.sampled_from(
        ["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED by 1000", "NODE_FAIL", "PENDING", "RUNNING"]
    ),
)
jobs = st.tuples(
    st.lists(attempts, min_size=1, max_size=3, unique_by=lambda attempt: attempt.submit),
    st.integers(0, 64),
    st.sampled_from(["lab-a", "lab-b", ""]),
    st.integers(0, 3),
    st.sampled_from(["plain", "typed", "both"]),
)


def moment(when: int) -> str:
    """Print a moment as Slurm does, without a zone."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def clock(length: int) -> str:
    """Print a length of time as Slurm does."""
    days, rest = divmod(length, 86_400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text


def tres(count: int, form: str) -> str:
    """Print what a job got."""
    parts = {
        "plain": ["gres/gpu"],
        "typed": ["gres/gpu:a100"],
        "both": ["gres/gpu:a100", "gres/gpu"],
    }
    gpus = [f"{name}={count}" for name in parts[form] if count]
    return ",".join(["billing=8", "cpu=8", *gpus, "mem=64G", "node=1"])


def row(number: int, attempt: Attempt, resources: str, account: str) -> str:
    """Print one attempt."""
    begin = attempt.submit + attempt.waited
    started = attempt.state != "PENDING"
    ended = attempt.state not in {"PENDING", "RUNNING"}
    fields = (
        str(number),
        account,
        attempt.state,
        moment(attempt.submit),
        moment(begin) if started else "Unknown",
        moment(begin + attempt.ran) if ended else "Unknown",
        clock(attempt.ran if started else 0),
        resources if started else "",
        resources,
    )
    return "|".join(fields)


@given(st.lists(jobs, min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_what_slurm_ran_is_what_is_read(
    drawn: list[tuple[list[Attempt], int, str, int, str]], seed: int
) -> None:
    """Of any accounting, in any order of rows, exactly the last attempts that ran are read."""
    lines = []
    expected = []
    for number, (runs, count, account, steps, form) in enumerate(drawn, start=1):
        lines += [row(number, attempt, tres(count, form), account) for attempt in runs]
        lines += [
            row(number, runs[0], tres(count, form), account).replace("|", f".{step}|", 1)
            for step in range(steps)
        ]
        last = max(runs, key=lambda attempt: attempt.submit)
        if last.state not in {"PENDING", "RUNNING"} and last.ran > 0 and count > 0:
            expected.append((last.submit, number, last.ran, count, account or "(none)"))
    header = "JobID|Account|State|Submit|Start|End|Elapsed|AllocTRES|ReqTRES"
    # A job that surely counts keeps the file from being refused as empty.
    extra = Attempt(1_600_000_000, 1, 77, "COMPLETED")
    lines.append(row(10**6, extra, tres(1, "plain"), "lab-z"))
    expected.append((extra.submit, 10**6, 77, 1, "lab-z"))
    order = np.random.default_rng(seed).permutation(len(lines))
    with folder() as place:
        path = place / "sacct.txt"
        path.write_text("\n".join([header, *(lines[at] for at in order)]) + "\n")
        trace = read_trace(path)
    assert len(trace) + sum(trace.skipped.values()) == len(lines)
    first = min(submit for submit, *_ in expected)
    found = [
        (submit + first, int(job), ran, count, trace.tenants[tenant])
        for submit, job, ran, count, tenant in zip(
            trace.submit_s.tolist(),
            trace.job_ids,
            trace.duration_s.tolist(),
            trace.count.tolist(),
            trace.tenant.tolist(),
            strict=True,
        )
    ]
    assert sorted(found) == sorted(expected)
    assert [job[0] for job in found] == sorted(job[0] for job in found)
