"""The solver: huge and tiny plans alike, hot like cold, and no answer that does not hold."""

from dataclasses import replace

import numpy as np
import pytest

from tieline.model.plan import PlanSpec, Stock
from tieline.planning.inputs import inputs_of
from tieline.planning.model import program_of
from tieline.planning.plan import Plan
from tieline.planning.solver import Infeasible, Solver, fault_of
from twins.plan_cases import chip, place, plan, work


def sized(accelerators: float, usd: float) -> PlanSpec:
    """Give a plan with amounts and money times a factor each."""
    return plan(
        4,
        regions=(place("a", power_w=90e3 * accelerators, usd_per_kwh=0.1 * usd),),
        chips=(
            chip(
                "h", price_usd=27e3 * usd, install_usd=5e3 * usd, supply=(40 * accelerators,) * 4
            ),
            chip("old", rate=0.3),
        ),
        stock=(Stock("a", "old", 20.0 * accelerators),),
        demand=(work("w", {"a": tuple(accelerators * n for n in (20.0, 40, 60, 80))}, 5.0 * usd),),
    )


@pytest.mark.parametrize("usd", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("accelerators", [1e-4, 1.0, 1e7])
def test_size_does_not_matter(accelerators: float, usd: float) -> None:
    """A plan in other units has the same solution in these units, from grains to nations."""
    one = Plan(sized(1.0, 1.0)).solve()
    other = Plan(sized(accelerators, usd)).solve()
    assert other.objective_usd == pytest.approx(one.objective_usd * accelerators * usd, rel=1e-7)
    buy = one.array("buy")
    assert buy.sum() > 1.0
    assert other.array("buy") == pytest.approx(buy * accelerators, rel=1e-6, abs=1e-6)


def test_scaled_numbers_are_moderate() -> None:
    """What is handed over lies within a few powers of ten, whatever the units of the plan."""
    for accelerators, usd in ((1e-4, 1e6), (1e7, 1e-6)):
        program = program_of(inputs_of(sized(accelerators, usd)))
        values = np.abs(program.values[program.values != 0])
        assert values.min() > 1e-4
        assert values.max() < 1e4


def test_a_value_that_misses_a_limit_is_refused() -> None:
    """The check sees a limit that is missed by a millionth part, and passes what keeps all."""
    result = Plan(sized(1.0, 1.0)).solve()
    program = result.program
    values = result.solution.values / program.unit
    assert fault_of(program, values) == ""
    column = int(np.flatnonzero(values > 0)[0])
    values[column] *= 1.0 + 1e-4
    assert "a limit is missed" in fault_of(program, values)


def test_a_change_of_numbers_is_solved_hot() -> None:
    """What if takes fewer pivots than the first solve, and gives the same as a solve from cold."""
    live = Plan(sized(1.0, 1.0))
    first = live.solve().solution.iterations
    changed = replace(sized(1.0, 1.0), discount=0.05)
    found = live.what_if(changed)
    assert found.solution.iterations < first
    assert found.objective_usd == pytest.approx(Plan(changed).solve().objective_usd, rel=1e-9)


def test_extra_limits_and_costs_end_with_their_block() -> None:
    """After a block the program is what it was before."""
    result = Plan(sized(1.0, 1.0)).solve()
    program = result.program
    solver = Solver(program)
    before = solver.solve().objective
    columns = program.variables["buy"].index.ravel()
    columns = columns[columns >= 0]
    with solver.extra_limit(columns, np.ones(len(columns)), 0.0):
        assert solver.minimum()[columns].max() == 0.0
    aim = np.zeros(len(program.cost))
    aim[columns] = -1.0
    with solver.other_costs(aim):
        assert solver.minimum()[columns].sum() > result.array("buy").sum() - 1e-6
    assert solver.solve().objective == pytest.approx(before, rel=1e-9)


def test_no_solution_is_told_apart() -> None:
    """A program without solution is told as such, hot and cold, and can be left again."""
    spec = sized(1.0, 1.0)
    must = replace(spec, demand=(replace(spec.demand[0], unmet_usd_per_hour=None),))
    program = program_of(inputs_of(must))
    solver = Solver(program)
    with pytest.raises(Infeasible):
        solver.solve()
    solver.load(program_of(inputs_of(spec)))
    assert solver.solve().objective == pytest.approx(Plan(spec).solve().objective_usd, rel=1e-9)
