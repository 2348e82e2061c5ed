"""A comparison in sentences: the answer first, then what is taken for granted."""

from collections.abc import Mapping
from math import inf

from tieline.model.job import DEFAULT_ESTIMATE_S
from tieline.model.reasons import WORDS
from tieline.model.units import BYTES_PER_GB, format_duration
from tieline.scheduling.registry import DEFAULT_POLICY
from tieline.simulation.comparison import NEAR, AtScale, Comparison
from tieline.simulation.conditions import Conditions
from tieline.simulation.equal_service import LARGEST, EqualService

_DEFAULT = format_duration(DEFAULT_ESTIMATE_S)


def headline(comparison: Comparison) -> list[str]:
    """Give the answer at the last scale; nothing when there is nothing to compare.

    It compares separate centres with the joined network under `price`, or else under the
    last policy named.
    """
    at = comparison.scales[-1]
    if not any(one.finished for one in at.summaries.values()):
        return ["No job of the trace can ever run on this network."]
    joined = [name for name, one in at.replays.items() if not one.policy.home_only]
    separate = next((name for name, one in at.replays.items() if one.policy.home_only), None)
    if separate is None or not joined:
        return []
    if not at.summaries[separate].finished:
        return ["No tenant has a home that can run its jobs: separate centres run nothing."]
    chosen = DEFAULT_POLICY if DEFAULT_POLICY in joined else joined[-1]
    return _needs(at, chosen) or [_waits(at, separate, chosen)]


def mean_waits(at: AtScale) -> Mapping[str, float | None]:
    """Give the mean wait under each policy, on the jobs that ran under all of them."""
    if at.same_jobs is not None:
        return at.same_jobs.mean_wait_s
    return {name: one.mean_wait_s for name, one in at.summaries.items()}


