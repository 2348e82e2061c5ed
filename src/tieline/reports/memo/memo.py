"""The memo of a plan, in one directory."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tieline import __version__
from tieline.planning.findings import Findings
from tieline.reports.memo.contents import contents
from tieline.reports.memo.markdown import markdown
from tieline.reports.memo.recorded import NOTHING, Recorded
from tieline.reports.template import render


def write_memo(
    folder: Path,
    found: Findings,
    document: Mapping[str, Any],
    units: Mapping[str, str],
    recorded: Recorded = NOTHING,
) -> None:
    """Write `memo.html`, `memo.md` and `plan.json`.

    Parameters
    ----------
    document
        Of the findings, as `tieline.reports.memo.document` gives it.
    units
        Of what sweeps vary, by path, where the path does not say.
    recorded
        What the plan takes from recorded jobs.
    """
    memo = contents(found, units, recorded)
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "plan.json").write_text(text + "\n", encoding="utf-8")
    (folder / "memo.md").write_text(markdown(memo), encoding="utf-8")
    page = render("memo/memo.html", memo=memo, version=__version__)
    (folder / "memo.html").write_text(page, encoding="utf-8")
