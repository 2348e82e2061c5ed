"""A comparison as tables of text, for the terminal and the page alike."""

from tieline.reports.document import label
from tieline.reports.text_table import Rows
from tieline.reports.words import time
from tieline.simulation.comparison import NEAR, AtScale, Comparison
from tieline.simulation.equal_service import EqualService
from tieline.simulation.summary import Summary


def results(comparison: Comparison) -> Rows:
    """Give one row per scale and policy."""
    heads = (
        "scale",
        ">accel.",
        "policy",
        ">mean\ncompletion",
        ">mean\nwait",
        ">p95\nwait",
        ">in\nuse",
        ">x the\nlimit",
        ">rejected",
    )
    rows = [
        (*_name(at, first=place == 0), name, *_numbers(summary))
        for at in comparison.scales
        for place, (name, summary) in enumerate(at.summaries.items())
    ]
    return Rows(heads, rows, frozenset(range(0, len(rows), len(comparison.scales[0].replays))))


def on_same_jobs(comparison: Comparison) -> Rows | None:
    """Give one row per scale whose policies ran different jobs; None where there is none.

    A cell holds mean completion and mean wait over the jobs that ran under all of them.
    """
    policies = tuple(comparison.scales[0].replays)
    rows = [
        (
            label(at.scale),
            f"{same.jobs:,}",
            *(
                f"{time(same.mean_jct_s[name])} ({time(same.mean_wait_s[name])})"
                for name in policies
            ),
        )
        for at in comparison.scales
        if (same := at.same_jobs) is not None
    ]
    heads = ("scale", ">jobs", *(f">{name}" for name in policies))
    return Rows(heads, rows, frozenset()) if rows else None


def needs(comparison: Comparison) -> Rows | None:
    """Give one row per scale and joined policy, with the accelerators for equal service."""
    rows = [
        (
            label(at.scale),
            joined,
            f"{at.network.capacity:,}",
            _many(needs.separate, at),
            _many(needs.separate_near, at),
            _many(needs.joined, at),
        )
        for at in comparison.scales
        for joined, needs in at.needs.items()
    ]
    heads = (
        "scale",
        "policy",
        ">accel.",
        ">separate\nneed for this",
        f">separate, for\n{NEAR:.0%} longer",
        ">joined need for\nwhat separate give",
    )
    return Rows(heads, rows, frozenset()) if rows else None


def _name(at: AtScale, *, first: bool) -> tuple[str, str]:
    return (label(at.scale), f"{at.network.capacity:,}") if first else ("", "")


def _numbers(summary: Summary) -> tuple[str, ...]:
    use, ratio = summary.utilisation, summary.bound_ratio
    return (
        time(summary.mean_jct_s),
        time(summary.mean_wait_s),
        time(summary.p95_wait_s),
        "-" if use is None else f"{use:.0%}",
        "-" if ratio is None else f"{ratio:.3f}",
        f"{summary.rejected:,}",
    )


def _many(found: EqualService | None, at: AtScale) -> str:
    if found is None:
        return "not reached"
    return f"{found.accelerators:,} ({found.accelerators / at.network.capacity:.2f}x)"
