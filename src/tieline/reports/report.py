"""Everything about a comparison, in one directory."""

import json
from pathlib import Path
from typing import Any

from tieline.reports.document import label
from tieline.reports.page import page
from tieline.reports.tables import jobs_table, prices_table
from tieline.simulation.comparison import Comparison


def write_report(folder: Path, comparison: Comparison, document: dict[str, Any]) -> None:
    """Write `summary.json`, `report.html`, and Parquet tables of the jobs and the prices.

    The tables are called `jobs_POLICY.parquet` and `prices_POLICY.parquet`; with several
    scales the scale follows the policy, as in `jobs_price_0.4.parquet`.

    Parameters
    ----------
    document
        Of the comparison, as `tieline.reports.document` gives it.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(comparison), encoding="utf-8")
    several = len(comparison.scales) > 1
    for at in comparison.scales:
        for name, replay in at.replays.items():
            ending = f"{name}_{label(at.scale)}.parquet" if several else f"{name}.parquet"
            jobs_table(replay).write_parquet(folder / f"jobs_{ending}")
            prices = prices_table(replay)
            if prices is not None:
                prices.write_parquet(folder / f"prices_{ending}")
