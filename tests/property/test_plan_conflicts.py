"""Random small plans: what an error names is all that stands in the way of a plan."""

from dataclasses import replace
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.model.errors import InputError
from tieline.model.plan import (
    Budget,
    Buyer,
    Cap,
    ImportRatio,
    PlanSpec,
    Stock,
)
from tieline.planning.elastic import Elastic
from tieline.planning.inputs import inputs_of
from tieline.planning.plan import Plan
from twins.plan_limits import GBIT, ONE_LINK, REBAN, chips, place, plan, without, work

counts = st.sampled_from([0.0, 20.0, 60.0, 150.0])
bounds = st.sampled_from([0.0, 30.0, 100.0, inf])


@st.composite
def plans(draw: st.DrawFn) -> PlanSpec:
    """Draw a plan of two regions, in which some limits may clash."""
    terms = [
        {
            "lead": draw(st.integers(0, 2)),
            "supply": draw(st.none() | counts.map(lambda n: (n,) * 4)),
        }
        for _ in range(2)
    ]
    return plan(
        chips=chips(h200=terms[0], c910=terms[1]),
        regions=tuple(
            place(name, power_w=1000.0 * draw(bounds), space=draw(bounds))
            for name in ("east", "west")
        ),
        demand=(
            work(draw(counts), sensitivity=draw(st.sampled_from(["open", "secret"]))),
            work(
                draw(counts),
                region=draw(st.sampled_from(["east", "west"])),
                id="archive",
                max_rtt_s=draw(st.sampled_from([0.005, inf])),
                bandwidth_bytes_s=0.2 * GBIT,
            ),
        ),
        links=draw(st.sampled_from([(), ONE_LINK])),
        stock=(Stock("east", "910c", draw(counts), draw(st.none() | st.integers(1, 3))),),
        budget=Budget(total_usd=draw(st.sampled_from([3e5, 1e6, inf]))),
        buyers=(Buyer("lab", buys=draw(st.sampled_from([frozenset(), frozenset({"CN"})]))),),
        trust={"secret": frozenset({"CN"})},
        caps=(Cap("licence", frozenset({"US"}), draw(counts)),),
        import_ratio=draw(st.none() | st.builds(ImportRatio, st.just(0.5), counts)),
        branches=draw(st.sampled_from([(), (replace(REBAN, at=1),)])),
    )


@settings(deadline=None, max_examples=60)
@given(plans())
def test_a_plan_without_the_named_limits_can_be_made(spec: PlanSpec) -> None:
    """An infeasible plan has at least one limit named, and none clash when these are gone."""
    try:
        Plan(spec).solve()
    except InputError as error:
        limits = [line for line in str(error).splitlines() if line.startswith("  ")]
        assert limits
        for line in limits:
            spec = without(spec, line)
        assert Plan(spec).solve().objective_usd > -inf
    else:
        elastic = Elastic(inputs_of(spec))
        assert elastic.clash(elastic.rules) is None
