"""How well rates are known that nobody measured: each measured one is held out and predicted.

    python benchmarks/rates.py [--json]

Three sources: Gavel's training speeds on K80, P100 and V100; MLPerf results, like with like
(same benchmark, round and number of chips); the catalogue's measured rates by class. Held out is
one entry; or all of a model (benchmark) on an accelerator, whatever the size or round; or all of
a family of models on an accelerator. The error is that of the speed relative to what is left of
its row. `inside` is the share of held-out values between `low` and `high` of the prediction.
"""

import argparse
import ast
import json
import runpy
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import exp, log
from statistics import fmean, median
from typing import Final

import numpy as np
from _inputs import ROOT, TRACES

from tieline.model.accelerator import REFERENCE, Accelerator, Figure, Rate
from tieline.model.catalogue import catalogue
from tieline.model.class_rates import CLOSEST, absolute_rate, roofline
from tieline.model.throughputs import ThroughputTable
from tieline.traces.source import Source

SPEEDS: Final = TRACES / "gavel_throughputs" / "simulation_throughputs.json.zst"
RESULTS: Final = TRACES.parent / "facts" / "measured.csv"

#: Memory bandwidth [TB/s] and FP32 compute [TFLOPS], in which Gavel's models were trained, from
#: the vendor's data sheets; of the K80 one of its two chips.
GAVEL_CHIPS: Final = {"v100": (0.9, 15.7), "p100": (0.732, 10.6), "k80": (0.24, 4.37)}
#: The workload class of a benchmark, by what its name contains; the rest is training.
CLASSES: Final = {"lora": "fine-tuning", "Offline": "batch-inference", "/": "decode"}

#: (model, accelerator, size) -> speed.
Key = tuple[str, str, int]
Speeds = Mapping[Key, float]
#: Gives the prediction for a key; None where it has none.
Predict = Callable[[Key], Rate | None]
#: Learns from the speeds that are left.
Method = Callable[[Speeds], Predict]
Summary = dict[str, float]
Case = tuple[float, Rate]
"""A held-out value and its prediction."""


def gavel() -> Speeds:
    """Give Gavel's speeds of consolidated gangs, where they run [steps/s]."""
    document = json.loads("\n".join(Source.open(SPEEDS).lines()["text"]))
    speeds = {}
    for chip in GAVEL_CHIPS:
        for name, entry in document[chip].items():
            model, count = ast.literal_eval(name)
            if entry["null"] > 0:
                speeds[model, chip, count] = entry["null"]
    return speeds


def mlperf() -> Speeds:
    """Give MLPerf's speeds per chip: medians by benchmark, round, number of chips and chip."""
    script = runpy.run_path(str(ROOT / "scripts" / "measured_rates.py"))
    speeds = {}
    for (benchmark, version, count, chip), group in script["read_results"](RESULTS).items():
        value = median(group.values)
        if chip in catalogue():
            counts_against = class_of(benchmark) in {"training", "fine-tuning"}
            model = f"{benchmark} v{version} on {count}"
            speeds[model, chip, 1] = 1 / value if counts_against else value
    chips: dict[str, set[str]] = defaultdict(set)
    for model, chip, _ in speeds:
        chips[model].add(chip)
    return {key: speed for key, speed in speeds.items() if len(chips[key[0]]) > 1}


def class_of(model: str) -> str:
    """Give the workload class of an MLPerf benchmark."""
    return next((kind for part, kind in CLASSES.items() if part in model), "training")


def completed(left: Speeds) -> Predict:
    """Predict as a rate book does: from all other entries."""
    table = ThroughputTable(left)
    return lambda key: table.completed(key[0], key[2]).get(key[1])


def by_ratio(rate_of: Callable[[str, str], Rate | None]) -> Method:
    """Predict from rates by model and accelerator, set against what is left of the row."""

    def method(left: Speeds) -> Predict:
        rows = by_row(left)

        def predict(key: Key) -> Rate | None:
            model, chip, count = key
            mine = rate_of(model, chip)
            known = rows.get((model, count), {}).items()
            others = [(value, rate_of(model, other)) for other, value in known]
            logs = [value - log(rate.value) for value, rate in others if rate is not None]
            if mine is None or not logs:
                return None
            scale = exp(fmean(logs))
            ends = (mine.value if end is None else end for end in (mine.low, mine.high))
            low, high = (scale * end for end in ends)
            return replace(mine, value=scale * mine.value, low=low, high=high)

        return predict

    return method


def class_mean(left: Speeds) -> Predict:
    """Predict the mean ratio of the other models: what one rate per class amounts to."""
    rows = by_row(left)

    def predict(key: Key) -> Rate | None:
        model, chip, count = key
        guesses = []
        for other, known in rows.get((model, count), {}).items():
            both = [row for row in rows.values() if {chip, other} <= row.keys()]
            if both:
                guesses.append(known + fmean(row[chip] - row[other] for row in both))
        return Rate(exp(fmean(guesses)), "inferred", "mean of the class") if guesses else None

    return predict


def by_row(speeds: Speeds) -> dict[tuple[str, int], dict[str, float]]:
    """Give the logarithms of the speeds of each model and size, by accelerator."""
    rows: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for (model, chip, count), speed in speeds.items():
        rows[model, count][chip] = log(speed)
    return rows


