"""Why a plan has no optimum: the limits that contradict one another, or what pays without end.

A conflict is looked for where it shows first: in the plans that end with one node of the tree,
which are small. Of the rules that the prices name, each is left out that the conflict does not
need; none of those that remain can be spared (a deletion filter; Chinneck, Feasibility and
Infeasibility in Optimization, 2008, chapter 6).
"""

from dataclasses import replace
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from tieline.planning.conflict_words import Conflict, in_words, pays_without_end
from tieline.planning.elastic import Elastic, Rules
from tieline.planning.inputs import Inputs
from tieline.planning.model import program_of
from tieline.planning.relaxation import Kind, up_to
from tieline.planning.solver import Solver

_Floats = NDArray[np.float64]

#: Entries of the matrix up to which it takes no time to ask questions of the whole plan.
_SMALL: Final = 20_000
#: Most conflicts that are told at once.
_MOST: Final = 5
#: Scaled orders and gains that are none.
_NOTHING: Final = 1e-6
_ORDER: Final = {kind: i for i, kind in enumerate(get_args(Kind))}


def conflict(inputs: Inputs) -> str:
    """Say which limits of a plan contradict one another, in the words of its file.

    Returns
    -------
    str
        For each conflict a line that says when it shows first, and one per limit, none of which
        can be spared. Of a large plan it is the first conflict only, of a small one up to five:
        without their limits there is a plan. The same inputs give the same text.

    Notes
    -----
    Conflicts are found one after the other: the limits of one are dropped before the next is
    looked for. Mending one may bring up another that shares a limit with it.
    """
    whole = inputs.spec.whole_lots
    for lots in (False, True) if whole else (False,):
        given = replace(inputs, spec=replace(inputs.spec, whole_lots=lots))
        found = _conflicts(_Search(given))
        if found:
            return in_words(given, found)
    return (
        "no plan keeps all limits, but they miss one another by less than one part in a million;"
        " ease the tightest a little"
    )


def unlimited(inputs: Inputs) -> str:
    """Say which accelerators pay without end, and why.

    What can grow without end is what can grow when every limit is 0. Accelerators that pay by
    themselves are named; where none does, those that pay together.
    """
    endless = _Endless(inputs)
    chips = range(len(inputs.spec.chips))
    alone = [(c, node) for c in chips for node in endless.orders({c}).values()]
    if alone:
        return pays_without_end(inputs, alone)
    together = set(chips)
    for c in chips:
        if endless.orders(together - {c}):
            together.remove(c)
    orders = endless.orders(together)
    return pays_without_end(inputs, list(orders.items())) if orders else conflict(inputs)


