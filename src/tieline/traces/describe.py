"""What is in a trace, in numbers: the part of `tieline trace describe` that computes."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tieline.model.trace import Trace

#: Equal pieces of the span for which the mean load is given.
PERIODS: Final = 60

_QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def describe(trace: Trace) -> dict[str, Any]:
    """Give the facts about a trace as plain numbers, texts and lists, ready for JSON.

    Returns
    -------
    dict
        Times in seconds, work in accelerator-hours. `load` is what the jobs would hold if
        each started when it was submitted: `mean` over the span from the first submission to
        the last end, `peak` at one moment, `by_period` the mean in equal pieces of the span.
    """
    work_h = trace.count * trace.duration_s / 3600
    sizes, jobs = np.unique(trace.count, return_counts=True)
    return {
        "name": trace.name,
        "jobs": len(trace),
        "rows": len(trace) + sum(trace.skipped.values()),
        "span_s": _span(trace),
        "last_submission_s": float(trace.submit_s[-1]),
        "accelerator_hours": float(work_h.sum()),
        "accelerator": trace.accelerator,
        "types": _types(trace),
        "duration_s": _spread(trace.duration_s),
        "sizes": [
            {
                "count": int(size),
                "jobs": int(number),
                "accelerator_hours": float(work_h[trace.count == size].sum()),
            }
            for size, number in zip(sizes, jobs, strict=True)
        ],
        "tenants": _groups(trace.tenants, trace.tenant, work_h),
        "workloads": _groups(tuple(map(str, trace.workloads)), trace.workload, work_h),
        "estimates": _estimates(trace),
        "load": _load(trace),
        "skipped": dict(trace.skipped),
        "notes": list(trace.notes),
    }


def _span(trace: Trace) -> float:
    return float((trace.submit_s + trace.duration_s).max())


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    spread = {"mean": float(values.mean()), "min": float(values.min())}
    for quantile, value in zip(_QUANTILES, np.quantile(values, _QUANTILES), strict=True):
        spread[f"p{quantile * 100:.0f}"] = float(value)
    return spread | {"max": float(values.max())}


def _groups(
    names: tuple[str, ...], codes: NDArray[np.int32], work_h: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Give jobs and work per name, most work first."""
    jobs = np.bincount(codes, minlength=len(names))
    work = np.bincount(codes, weights=work_h, minlength=len(names))
    order = sorted(range(len(names)), key=lambda place: (-work[place], names[place]))
    return [
        {
            "name": names[place],
            "jobs": int(jobs[place]),
            "accelerator_hours": float(work[place]),
        }
        for place in order
    ]


def _types(trace: Trace) -> dict[str, int]:
    """Count the jobs per type the file names."""
    if trace.job_type is None:
        return {}
    jobs = np.bincount(trace.job_type + 1, minlength=len(trace.types) + 1)
    return dict(zip(("(not stated)", *trace.types), map(int, jobs), strict=True))


def _estimates(trace: Trace) -> dict[str, float | None] | None:
    """Give how many jobs state a run time, and what they ask for per second they run."""
    if trace.estimate_s is None:
        return None
    known = np.isfinite(trace.estimate_s) & (trace.duration_s > 0)
    ratio = trace.estimate_s[known] / trace.duration_s[known]
    return {
        "jobs": int(np.isfinite(trace.estimate_s).sum()),
        "asked_over_run_p50": float(np.median(ratio)) if ratio.size else None,
    }


def _load(trace: Trace) -> dict[str, Any]:
    """Integrate what the jobs hold if each starts when it is submitted."""
    count = trace.count.astype(np.float64)
    moments = np.concatenate([trace.submit_s, trace.submit_s + trace.duration_s])
    change = np.concatenate([count, -count])
    # At one moment ends come before starts, so that back-to-back jobs do not add up.
    order = np.lexsort((change, moments))
    moments, held = moments[order], np.cumsum(change[order])
    span = _span(trace)
    work = np.concatenate([[0.0], np.cumsum(held[:-1] * np.diff(moments))])
    edges = np.linspace(0.0, span, PERIODS + 1)
    per_period = np.diff(np.interp(edges, moments, work)) / (span / PERIODS) if span else []
    return {
        "mean": float((count * trace.duration_s).sum() / span) if span else 0.0,
        "peak": float(held.max()),
        "period_s": span / PERIODS,
        "by_period": [float(value) for value in per_period],
    }