def many(number: int, what: str) -> str:
    """Give a number of things, such as `1 job` or `2,816 jobs`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def time(seconds: float | None) -> str:
    """Give a length of time as people read it; a dash for none."""
    return "-" if seconds is None else format_duration(seconds)


def times(ratio: float) -> str:
    """Give a ratio in words, such as `6.2 times`."""
    return f"{ratio:.2g} times" if ratio < 10 else f"{ratio:,.0f} times"  # noqa: PLR2004 - digits


def assumptions(comparison: Comparison) -> list[str]:
    """Give what the result takes for granted, one sentence each."""
    trace, base = comparison.trace, comparison.recorded_on
    if trace.throughputs is not None:
        source = "measured speeds decide on the others"
    elif trace.accelerator is not None:
        source = "the trace says so"
    elif trace.types:
        named = ", ".join(trace.types[:4])
        source = f"assumed: the trace names its types {named}, no accelerator of the catalogue"
    else:
        source = "assumed: the trace does not say"
    return [
        f"Run times hold for {base} ({source}).",
        *rates(comparison),
        " ".join(estimates(comparison.conditions)),
        " ".join([*data(comparison), "Nothing fails.", *stops(comparison.conditions)]),
    ]


def rates(comparison: Comparison) -> list[str]:
    """Give how the rates are known by which jobs ran; nothing where there is only one speed."""
    at = comparison.scales[-1]
    one_model = len({pool.accelerator for pool in at.network.pools}) == 1
    if one_model and all(one.rate_basis.keys() <= {"measured"} for one in at.summaries.values()):
        return []
    parts = [
        f"{name} "
        + ", ".join(f"{jobs / one.finished:.0%} {basis}" for basis, jobs in one.rate_basis.items())
        for name, one in at.summaries.items()
        if one.finished
    ]
    return [f"Rates of the jobs, where they ran: {'; '.join(parts)}."] if parts else []


def data(comparison: Comparison) -> list[str]:
    """Give how data comes to jobs, one sentence each."""
    if comparison.trace.dataset is None:
        return ["Data is where it is needed."]
    if comparison.conditions.round_s is not None:
        return ["Jobs fetch their data themselves and hold their accelerators meanwhile."]
    return ["Data is moved before jobs start, over links that transfers share."]


def moved(comparison: Comparison) -> list[str]:
    """Give what was moved over links under each policy, one line per scale and policy."""
    several = len(comparison.scales) > 1
    return [
        f"{name}{f' at {at.scale:g}' if several else ''} moves"
        f" {one.moved_bytes / BYTES_PER_GB:,.0f} GB over links for {one.moved_usd:,.2f} USD."
        for at in comparison.scales
        for name, one in at.summaries.items()
        if one.moved_bytes
    ]


def estimates(conditions: Conditions) -> list[str]:
    """Give what the scheduler is told about run times, one sentence each."""
    said = {
        "exact": "Estimates are exact: the scheduler is told the run times of the trace.",
        "user": "Estimates are those of the users, as the trace has them.",
        "history": "Nobody says how long jobs run: estimates come from jobs that ended before.",
        "default": f"Estimates say nothing: every job is taken to run {_DEFAULT}.",
    }
    lines = [said[conditions.estimates]]
    if conditions.some_silent:
        lines.append(
            f"Of {100 * conditions.missing:.3g}% of the jobs, drawn at random, nothing is said:"
            " jobs that ended before tell."
        )
    if conditions.error > 1:
        lines.append(
            f"Every estimate is off by a factor drawn at random, up to {conditions.error:g} either"
            f" way (seed {conditions.seed})."
        )
    return lines


def stops(conditions: Conditions) -> list[str]:
    """Give when the scheduler decides, and whom it may stop, one sentence each."""
    lines = []
    if conditions.round_s is not None:
        lines.append(f"All is decided anew every {format_duration(conditions.round_s)}.")
    if conditions.stop_s == inf:
        return [*lines, "No job is interrupted."]
    cost = f"costs it {format_duration(conditions.stop_s)}" if conditions.stop_s else "is free"
    return [*lines, f"Every job may be stopped and started again, which {cost}."]


def left_out(comparison: Comparison) -> list[str]:
    """Give the rows of the trace that are no jobs, by reason."""
    skipped = comparison.trace.skipped
    return [f"Left out: {many(number, 'row')}: {why}." for why, number in skipped.items()]


def what_is_replayed(comparison: Comparison) -> str:
    """Give trace and network in one line."""
    trace, network = comparison.trace, comparison.network
    return (
        f"{trace.name}: {many(len(trace), 'job')} of {many(len(trace.tenants), 'tenant')} on"
        f" {network.name}: {many(network.capacity, 'accelerator')} in"
        f" {many(len(network.pools), 'pool')}"
    )


def rejections(comparison: Comparison) -> list[str]:
    """Give why jobs can never run, one line per policy and scale; equal lines once."""
    words = {str(reason.name).lower(): text for reason, text in WORDS.items()}
    lines = [
        f"{name} rejects {many(one.rejected, 'job')}: "
        + ", ".join(f"{words[reason]} ({count:,})" for reason, count in one.rejected_for.items())
        + "."
        for at in comparison.scales
        for name, one in at.summaries.items()
        if one.rejected
    ]
    return list(dict.fromkeys(lines))


def _waits(at: AtScale, separate: str, joined: str) -> str:
    waits = mean_waits(at)
    return (
        f"With {at.network.capacity:,} accelerators a job waits {time(waits[separate])} on"
        f" average in separate centres and {time(waits[joined])} on the joined network"
        f" ({joined})."
    )


def _needs(at: AtScale, joined: str) -> list[str]:
    needs = at.needs.get(joined)
    if needs is None:
        return []
    own = at.network.capacity
    mean = time(at.summaries[joined].mean_jct_s)
    line = (
        f"The joined network finishes a job after {mean} on average with {own:,} accelerators"
        f" ({joined}). For that, separate centres need {_much(needs.separate, own)};"
        f" to come within {NEAR:.0%} of it, {_much(needs.separate_near, own)}."
    )
    reverse = (
        f"What separate centres give with {own:,} accelerators, the joined network"
        f" gives with {_much(needs.joined, own)}."
    )
    return [line, reverse] if needs.joined is not None else [line]


def _much(found: EqualService | None, own: int) -> str:
    if found is None:
        return f"more than {LARGEST:g} times their nodes at scale 1"
    number = found.accelerators
    if number == own:
        return "as many"
    ratio = f"{times(number / own)} as many" if number > own else f"{number / own:.0%} of them"
    return f"{number:,} ({ratio})"
