"""The reference page of the API says what the API does."""

import runpy
from pathlib import Path

from tieline.files.access import Limits
from tieline.service.api.bodies import MAX_DEPTH
from tieline.service.api.guard import MAX_BODY_BYTES
from tieline.service.api.server import MAX_HEADER_BYTES, Patience
from tieline.wire.schemas import MAX_JOBS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")


def test_tables_are_those_of_the_api() -> None:
    """Routes and codes are what the API has: run scripts/api_reference.py after a change."""
    script = runpy.run_path(str(ROOT / "scripts" / "api_reference.py"))
    assert script["updated"](PAGE) == PAGE
    assert "`/v1/jobs/{job_id}`" in PAGE
    assert "`bad-token`" in PAGE


def test_limits_are_those_of_the_code() -> None:
    """The limits named in the text are the ones that hold."""
    limits, patience = Limits(), Patience()
    for words in (
        f"{MAX_BODY_BYTES // 2**20} MiB, {MAX_DEPTH} levels, {MAX_JOBS:,} jobs",
        f"headers to arrive | {patience.headers_s:g} s, {MAX_HEADER_BYTES // 2**10} KiB",
        f"a body to arrive | {patience.body_s:g} s",
        f"{limits.per_identity:g} a second, {limits.per_identity * limits.burst_s:,.0f} at once",
        f"{limits.per_address:,.0f} a second, {limits.per_address * limits.burst_s:,.0f} at once",
        f"at one time | {limits.connections}",
    ):
        assert words in PAGE
    assert limits.connections == patience.connections
