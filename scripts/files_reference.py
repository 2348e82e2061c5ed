#!/usr/bin/env python3
"""Write the tables of docs/reference/files.md anew, from the models that read the files.

    python scripts/files_reference.py

A table stands between `<!-- fields: NetworkFields -->` and `<!-- end -->`; the text around the
tables is kept. A test demands that the page is what this gives.
"""

import json
import re
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from tieline.files import access, job, network_fields, plan_fields
from tieline.files.plan_values import Money
from tieline.files.schema import fields, place

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "files.md"

_TABLE: Final = re.compile(r"(<!-- fields: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_MODELS: Final = {**vars(network_fields), **vars(job), **vars(access), **vars(plan_fields)}


def updated(page: str) -> str:
    """Give the page with its tables written anew."""
    return _TABLE.sub(lambda found: found[1] + table(_MODELS[found[2]]) + found[3], page)


def table(model: type[BaseModel]) -> str:
    """Give the fields of a model as a Markdown table."""
    lines = ["| field | holds | unit | default | meaning |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row(model, name))} |" for name in fields(model)]
    return "\n".join(lines) + "\n"


def row(model: type[BaseModel], name: str) -> tuple[str, ...]:
    """Give name, type with limits, unit, default and meaning of a field."""
    here = place(model, (name,))
    info = fields(model)[name]
    if here is None or not info.description:
        raise ValueError(f"{model.__name__}.{name} has no meaning")
    holds = f"{here.kind.words} {here.limits}".strip()
    return f"`{name}`", holds, here.unit, _default(info.get_default()), info.description


def _default(value: object) -> str:
    """Give a default as it would stand in a file; it is needed where there is none."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
    if value is None:
        return "absent"
    if isinstance(value, Money):
        return f"`{value}`"
    try:
        return f"`{json.dumps(value)}`"
    except TypeError:
        return "**needed**"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
