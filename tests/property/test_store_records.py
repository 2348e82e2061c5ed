"""Specs survive their way through JSON, whatever is in them and whoever wrote them."""

import json
from dataclasses import MISSING, fields
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.model.job import JobSpec
from tieline.model.workload import WORKLOAD_CLASSES, Workload
from tieline.store.records import job_id, job_seq, spec_from_json, to_json

numbers: Final = st.floats(allow_nan=False, allow_infinity=False)
specs: Final = st.builds(
    JobSpec,
    tenant=st.text(),
    workload=st.builds(
        Workload, kind=st.sampled_from(WORKLOAD_CLASSES), model=st.none() | st.text()
    ),
    count=st.integers(),
    commands=st.dictionaries(st.text(), st.text()),
    name=st.text(),
    memory_bytes=numbers,
    datasets=st.lists(st.text()).map(tuple),
    sensitivity=st.text(),
    residency=st.frozensets(st.text()),
    estimate_s=st.none() | numbers,
    estimate_on=st.none() | st.text(),
    time_limit_s=st.none() | numbers,
    priority=st.integers(),
    deadline_s=st.none() | numbers,
    preemptible=st.booleans(),
    idempotent=st.booleans(),
    env=st.dictionaries(st.text(), st.text()),
    restart_s=numbers,
    checkpoint_s=numbers,
    min_count=st.none() | st.integers(),
    max_count=st.none() | st.integers(),
    scaling=numbers,
)
OPTIONAL: Final = [
    field.name
    for field in fields(JobSpec)
    if field.default is not MISSING or field.default_factory is not MISSING
]


@given(specs)
def test_a_spec_survives_json(spec: JobSpec) -> None:
    """A spec comes back equal, with the types it had, and its stacks in their order."""
    back = spec_from_json(to_json(spec))
    assert back == spec
    for field in fields(spec):
        assert type(getattr(back, field.name)) is type(getattr(spec, field.name))
    assert list(back.commands) == list(spec.commands)


@given(specs)
def test_equal_specs_have_equal_text(spec: JobSpec) -> None:
    """The text does not depend on the order in which a set happens to be walked."""
    again = JobSpec(
        **{field.name: getattr(spec, field.name) for field in fields(spec)}
        | {"residency": frozenset(sorted(spec.residency, reverse=True))}
    )
    assert to_json(again) == to_json(spec)


@given(specs, st.sampled_from(OPTIONAL))
def test_a_field_the_writer_did_not_know_has_its_default(spec: JobSpec, name: str) -> None:
    """A spec stored before a field existed gets the field's default."""
    data = json.loads(to_json(spec))
    del data[name]
    back = spec_from_json(json.dumps(data))
    default = JobSpec(spec.tenant, spec.workload, spec.count, spec.commands)
    assert getattr(back, name) == getattr(default, name)


@given(specs)
def test_a_field_the_reader_does_not_know_is_left_out(spec: JobSpec) -> None:
    """A spec stored by a later version is read as far as this version knows its fields."""
    data = json.loads(to_json(spec)) | {"colour": "blue"}
    data["workload"]["precision"] = "fp8"
    assert spec_from_json(json.dumps(data)) == spec


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused(number: float) -> None:
    """No text that is not JSON gets into the store."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(JobSpec("lab-a", Workload("hpc"), 1, {}, memory_bytes=number))


@given(st.integers(min_value=1, max_value=10**15))
def test_a_job_id_is_its_number(seq: int) -> None:
    """A job's number and its id give each other."""
    assert job_seq(job_id(seq)) == seq


@given(st.text(alphabet="job-0123456789٣ ") | st.text())
def test_only_ids_have_numbers(text: str) -> None:
    """Text that no job has as its id has no number."""
    seq = job_seq(text)
    assert seq is None or job_id(seq) == text
