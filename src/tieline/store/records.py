"""Records to rows and back: job ids and specs as JSON."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, Final

from tieline.model.job import JobSpec
from tieline.model.workload import Workload

_ID: Final = "job-{:06d}"
_NAMES: Final[Mapping[type, frozenset[str]]] = {
    kind: frozenset(field.name for field in fields(kind)) for kind in (JobSpec, Workload)
}


def job_id(seq: int) -> str:
    """Give the id of the seq-th job: `job-000123`; beyond a million it grows a digit."""
    return _ID.format(seq)


def job_seq(text: str) -> int | None:
    """Give the number in a job id; None when it is not an id that `job_id` gives."""
    digits = text.removeprefix("job-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:  # noqa: PLR2004
        return None
    seq = int(digits)
    return seq if job_id(seq) == text else None


def to_json(value: object) -> str:
    """Give compact JSON; dataclasses and mappings become objects, sets sorted lists.

    Raises
    ------
    ValueError
        A number is not finite: JSON has none of these.
    """
    return _JSON.encode(value)


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_JSON: Final = json.JSONEncoder(default=_plain, separators=(",", ":"), allow_nan=False)


# Jobs submitted many at a time have the same text: they share one spec.
@lru_cache(maxsize=4096)
def spec_from_json(text: str) -> JobSpec:
    """Give the spec that `to_json` wrote, by this version or another.

    A field this version does not know is left out here and stays in the database; one that
    the writer did not know takes its default. So a new field needs a default, and one that
    older code must not overlook comes with a migration, for which older code stops.
    """
    data = _known(JobSpec, json.loads(text))
    workload = _known(Workload, data["workload"])
    workload["rates"] = tuple((name, rate) for name, rate in workload.get("rates", ()))
    data["workload"] = Workload(**workload)
    for name, kind in (("datasets", tuple), ("residency", frozenset)):
        if name in data:
            data[name] = kind(data[name])
    return JobSpec(**data)


def _known(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    names = _NAMES[kind]
    return {name: value for name, value in data.items() if name in names}
