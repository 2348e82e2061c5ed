"""A comparison as one HTML page that needs nothing beside it."""

from typing import Final

from tieline import __version__
from tieline.reports import rows, words
from tieline.reports.document import label
from tieline.reports.pictures import of_scale, of_scales
from tieline.reports.template import render
from tieline.simulation.comparison import AtScale, Comparison

_RESULTS: Final = (
    "Completion is from submission to end, over the jobs that ran. The limit is a lower bound on"
    " the mean completion time of any schedule of these jobs on this network. Rejected are jobs"
    " that no pool can ever run under the policy."
)
_SAME_JOBS: Final = (
    "Mean completion, and mean wait in brackets, over the jobs that ran under every policy at"
    " that scale: policies that reject different jobs can only be compared on these."
)
_NEEDS: Final = (
    "The smallest network, by scaling the nodes of every pool in steps of about 1 %, on which the"
    " one has a mean completion time no longer than the other, over the jobs that both ran."
)


def page(comparison: Comparison) -> str:
    """Give the page; equal comparisons give equal pages, whatever the machine."""
    several = len(comparison.scales) > 1
    policies = comparison.scales[0].replays.values()
    return render(
        "page.html",
        version=__version__,
        network=comparison.network.name,
        trace=comparison.trace.name,
        what=words.what_is_replayed(comparison),
        headline=words.headline(comparison),
        tables=[
            ("Policies", rows.results(comparison), _RESULTS),
            ("On the jobs that ran everywhere", rows.on_same_jobs(comparison), _SAME_JOBS),
            ("Accelerators for equal service", rows.needs(comparison), _NEEDS),
        ],
        policies=[(one.policy.name, one.policy.summary) for one in policies],
        overview=of_scales(comparison) if several else None,
        sections=[(_section(at), of_scale(at)) for at in comparison.scales],
        assumptions=words.assumptions(comparison),
        notes=[
            *words.rejections(comparison),
            *comparison.trace.notes,
            *words.left_out(comparison),
        ],
    )


def _section(at: AtScale) -> str:
    return f"Scale {label(at.scale)}: {at.network.capacity:,} accelerators"
