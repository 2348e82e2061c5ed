#!/usr/bin/env python3
"""Write the tables of docs/reference/api.md anew, from the API itself.

    python scripts/api_reference.py

They stand between `<!-- routes -->` or `<!-- codes -->` and `<!-- end -->`; the text around them
is kept. A test demands that the page is what this gives.
"""

import inspect
import re
from contextlib import closing
from pathlib import Path
from typing import Final

from fastapi.routing import APIRoute

from tieline.files.fit import Offer
from tieline.files.network import read_network
from tieline.service.access.rules import Role
from tieline.service.api.app import create_app, rule_of
from tieline.service.composition import SystemClock
from tieline.service.control_plane import ControlPlane
from tieline.service.errors import CODES
from tieline.store import open_store

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "reference" / "api.md"

_NETWORK: Final = ROOT / "src" / "tieline" / "cli" / "demo" / "network.yaml"
_TABLE: Final = re.compile(r"(<!-- (routes|codes) -->\n).*?(<!-- end -->)", re.DOTALL)


def updated(page: str) -> str:
    """Give the page with its tables written anew."""
    tables = {"routes": routes(), "codes": codes()}
    return _TABLE.sub(lambda found: found[1] + tables[found[2]] + found[3], page)


def routes() -> str:
    """Give every route with who may use it and how it answers, as a Markdown table."""
    with closing(open_store("sqlite://")) as store:
        offer = Offer(read_network(_NETWORK))
        plane = ControlPlane(offer=offer, store=store, clock=SystemClock(), loop=lambda: None)
        found = [one for one in create_app(plane).routes if isinstance(one, APIRoute)]
    always = set.intersection(*(set(one.responses) for one in found if one.include_in_schema))
    lines = ["| route | who | answers | does |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(_row(one, always))} |" for one in found]
    return "\n".join(lines) + "\n"


def codes() -> str:
    """Give every code of a failure as a Markdown table."""
    lines = ["| status | code | meaning |", "|---|---|---|"]
    ordered = sorted(CODES.items(), key=lambda item: item[1].status)
    lines += [f"| {code.status.value} | `{name}` | {code.meaning} |" for name, code in ordered]
    return "\n".join(lines) + "\n"


def _row(route: APIRoute, always: set[int | str]) -> tuple[str, ...]:
    roles = rule_of(route)
    everyone = {None: "everybody", tuple(Role): "all roles"}
    who = everyone.get(roles) or " and ".join(roles or ())
    (method,) = route.methods or {""}
    own = sorted({route.status_code or 200, *map(int, set(route.responses) - always)})
    does = inspect.cleandoc(route.endpoint.__doc__ or "").partition("\n\n")[0]
    return f"{method} `{route.path}`", who, ", ".join(map(str, own)), " ".join(does.split())


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