class _Search:
    """Looks for rules in conflict in the parts of a plan, the small ones first."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.whole = Elastic(inputs)
        self.small = self.whole.size <= _SMALL
        self._parts: dict[int, Elastic] = {}

    def part(self, node: int | None) -> Elastic:
        """Give the plan that ends with a node; the whole plan for none."""
        if node is None:
            return self.whole
        if node not in self._parts:
            self._parts[node] = Elastic(up_to(self.inputs, node))
        return self._parts[node]

    def first(self, rules: Rules) -> tuple[int | None, Rules] | None:
        """Give the node at which some rules clash first, and those that do; None if they never do.

        No node where they clash only because futures share what is decided before.
        """
        quarters = self.inputs.spec.quarters
        low, high, found = 0, 0, self._at(0, rules)
        while found is None and high < quarters - 1:
            low, high = high + 1, min(2 * high + 1, quarters - 1)
            found = self._at(high, rules)
        if found is None:
            clash = self.whole.clash(rules)
            return None if clash is None else (None, clash)
        while low < high:
            middle = (low + high) // 2
            earlier = self._at(middle, rules)
            if earlier is None:
                low = middle + 1
            else:
                high, found = middle, earlier
        return found

    def nodes(self, node: int, rules: Rules) -> list[int]:
        """Give the nodes of the same quarter at which rules clash."""
        quarter = self.inputs.tree.quarter
        same = np.flatnonzero(quarter == quarter[node]).tolist()
        return [one for one in same if self.part(one).clash(rules) is not None]

    def _at(self, quarter: int, rules: Rules) -> tuple[int, Rules] | None:
        for node in np.flatnonzero(self.inputs.tree.quarter == quarter).tolist():
            clash = self.part(node).clash(rules)
            if clash is not None:
                return node, clash
        return None


def _conflicts(search: _Search) -> list[Conflict]:
    """Give one conflict after the other, each without the limits of those before."""
    left, found = search.whole.rules, list[tuple[int | None, Rules]]()
    one = search.first(left)
    while one is not None:
        node, clash = one
        rules = _irreducible(search.part(node), clash)
        found.append((node, rules))
        left -= rules
        # one look at the whole is quicker than to look at every part that has no conflict
        more = search.small and len(found) < _MOST and search.whole.clash(left) is not None
        one = search.first(left) if more else None
    return [_told(search, node, rules, left | rules) for node, rules in found]


def _told(search: _Search, node: int | None, rules: Rules, kept: Rules) -> Conflict:
    elastic = search.part(node)
    until_end = node is None or search.small
    scope = search.whole if until_end else elastic
    ordered = sorted(rules, key=lambda rule: (-_ORDER[rule.kind], rule.row))
    return Conflict(
        rules=tuple(ordered),
        needed=tuple(scope.needed(rule, kept) for rule in ordered),
        until_end=until_end,
        nodes=None if node is None else tuple(search.nodes(node, rules)),
        short={
            rule.row: elastic.short(rules, rule.row) for rule in rules if rule.kind == "demand"
        },
    )


def _irreducible(elastic: Elastic, rules: Rules) -> Rules:
    """Give rules of a conflict none of which can be left out."""
    single = sorted(rules, key=lambda rule: (_ORDER[rule.kind], rule.row))
    kinds = [frozenset(r for r in rules if r.kind == kind) for kind in _ORDER]
    groups = [kind for kind in kinds if len(kind) > 1]
    for group in (*groups, *(frozenset({rule}) for rule in single)):
        clash = elastic.clash(rules - group) if group & rules else None
        rules = rules if clash is None else clash
    return rules


class _Endless:
    """A plan with every limit at 0, in which orders of some accelerators go from 0 to 1."""

    def __init__(self, inputs: Inputs) -> None:
        program = program_of(inputs)
        self._index = program.variables["buy"].index
        upper = _homogeneous(program.upper)
        buys = self._index[self._index >= 0]
        upper[buys] = np.minimum(upper[buys], 1.0)
        self._program = replace(
            program,
            lower=_homogeneous(program.lower),
            upper=upper,
            row_lower=_homogeneous(program.row_lower),
            row_upper=_homogeneous(program.row_upper),
            integer=np.zeros_like(program.integer),
        )

    def orders(self, chips: set[int]) -> dict[int, int]:
        """Give the node of the first order of each accelerator, where some pay without end."""
        program, upper = self._program, self._program.upper.copy()
        others = np.delete(self._index, sorted(chips), axis=1)
        upper[others[others >= 0]] = 0.0
        solution = Solver(replace(program, upper=upper)).solve()
        if solution.objective >= -_NOTHING * program.usd:
            return {}
        scaled = np.append(solution.values / program.unit, 0.0)[self._index]
        ordered = np.asarray((scaled > _NOTHING).any(axis=(0, 2)))
        return {c: int(np.argmax(ordered[c])) for c in sorted(chips) if ordered[c].any()}


def _homogeneous(sides: _Floats) -> _Floats:
    """Give 0 for every bound that there is."""
    result: _Floats = np.where(np.isfinite(sides), 0.0, sides)
    return result
