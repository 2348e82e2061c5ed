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
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

REFERENCE: Final = "nvidia-h200-sxm"
BRIDGE: Final = "nvidia-h100-sxm"
#: Workload class -> metric. Chip-minutes count against a chip, throughput counts for it.
METRICS: Final = {
    "training": "chip_minutes",
    "fine-tuning": "chip_minutes",
    "batch-inference": "throughput_per_chip",
}
#: Workload class -> groups of benchmarks; a group is used only where the one before has nothing.
BENCHMARKS: Final = {
    "training": (("llama31_405b", "llama31_8b", "gpt3"), ("bert",)),
    "fine-tuning": (("llama2_70b_lora",),),
    "batch-inference": (
        (
            "llama2-70b-99/Offline",
            "llama3.1-405b/Offline",
            "llama3.1-8b/Offline",
            "mixtral-8x7b/Offline",
        ),
    ),
}
#: Systems that are not what the catalogue describes: power-limited, or with special cooling.
SPECIAL_SYSTEMS: Final = re.compile(r"MaxQ|CTS")
#: Results left out, with the reason.
EXCLUDED: Final = {
    ("nvidia-a100-80", "llama2_70b_lora"): "one submission, far below every other result of it",
    ("amd-mi300x", "bert"): "one submission, far below every other result of it",
}
#: Results on each side from which a median is trusted over a newer round with fewer.
ENOUGH: Final = 3


@dataclass(slots=True)
class Group:
    """The results of one chip on one benchmark, in one round, with one number of chips."""

    values: list[float] = field(default_factory=list)
    precisions: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        """Give the median with its number of results and, where told, the precision."""
        told = [f"n={len(self.values)}", *sorted(self.precisions)]
        return f"{median(self.values):.6g} ({', '.join(told)})"


#: (benchmark, round, chips of the system, chip) -> results.
Results = Mapping[tuple[str, str, int, str], Group]


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

    @property
    def rank(self) -> tuple[bool, str, int, int]:
        """What makes one comparison of a benchmark better than another."""
        return (self.results >= ENOUGH, self.round, self.results, -self.count)


def read_results(path: Path) -> Results:
    """Give the MLPerf results per chip, grouped by benchmark, round and chip count."""
    results: dict[tuple[str, str, int, str], Group] = defaultdict(Group)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            benchmark = row["workload"].partition("/")[2]
            version = re.search(r"results_v(\d+\.\d+)@| v(\d+\.\d+)$", row["source"])
            if (
                not row["workload"].startswith("mlperf-")
                or row["metric"] not in METRICS.values()
                or version is None
                or SPECIAL_SYSTEMS.search(row["source"])
                or (row["chip"], benchmark) in EXCLUDED
            ):
                continue
            key = (benchmark, version[1] or version[2], int(row["chips_count"]), row["chip"])
            results[key].values.append(float(row["value"]))
            results[key].precisions.update(re.findall(r", (fp\d+)\)$", row["source"]))
    return dict(results)


def compare(
    results: Results, metric: str, benchmarks: Iterable[str], chip: str, other: str
) -> list[Comparison]:
    """Give every like-with-like comparison of `chip` with `other`, benchmarks in order."""
    found = []
    for benchmark in benchmarks:
        for (name, version, count, owner), mine in results.items():
            theirs = results.get((benchmark, version, count, other))
            if (name, owner) != (benchmark, chip) or theirs is None:
                continue
            ratio = median(mine.values) / median(theirs.values)
            ratio = 1 / ratio if metric == "chip_minutes" else ratio
            detail = f"{benchmark} v{version} on {count} chips: {mine} against {theirs}"
            thinner = min(len(mine.values), len(theirs.values))
            found.append(
                Comparison(benchmark, version, count, ratio, f"{detail} = {ratio:.3f}", thinner)
            )
    return found


def representative(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Give one comparison per benchmark: the newest round with enough results on both sides."""
    best: dict[str, Comparison] = {}
    for item in comparisons:
        known = best.get(item.benchmark)
        if known is None or item.rank > known.rank:
            best[item.benchmark] = item
    return list(best.values())


def rate_row(results: Results, kind: str, chip: str) -> list[str] | None:
    """Give the `rates.csv` row of one chip and class, or None where nothing is comparable."""
    metric = METRICS[kind]
    for benchmarks in BENCHMARKS[kind]:
        found = compare(results, metric, benchmarks, chip, REFERENCE)
        factor, note, other = 1.0, "", REFERENCE
        if not found and chip != BRIDGE:
            found = compare(results, metric, benchmarks, chip, BRIDGE)
            bridge = representative(compare(results, metric, benchmarks, BRIDGE, REFERENCE))
            factor, other = median(item.ratio for item in bridge), BRIDGE
            note = f"; times {factor:.3f}, {BRIDGE} against {REFERENCE}"
        if not found:
            continue
        chosen = representative(found)
        value = factor * median(item.ratio for item in chosen)
        ratios = [factor * item.ratio for item in found]
        spread = [f"{min(ratios):.3g}", f"{max(ratios):.3g}"] if len(found) > 1 else ["", ""]
        details = "; ".join(item.detail for item in chosen)
        source = f"MLPerf, {metric.replace('_', ' ')} against {other}: {details}{note}"
        return [chip, kind, f"{value:.3g}", *spread, "measured", source]
    return None


def rate_rows(results: Results) -> Iterator[list[str]]:
    """Give all rows, by chip and class."""
    for chip in sorted({key[3] for key in results} - {REFERENCE}):
        for kind in METRICS:
            row = rate_row(results, kind, chip)
            if row is not None:
                yield row


if __name__ == "__main__":
    rows = rate_rows(read_results(Path(sys.argv[1])))
    csv.writer(sys.stdout, lineterminator="\n").writerows(rows)