def gavel_chip(name: str, *, bandwidth: bool) -> Accelerator:
    """Give one of Gavel's accelerators with the figure that is to decide."""
    figure = "memory_bw_tbs" if bandwidth else "bf16_tflops"
    value = GAVEL_CHIPS[name][0 if bandwidth else 1]
    figures = {figure: Figure(value, "", "data sheet", "2017", "high")}
    return Accelerator(name, name, "NVIDIA", "US", "cuda", figures)


def of_catalogue(model: str, chip: str, *, measured: bool) -> Rate | None:
    """Give what the catalogue says of a chip for the class of a benchmark."""
    one, kind = catalogue()[chip], class_of(model)
    if chip == REFERENCE:
        return Rate(1.0, "measured", "the reference", 1.0, 1.0)
    return absolute_rate(one, kind) if measured else roofline(one, kind)


def held_out(speeds: Speeds, group_of: Callable[[Key], object]) -> list[list[Key]]:
    """Give the groups of keys that are held out together, each once."""
    groups: dict[object, list[Key]] = defaultdict(list)
    for key in speeds:
        groups[group_of(key)].append(key)
    return list(groups.values())


def cases(speeds: Speeds, groups: list[list[Key]], method: Method) -> dict[Key, Case]:
    """Hold each group out and predict it."""
    found = {}
    for group in groups:
        predict = method({key: speed for key, speed in speeds.items() if key not in group})
        for key in group:
            rate = predict(key)
            if rate is not None:
                found[key] = speeds[key], rate
    return found


def summary(found: list[Case]) -> Summary:
    """Give number, median and 90th percentile of the relative error, and how many are inside."""
    errors = [abs(rate.value / truth - 1) for truth, rate in found]
    ranged = [rate.low <= t <= rate.high for t, rate in found if rate.low and rate.high]
    return {
        "held_out": len(found),
        "median": float(np.median(errors)),
        "p90": float(np.percentile(errors, 90)),
        **({"inside": fmean(ranged)} if len(ranged) == len(found) else {}),
    }


def compared(
    speeds: Speeds, group_of: Callable[[Key], object], methods: Mapping[str, Method]
) -> dict[str, Summary]:
    """Give the summary of every method on the held-out values that all can predict."""
    groups = held_out(speeds, group_of)
    found = {name: cases(speeds, groups, method) for name, method in methods.items()}
    common = set.intersection(*(set(one) for one in found.values()))
    return {name: summary([one[key] for key in sorted(common)]) for name, one in found.items()}


def classes(*, with_closest: bool) -> dict[str, Summary]:
    """Give the summaries for the catalogue: each measured rate without itself.

    With the closest class held out too, only those are counted that could be completed.
    """
    found: dict[str, list[Case]] = {"as rate books do": [], "roofline": []}
    for one in catalogue().values():
        for kind, rate in one.rates.items():
            bound = roofline(one, kind)
            if rate.basis != "measured" or rate.value <= 0 or bound is None:
                continue
            out = {kind, CLOSEST.get(kind) if with_closest else None}
            rest = {name: other for name, other in one.rates.items() if name not in out}
            guess = absolute_rate(replace(one, rates=rest), kind)
            if not with_closest or guess.source.startswith("completed"):
                found["as rate books do"].append((rate.value, guess))
                found["roofline"].append((rate.value, bound))
    return {name: summary(rates) for name, rates in found.items()}


def measured() -> dict[str, dict[str, Summary]]:
    """Give all summaries, by source and what was held out."""
    on_gavel: dict[str, Method] = {
        "completed": completed,
        "class mean": class_mean,
        "roofline, bandwidth": by_ratio(
            lambda _, chip: roofline(gavel_chip(chip, bandwidth=True), "training")
        ),
        "roofline, compute": by_ratio(
            lambda _, chip: roofline(gavel_chip(chip, bandwidth=False), "training")
        ),
    }
    on_mlperf: dict[str, Method] = {
        "completed": completed,
        "class mean": class_mean,
        "roofline": by_ratio(lambda model, chip: of_catalogue(model, chip, measured=False)),
        "catalogue, which has seen it": by_ratio(
            lambda model, chip: of_catalogue(model, chip, measured=True)
        ),
    }
    speeds = gavel()
    result = {
        "Gavel, one entry": compared(speeds, lambda key: key, on_gavel),
        "Gavel, a model": compared(speeds, lambda key: key[:2], on_gavel),
        "Gavel, a family": compared(
            speeds, lambda key: (key[0].partition(" (")[0], key[1]), on_gavel
        ),
        "catalogue, a class": classes(with_closest=False),
        "catalogue, and closest": classes(with_closest=True),
    }
    if RESULTS.exists():
        speeds = mlperf()
        result["MLPerf, one entry"] = compared(speeds, lambda key: key, on_mlperf)
        result["MLPerf, a benchmark"] = compared(
            speeds, lambda key: (key[0].partition(" v")[0], key[1]), on_mlperf
        )
    return result


def main() -> None:
    """Measure and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measured()
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"{'held out':22s} {'predicted':30s} {'n':>4s} {'median':>8s} {'p90':>8s} {'inside':>8s}"
    )
    for what, methods in result.items():
        for name, one in methods.items():
            inside = f"{one['inside']:8.0%}" if "inside" in one else f"{'-':>8s}"
            print(
                f"{what:22s} {name:30s} {one['held_out']:4d} {one['median']:8.1%}"
                f" {one['p90']:8.1%} {inside}"
            )
    if not RESULTS.exists():
        print(f"no MLPerf results: {RESULTS} is not there")


if __name__ == "__main__":
    main()
