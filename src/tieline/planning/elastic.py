"""A plan whose rules can be eased or dropped one by one.

    min  sum of what the rules in question are eased by,  such that all else holds

It is 0 exactly where the rules can be kept together. Where it is not, its prices prove it
(Farkas, 1902): what has no price plays no part, so that a conflict is found among few.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.planning.inputs import Inputs
from tieline.planning.model import fill, units_of
from tieline.planning.program import Program
from tieline.planning.relaxation import Rule, amounts, freed, held, share_supply
from tieline.planning.solver import Infeasible, Solution, Solver

_Flags = NDArray[np.bool_]
_Columns = NDArray[np.int32]

Rules = frozenset[Rule]

#: Scaled amounts, of which the largest are near 1,000, up to which rules count as kept.
_NOTHING: Final = 1e-6
#: Prices up to which a rule plays no part; the dearest is 1.
_FREE: Final = 1e-9


class Elastic:
    """The program in which rules are eased; what a plan costs counts for nothing."""

    def __init__(self, inputs: Inputs) -> None:
        """Take a plan; nothing is solved yet."""
        free, program = freed(inputs), Program()
        units = units_of(free)
        fill(program, free, units)
        share_supply(program, inputs)
        columns: dict[Rule, _Columns] = {}
        unit = {"power": units.watts, "link": units.bytes_s, "budget": units.usd}
        for rule, parts in amounts(program, inputs, units.accelerators):
            if any((part.rows >= 0).any() for part in parts):
                one = program.add_variables(
                    f"{rule.kind} {rule.row}",
                    (),
                    np.array(True),
                    unit=unit.get(rule.kind, units.accelerators),
                )
                for part in parts:
                    program.add(part.rows, one, -part.each)
                columns[rule] = one.reshape(1)
        self._wanted: Final = np.asarray((inputs.amount > 0).any(axis=2))
        self._amounts: Final = frozenset(columns)
        self._program: Final = program.finished(np.zeros(len(inputs.tree)), 1.0)
        columns.update((r, at) for r, at in held(self._program, inputs, free) if len(at))
        self._columns: Final = columns
        self.rules: Final[Rules] = frozenset(columns)

    @property
    def size(self) -> int:
        """Entries of its matrix."""
        return len(self._program.values)

    def clash(self, rules: Rules) -> Rules | None:
        """Give those of some rules that cannot all be kept; None where they can."""
        solution = self._least(rules, rules)
        if solution is None or solution.objective <= _NOTHING:
            return None
        if self._program.integer.any():
            return rules  # an integer program has no prices
        reduced = solution.reduced * self._program.unit
        return frozenset(
            rule
            for rule in rules & self.rules
            if (reduced[self._columns[rule]] < (rule in self._amounts) - _FREE).any()
        )

    def needed(self, rule: Rule, rules: Rules) -> float | None:
        """Give by how much a rule must be eased so that it and others can be kept.

        None where it has no amount, or none is enough. A demand is eased by what may go
        unserved in a quarter.
        """
        if rule not in self._amounts:
            return None
        solution = self._least(rules, frozenset({rule}))
        return None if solution is None else float(solution.values[self._columns[rule][0]])

    def short(self, rules: Rules, demand: int) -> _Flags:
        """Give the regions whose part of a demand is in a conflict of rules; axis R."""
        rows = self._program.limits["demand"].index[demand]
        solution = self._least(rules, rules)
        if solution is None or self._program.integer.any():
            wanted: _Flags = self._wanted[demand]
            return wanted
        prices = np.abs(solution.prices * self._program.row_unit)[rows]
        named: _Flags = ((prices > _FREE) & (rows >= 0)).any(axis=1)
        return named

    def _least(self, rules: Rules, easing: Rules) -> Solution | None:
        """Ease some of the rules as little as can be; None where that is not enough."""
        program = self._program
        cost, upper = np.zeros(len(program.cost)), program.upper.copy()
        for rule in rules & self.rules:
            if rule in easing & self._amounts:
                cost[self._columns[rule]] = 1.0
            else:
                upper[self._columns[rule]] = 0.0
        # from cold: costs and bounds change together, so that no old basis is a good start
        solver = Solver(replace(program, cost=cost, upper=upper))
        try:
            return solver.solve()
        except Infeasible:
            return None
