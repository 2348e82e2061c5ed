"""Reads the bodies of requests, however hostile: JSON of a limited depth, in plain Unicode."""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Request
from pydantic import ValidationError

from tieline.files.document import Document
from tieline.files.job import jobs_from
from tieline.files.problems import Fault, FileErrors, Problem
from tieline.model.job import JobSpec
from tieline.service.errors import BODY_DEPTH, Refused, problems_of
from tieline.wire.schemas import MAX_JOBS, Message

#: Lists and groups of fields inside one another; those of a job are five.
MAX_DEPTH: Final = 32

#: Text, and what opens and closes. Text that has no end is text up to the end, so that every
#: character is looked at once.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_OPENING: Final = (b"[", b"{")
_CLOSING: Final = (b"]", b"}")
_HALF_A_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_NEEDED: Final = "needed: what the reference of the API says, as JSON"

M = TypeVar("M", bound=Message)


async def _whole(request: Request) -> bytes:
    return await request.body()


Body = Annotated[bytes, Depends(_whole)]


def submission(body: bytes, count: int) -> Sequence[JobSpec]:
    """Give the jobs of a submission, each of which will be added `count` times.

    Raises
    ------
    FileErrors
        The body has mistakes, or the jobs are too many.
    Refused
        It is nested too deeply.
    """
    document = Document("body", _data(body))
    specs = jobs_from(document)
    if len(specs) * count > MAX_JOBS:
        found = f"{len(specs) * count:,} jobs"
        document.demand([Fault((), found, f"allowed: {MAX_JOBS:,} in one request")])
    return specs


def message(kind: type[M], body: bytes) -> M:
    """Give the body as a message; one that may be empty, when there is none.

    Raises
    ------
    FileErrors
        It has mistakes.
    Refused
        It is nested too deeply.
    """
    try:
        return kind.model_validate(_data(body) if body else {})
    except ValidationError as error:
        found = problems_of(error.errors(include_url=False))
        problems = [Problem("body", None, one.field, one.found, one.allowed) for one in found]
        raise FileErrors(problems) from None


def _data(body: bytes) -> object:
    """Give the data of a body, each name once, all text well formed."""
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise Refused(BODY_DEPTH, f"the body is nested too deeply; allowed: {MAX_DEPTH} levels")
    try:
        text = body.decode()
        data: object = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
        if _HALF_A_PAIR.search(body):
            json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise FileErrors([Problem("body", None, "", f"not JSON: {error}", _NEEDED)]) from None
    return data


def _depth(body: bytes) -> int:
    """Give how many lists and groups are inside one another at most."""
    depth = deepest = 0
    for token in _TOKEN.findall(body):
        if token in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif token in _CLOSING:
            depth -= 1
    return deepest


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double!r} is given twice")
    return fields


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")
