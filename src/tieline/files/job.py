"""Job files: from YAML or JSON to a `JobSpec`, and from a `JobSpec` to what a file holds."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import Field

from tieline.files.array import (
    INDEX_ROOM,
    MAX_ARRAY,
    ArrayError,
    Indices,
    JobArray,
    indices_of,
)
from tieline.files.document import Document, each
from tieline.files.problems import Fault, Loc, shown
from tieline.files.schema import (
    LONGEST_NAME,
    Class,
    Command,
    Duration,
    Flag,
    Id,
    Ids,
    Kind,
    Model,
    Moment,
    Number,
    Text,
    Unit,
    Value,
    Variable,
    Whole,
    iso_time,
    validated,
)
from tieline.files.syntax import read_document
from tieline.model.accelerator import REFERENCE
from tieline.model.job import DEFAULT_RESTART_S, DEFAULT_SCALING, JobSpec
from tieline.model.units import BYTES_PER_GB
from tieline.model.workload import Workload

_MAX_GANG: Final = 1_000_000
_Gang = Annotated[Whole, Ge(1), Le(_MAX_GANG)]
_Long = Annotated[Duration, Gt(0), Le(315_360_000)]  # ten years
_Pause = Annotated[Duration, Ge(0), Le(604_800)]  # a week
#: What says how something goes, and the fields of which one must say that it does.
_ONLY_WITH: Final = (
    ("", ("restart", "checkpoint"), ("preemptible",), "preemptible: true"),
    ("accelerators", ("scaling",), ("min", "max"), "min or max"),
)


class WorkloadFields(Model):
    """What kind of work it is."""

    kind: Class = Field(alias="class", description="what kind of work, such as training")
    model: Text | None = Field(None, description="model name, such as llama-3-8b")
    rates: Annotated[
        dict[Id, Annotated[Number, Ge(0), Le(1000)]],
        Kind("accelerator ids with numbers from 0 to 1,000"),
    ] = Field(
        default={},
        description="progress relative to the accelerator that the estimate holds for (1); 0 "
        "cannot run; accelerators that are absent go by model and class",
    )


class CountFields(Model):
    """How many accelerators it takes, all of one model, all at one site."""

    count: _Gang = Field(description="size of the gang")
    min: _Gang | None = Field(None, description="fewest it can run on; `count` when absent")
    max: _Gang | None = Field(None, description="most it can use; `count` when absent")
    scaling: Annotated[Number, Gt(0), Le(1)] = Field(
        DEFAULT_SCALING,
        description="on n times as many it is n to this power times as fast; only with `min` or "
        "`max`",
    )


class StackFields(Model):
    """How to start it on one software stack."""

    command: Command = Field(description="shell command")


class JobFields(Model):
    """A job file."""

    tenant: Id = Field(description="id of the tenant it belongs to")
    workload: Annotated[WorkloadFields, Kind("fields, such as `class: training`")] = Field(
        description="what kind of work it is"
    )
    accelerators: Annotated[CountFields, Kind("fields, such as `count: 8`")] = Field(
        description="how many accelerators it takes"
    )
    stacks: Annotated[
        dict[Id, Annotated[StackFields, Kind('fields, such as `command: "python train.py"`')]],
        MinLen(1),
        Kind("stack ids such as cuda, each with a command"),
    ] = Field(description="software stacks it is built for, and how to start it on each")
    name: Text = Field("", description="name to show; jobs of one name have alike run times")
    memory_gb: Annotated[Number, Ge(0), Le(100_000), Unit("GB")] = Field(
        0.0, description="memory it needs on each accelerator; 0: any"
    )
    datasets: Ids = Field(default=[], description="ids of datasets it reads")
    sensitivity: Id = Field("open", description="what a pool must be trusted with to run it")
    residency: Ids = Field(
        default=[], description="ids of the regions it may run in; empty: anywhere"
    )
    estimate: _Long | None = Field(
        None, description="run time, without moving data; that of ended jobs like it when absent"
    )
    estimate_on: Id | None = Field(
        None, description="accelerator the estimate holds for; nvidia-h200-sxm when absent"
    )
    time_limit: _Long | None = Field(
        None, description="time after which a run of it is ended; none when absent"
    )
    priority: Annotated[Whole, Ge(-1000), Le(1000)] = Field(
        0, description="higher comes first, within the rules of the policy"
    )
    deadline: Moment | None = Field(None, description="when it should be done")
    preemptible: Flag = Field(
        default=False,
        description="whether it may be stopped, which it is told by SIGTERM, and started again, "
        "here or elsewhere: it saves its state",
    )
    restart: _Pause = Field(
        DEFAULT_RESTART_S,
        description="time that a stop and a new start cost it; so long it is given at least to "
        "save its state; only with `preemptible`",
    )
    checkpoint: _Pause = Field(
        0.0,
        description="time between two checkpoints, where it does not save its state when told to "
        "stop; only with `preemptible`",
    )
    idempotent: Flag = Field(
        default=False, description="whether a second run does no harm, even beside the first"
    )
    env: Annotated[dict[Variable, Value], Kind("variable names with text")] = Field(
        default={}, description="environment variables"
    )
    array: Indices | None = Field(
        None, description="run it once for each of these indices; absent: once, without an index"
    )


class JobListFields(Model):
    """A file of several jobs."""

    jobs: Annotated[list[JobFields], MinLen(1), Kind("a list of at least one job")] = Field(
        description="jobs, each with the fields of a job file"
    )


def read_job(path: str | Path) -> JobSpec:
    """Give the job that a file describes.

    Raises
    ------
    FileErrors
        The file cannot be read, has mistakes, or holds several jobs.
    """
    return _only(read_document(Path(path)))


def read_jobs(path: str | Path) -> tuple[JobSpec, ...]:
    """Give the jobs of a file: the one it describes, or all those under `jobs`.

    Raises
    ------
    FileErrors
        The file cannot be read or has mistakes; it names them all, with their lines.
    """
    return jobs_from(read_document(Path(path)))


def jobs_from(document: Document) -> tuple[JobSpec, ...]:
    """Give the jobs that data describes, in order; those of an array one by one.

    Raises
    ------
    FileErrors
        The data has mistakes; it names them all.
    """
    entries = entries_from(document)
    return tuple(
        chain.from_iterable(one.jobs() if isinstance(one, JobArray) else (one,) for one in entries)
    )


def entries_from(document: Document) -> tuple[JobSpec | JobArray, ...]:
    """Give what data describes, in order, with arrays as they are written.

    Raises
    ------
    FileErrors
        The data has mistakes; it names them all.
    """
    if isinstance(document.data, dict) and "jobs" in document.data:
        return tuple(_entry(job) for job in validated(JobListFields, document, _conflicts).jobs)
    return (_entry(validated(JobFields, document, _conflicts)),)


def job_from_dict(data: Mapping[str, object], *, source: str = "job") -> JobSpec:
    """Give the job that JSON data in the shape of a job file describes.

    Parameters
    ----------
    data
        As `job_to_dict` gives it. Read only.
    source
        What mistakes are reported under, in place of a file.

    Raises
    ------
    FileErrors
        The data has mistakes; each names its field, none has a line.
    """
    return _only(Document(source, data))


def entry_to_dict(entry: JobSpec | JobArray) -> dict[str, Any]:
    """Give what a file for this job or array holds, as `job_to_dict`."""
    if isinstance(entry, JobSpec):
        return job_to_dict(entry)
    return {**job_to_dict(entry.spec), "array": ",".join(map(str, entry.indices))}


def job_to_dict(spec: JobSpec) -> dict[str, Any]:
    """Give what a file for this job holds: only JSON types, defaults left out.

    `job_from_dict` makes an equal job of it, with memory in whole bytes and the deadline in
    whole microseconds, but for what counts only with other fields and stands without them.

    Raises
    ------
    FileErrors
        The job was made with values that no file may hold.
    """
    deadline = spec.deadline_s
    fields = {
        "tenant": spec.tenant,
        "workload": {
            "class": spec.workload.kind,
            "model": spec.workload.model,
            "rates": dict(spec.workload.rates),
        },
        "accelerators": {
            "count": spec.count,
            "min": spec.min_count,
            "max": spec.max_count,
            **({"scaling": spec.scaling} if spec.min_count or spec.max_count else {}),
        },
        "stacks": {stack: {"command": command} for stack, command in spec.commands.items()},
        "name": spec.name,
        "memory_gb": spec.memory_bytes / BYTES_PER_GB,
        "datasets": list(spec.datasets),
        "sensitivity": spec.sensitivity,
        "residency": sorted(spec.residency),
        "estimate": spec.estimate_s,
        "estimate_on": spec.estimate_on,
        "time_limit": spec.time_limit_s,
        "priority": spec.priority,
        "deadline": None if deadline is None else iso_time(deadline),
        "preemptible": spec.preemptible,
        **(
            {"restart": spec.restart_s, "checkpoint": spec.checkpoint_s}
            if spec.preemptible
            else {}
        ),
        "idempotent": spec.idempotent,
        "env": dict(spec.env),
    }
    valid = validated(JobFields, Document("job", fields), _conflicts)
    return valid.model_dump(by_alias=True, exclude_defaults=True)


def _only(document: Document) -> JobSpec:
    """Give the one job that data describes."""
    entries = entries_from(document)
    first = entries[0]
    if len(entries) > 1:
        document.demand([Fault(("jobs",), f"{len(entries)} jobs", "allowed here: one")])
    if isinstance(first, JobArray):
        document.demand([Fault(("array",), "an array of jobs", "allowed here: one job")])
        first = first.spec
    return first


def _entry(fields: JobFields) -> JobSpec | JobArray:
    spec = _spec(fields)
    return spec if fields.array is None else JobArray(spec, indices_of(fields.array))


def _spec(fields: JobFields) -> JobSpec:
    return JobSpec(
        tenant=fields.tenant,
        workload=_workload(fields.workload, fields.estimate_on or REFERENCE),
        count=fields.accelerators.count,
        commands={stack: start.command for stack, start in fields.stacks.items()},
        name=fields.name,
        memory_bytes=float(round(fields.memory_gb * BYTES_PER_GB)),
        datasets=tuple(fields.datasets),
        sensitivity=fields.sensitivity,
        residency=frozenset(fields.residency),
        estimate_s=fields.estimate,
        estimate_on=fields.estimate_on,
        time_limit_s=fields.time_limit,
        priority=fields.priority,
        deadline_s=fields.deadline,
        preemptible=fields.preemptible,
        idempotent=fields.idempotent,
        env=fields.env,
        min_count=fields.accelerators.min,
        max_count=fields.accelerators.max,
        restart_s=fields.restart,
        checkpoint_s=fields.checkpoint,
        scaling=fields.accelerators.scaling,
    )


def _workload(fields: WorkloadFields, known_on: str) -> Workload:
    rates = {known_on: 1.0, **fields.rates} if fields.rates else {}
    return Workload(fields.kind, fields.model, tuple(sorted(rates.items())))


def _conflicts(data: object) -> Iterator[Fault]:
    """Give what contradicts itself within one job, or in each job of a list."""
    yield from _sizes(data)
    yield from _arrays(data)
    for loc, job in chain([((), data)], each(data, "jobs.*")):
        yield from _units(job, loc)
        yield from _alone(job, loc)


def _units(job: object, loc: Loc) -> Iterator[Fault]:
    """Give a rate of the accelerator that the estimate holds for, where it is not 1."""
    known_on = job.get("estimate_on", REFERENCE) if isinstance(job, dict) else REFERENCE
    for place, value in each(job, "workload.rates.*", loc):
        if place[-1] == known_on and isinstance(value, int | float) and value != 1:
            yield Fault(place, f"{value:g}", "allowed: 1, where the estimate holds")


def _alone(job: object, loc: Loc) -> Iterator[Fault]:
    """Give fields that mean nothing without another one, where that is not given."""
    for group, names, others, needed in _ONLY_WITH:
        for place, fields in each(job, group, loc) if group else [(loc, job)]:
            if isinstance(fields, dict) and not any(fields.get(other) for other in others):
                for name in names:
                    if fields.get(name) is not None:
                        yield Fault((*place, name), shown(fields[name]), f"needs {needed} as well")


def _sizes(data: object) -> Iterator[Fault]:
    """Give gangs whose least and most do not enclose their size."""
    for loc, gang in chain(each(data, "accelerators"), each(data, "jobs.*.accelerators")):
        sizes = {name: value for (name,), value in each(gang, "*") if isinstance(value, int)}
        count = sizes.get("count", 0)
        if not 1 <= count <= _MAX_GANG:
            continue
        if sizes.get("min", count) > count:
            yield Fault((*loc, "min"), str(sizes["min"]), f"allowed: at most the count, {count}")
        if sizes.get("max", count) < count:
            yield Fault((*loc, "max"), str(sizes["max"]), f"allowed: at least the count, {count}")


def _arrays(data: object) -> Iterator[Fault]:
    """Give arrays that are too many together, and names that leave no room for an index."""
    left = MAX_ARRAY
    for loc, job in chain([((), data)], each(data, "jobs.*")):
        if not isinstance(job, dict) or not isinstance(job.get("array"), str):
            continue
        with suppress(ArrayError):
            left -= len(indices_of(job["array"]))
            if left < 0:
                allowed = f"allowed: {MAX_ARRAY:,} in all arrays of a file together"
                yield Fault((*loc, "array"), f"{MAX_ARRAY - left:,} jobs", allowed)
        name = job.get("name", "")
        if isinstance(name, str) and len(name) > LONGEST_NAME - INDEX_ROOM:
            allowed = f"allowed in an array: {LONGEST_NAME - INDEX_ROOM}"
            yield Fault((*loc, "name"), f"{len(name)} characters", allowed)
