#!/usr/bin/env python3
"""Print the rows of the catalogue's `rates.csv` that follow from a table of measured results.

    python scripts/measured_rates.py MEASURED.csv

MEASURED.csv has the columns chip, workload, metric, value, unit, chips_count, source, one MLPerf
result per row. Like is compared with like: same benchmark, same round, same chip count. A chip
that was never measured beside the reference is compared with the H100 SXM, and that ratio is
multiplied by the H100's own. The rows go to standard output; the catalogue is edited by hand.
"""

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

REFERENCE: Final = "nvidia-h200-sxm"
BRIDGE: Final = "nvidia-h100-sxm"
#: Workload class -> (metric, benchmarks). Chip-minutes count against a chip, throughput for it.
BENCHMARKS: Final = {
    "training": ("chip_minutes", ("llama31_405b", "llama31_8b", "gpt3")),
    "fine-tuning": ("chip_minutes", ("llama2_70b_lora",)),
    "batch-inference": (
        "throughput_per_chip",
        tuple(
            f"{model}/Offline"
            for model in ("llama2-70b-99", "llama3.1-405b", "llama3.1-8b", "mixtral-8x7b")
        ),
    ),
}
#: Systems that are not what the catalogue describes: power-limited, or with special cooling.
SPECIAL_SYSTEMS: Final = re.compile(r"MaxQ|CTS")
#: Results left out, with the reason.
EXCLUDED: Final = {
    ("nvidia-a100-80", "llama2_70b_lora"): "one submission, five times slower than any other run",
}
#: Results on each side from which a median is trusted over a newer round with fewer.
ENOUGH: Final = 3

#: (benchmark, round, chips of the system, chip) -> values.
Results = Mapping[tuple[str, str, int, str], list[float]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One chip against another on the same benchmark, round and number of chips."""

    benchmark: str
    round: str
    count: int
    ratio: float
    detail: str
    results: int
    """Results on the thinner side."""


def read_results(path: Path) -> dict[tuple[str, str, int, str], list[float]]:
    """Give the MLPerf results per chip, grouped by benchmark, round and chip count."""
    metrics = {metric for metric, _ in BENCHMARKS.values()}
    results = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            benchmark = row["workload"].partition("/")[2]
            version = re.search(r"results_v(\d+\.\d+)@| v(\d+\.\d+)$", row["source"])
            if (
                not row["workload"].startswith("mlperf-")
                or row["metric"] not in metrics
                or version is None
                or SPECIAL_SYSTEMS.search(row["source"])
                or (row["chip"], benchmark) in EXCLUDED
            ):
                continue
            key = (benchmark, version[1] or version[2], int(row["chips_count"]), row["chip"])
            results[key].append(float(row["value"]))
    return results


def compare(results: Results, kind: str, chip: str, other: str) -> Iterator[Comparison]:
    """Give every like-with-like comparison of `chip` with `other` in one workload class."""
    metric, benchmarks = BENCHMARKS[kind]
    for (benchmark, version, count, name), values in results.items():
        against = results.get((benchmark, version, count, other))
        if name != chip or benchmark not in benchmarks or against is None:
            continue
        mine, theirs = median(values), median(against)
        ratio = theirs / mine if metric == "chip_minutes" else mine / theirs
        yield Comparison(
            benchmark,
            version,
            count,
            ratio,
            f"{benchmark} v{version} on {count} chips: median {mine:.6g} ({len(values)} results)"
            f" against {theirs:.6g} ({len(against)}) = {ratio:.3f}",
            min(len(values), len(against)),
        )


def representative(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Give one comparison per benchmark: the newest round with enough results on both sides."""
    best: dict[str, Comparison] = {}
    for item in comparisons:
        known = best.get(item.benchmark)
        if known is None or _rank(item) > _rank(known):
            best[item.benchmark] = item
    return list(best.values())


def _rank(item: Comparison) -> tuple[bool, str, int, int]:
    return (item.results >= ENOUGH, item.round, item.results, -item.count)


def rate_row(results: Results, kind: str, chip: str) -> list[str] | None:
    """Give the `rates.csv` row of one chip and class, or None where nothing is comparable."""
    other, factor, note = REFERENCE, 1.0, ""
    found = list(compare(results, kind, chip, REFERENCE))
    if not found and chip != BRIDGE:
        found = list(compare(results, kind, chip, BRIDGE))
        bridge = representative(compare(results, kind, BRIDGE, REFERENCE))
        factor, other = median(item.ratio for item in bridge), BRIDGE
        note = f"; times {factor:.3f} for {BRIDGE} against {REFERENCE}"
    if not found:
        return None
    chosen = representative(found)
    ratios = [factor * item.ratio for item in found]
    metric = BENCHMARKS[kind][0].replace("_", " ")
    source = (
        f"MLPerf, {metric} against {other}: " + "; ".join(c.detail for c in chosen) + note
    )
    value = factor * median(item.ratio for item in chosen)
    numbers = [f"{number:.3g}" for number in (value, min(ratios), max(ratios))]
    return [chip, kind, *numbers, "measured", source]


def rate_rows(results: Results) -> Iterator[list[str]]:
    """Give all rows, by chip and class."""
    for chip in sorted({key[3] for key in results} - {REFERENCE}):
        for kind in BENCHMARKS:
            row = rate_row(results, kind, chip)
            if row is not None:
                yield row


if __name__ == "__main__":
    csv.writer(sys.stdout, lineterminator="\n").writerows(
        rate_rows(read_results(Path(sys.argv[1])))
    )
