"""A plan with many futures, solved in bundles of few, with a proven gap.

    alone     each future as if it were known: which are the worst, where risk counts
    bundles   futures that part at the next branch, together; as many bundles as are needed
    policy    branch by branch: up to it, the mean of the bundles; then what comes, anew

Bundles that share a node all keep its rules, so their mean does, and it costs the mean. What is
left out is only that bundles need not agree: the sum of their optima is a lower bound. Where
knowing the future is worth little the bound is close, and the parts are far faster than the whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tieline.model.plan import Risk
from tieline.planning.inputs import Inputs
from tieline.planning.model import program_of
from tieline.planning.plan import Result
from tieline.planning.program import Block, LinearProgram
from tieline.planning.solver import Infeasible, Solution, Solver, fault_of

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]

#: What futures that are not among the worst weigh at least in bundles, as a part of their
#: probability: with less, what is decided in them is lost in the solver's tolerances.
_SOME: Final = 0.05


def nearly_best(inputs: Inputs, gap: float) -> Result | None:
    """Give a plan that costs at most a part `gap` more than the best; None where none was found.

    Its limits have no prices. The proven gap stands in its solution.
    """
    program = program_of(inputs)
    if program.integer.any():
        return None
    parts = _Parts(inputs, program)
    try:
        found = parts.policy()
    except Infeasible:
        return None  # what the bundles agreed on leaves no way on in some future
    values = parts.completed(found)
    fault = fault_of(program, values / program.unit)
    objective = float(program.cost @ (values / program.unit)) * program.usd
    proven = (objective - parts.bound) / max(abs(objective), program.usd)
    if fault or proven > gap:
        return None
    nothing = np.zeros(len(program.row_lower))
    solution = Solution(
        objective=objective,
        values=values,
        reduced=np.zeros(len(values)),
        prices=nothing,
        iterations=parts.iterations,
        gap=max(0.0, proven),
    )
    return Result(inputs, program, solution)


class _Parts:
    """The program of a plan, cut along its tree. Axes: S futures, N nodes."""

    def __init__(self, inputs: Inputs, program: LinearProgram) -> None:
        self._program: Final = program
        self._tree: Final = inputs.tree
        self._risk: Final = inputs.spec.risk
        self._chances: Final = inputs.tree.probability[inputs.tree.leaves]
        rows, columns = len(program.row_lower), len(program.cost)
        node, column, usd = program.node_costs
        self._costs: Final = sparse.csr_array(
            (usd * program.unit[column] / program.usd, (node, column)),
            (len(inputs.tree), columns),
        )
        self._column_node: Final = _node_of(program.variables, columns)
        self._row_node: Final = _node_of(program.limits, rows)
        self._weight: _Floats = self._chances
        self._x: Final = np.zeros(columns)
        self.bound = -np.inf
        """No plan costs less [USD]."""
        self.iterations = 0

    def policy(self) -> _Floats:
        """Give scaled values of the columns that keep every rule of the nodes; sets `bound`."""
        every = np.arange(len(self._chances))
        if self._risk.weight > 0:  # which futures are the worst is not known before
            alone = self._solved([every[s : s + 1] for s in every], 0)
            self._weigh(np.concatenate([costs for _, _, costs in alone]))
        self._go_on(every, 0)
        return self._x

    def completed(self, x: _Floats) -> _Floats:
        """Give unscaled values of all columns, those that weigh futures among them."""
        values: _Floats = x * self._program.unit
        variables = self._program.variables
        if "total" in variables:
            costs = (self._costs @ x) * self._program.usd
            totals = np.zeros(len(self._tree))
            for n, parent in enumerate(self._tree.parent):
                totals[n] = costs[n] + (totals[parent] if parent >= 0 else 0.0)
            leaves = totals[self._tree.leaves]
            dearest = np.argsort(-leaves)
            beyond = np.cumsum(self._chances[dearest]) >= self._risk.tail
            eta = leaves[dearest[int(np.argmax(beyond))]] if beyond.any() else leaves.min()
            values[variables["total"].index] = totals
            values[variables["eta"].index] = eta
            values[variables["over"].index] = np.maximum(0.0, leaves - eta)
        return values

    def _go_on(self, futures: _Ints, quarter: int) -> None:
        """Decide what futures with a common past do from a quarter on."""
        paths = self._tree.path[futures]
        split = _split(paths, quarter)
        bundles = list(_bundles(futures, paths, split))
        found = self._solved(bundles, quarter)
        if quarter == 0:
            costs = sum(
                self._weight[one] @ c for one, (_, _, c) in zip(bundles, found, strict=True)
            )
            self.bound = max(self.bound, float(costs) * self._program.usd)
        if len(bundles) == 1:
            columns, values, _ = found[0]
            self._x[columns] = values
            return
        agreed = np.isin(self._column_node, paths[0, quarter:split])
        shares = [self._weight[one].sum() for one in bundles]
        mean = np.zeros(len(self._x))
        for share, (columns, values, _) in zip(shares, found, strict=True):
            mean[columns] += share / sum(shares) * values
        self._x[agreed] = mean[agreed]
        for node in np.unique(paths[:, split]):
            self._go_on(futures[paths[:, split] == node], split)

    def _solved(self, bundles: list[_Ints], quarter: int) -> list[tuple[_Ints, _Floats, _Floats]]:
        """Give columns, their scaled values, and costs (axis S, scaled) of each bundle."""
        return [self._best(futures, quarter) for futures in bundles]

    def _best(self, futures: _Ints, quarter: int) -> tuple[_Ints, _Floats, _Floats]:
        weight = np.zeros(len(self._tree))
        for s in futures:
            weight[self._tree.path[s, quarter:]] += self._weight[s]
        weight /= self._weight[futures].sum()
        nodes = np.flatnonzero(weight)
        part, columns = self._cut(nodes, weight)
        solution = Solver(part).solve()
        self.iterations += solution.iterations
        x = self._x.copy()
        x[columns] = values = solution.values / part.unit
        costs: _Floats = (self._costs @ x)[self._tree.path[futures]].sum(axis=1)
        return columns, values, costs

    def _cut(self, nodes: _Ints, weight: _Floats) -> tuple[LinearProgram, _Ints]:
        """Give the program of some nodes and its columns; what is before them is decided."""
        p = self._program
        columns = np.flatnonzero(np.isin(self._column_node, nodes))
        rows = np.flatnonzero(np.isin(self._row_node, nodes))
        before = self._x.copy()
        before[columns] = 0.0
        decided = (p.matrix @ before)[rows]
        matrix = p.matrix[:, columns][rows, :].tocsc()
        matrix.sort_indices()
        part = replace(
            p,
            cost=(self._costs.T @ weight)[columns],
            lower=p.lower[columns],
            upper=p.upper[columns],
            row_lower=p.row_lower[rows] - decided,
            row_upper=p.row_upper[rows] - decided,
            starts=matrix.indptr.astype(np.int32, copy=False),
            rows=matrix.indices.astype(np.int32, copy=False),
            values=matrix.data,
            integer=p.integer[columns],
            unit=p.unit[columns],
            row_unit=p.row_unit[rows],
            variables={},
            limits={},
        )
        return part, columns

    def _weigh(self, costs: _Floats) -> None:
        """Weigh futures as the objective does at such costs (axis S, scaled); sets `bound`."""
        exact = weights_at(costs, self._chances, self._risk)
        self.bound = float(exact @ costs) * self._program.usd
        some = replace(self._risk, weight=min(self._risk.weight, 1.0 - _SOME))
        self._weight = weights_at(costs, self._chances, some)


def weights_at(costs: _Floats, chances: _Floats, risk: Risk) -> _Floats:
    """Give what each future weighs in (1 - weight) x mean + weight x CVaR; axis S, sums to 1.

    The least cost under any weights that CVaR may take, such as those of a lower `weight`, is a
    lower bound; these make it the highest at such costs.
    """
    worst, left = np.zeros(len(costs)), risk.tail
    for s in np.argsort(-costs, kind="stable"):
        worst[s] = min(chances[s], max(0.0, left))
        left -= worst[s]
    weights: _Floats = (1.0 - risk.weight) * chances + risk.weight * worst / worst.sum()
    return weights


def _split(paths: _Ints, quarter: int) -> int:
    """Give the first quarter after one in which the futures of some paths are apart."""
    apart = (paths != paths[0]).any(axis=0)
    apart[: quarter + 1] = False
    return int(np.argmax(apart)) if apart.any() else paths.shape[1]


def _bundles(futures: _Ints, paths: _Ints, split: int) -> Iterator[_Ints]:
    """Give futures in bundles: of each way on at a split at most one, all in some bundle."""
    if split == paths.shape[1]:
        yield futures
        return
    ways = [futures[paths[:, split] == node] for node in np.unique(paths[:, split])]
    for i in range(max(map(len, ways))):
        yield np.concatenate([way[i : i + 1] for way in ways])


def _node_of(blocks: Mapping[str, Block], count: int) -> _Ints:
    """Give the node that each column or row belongs to; -1 for those that weigh futures."""
    found = np.full(count, -1, np.int64)
    for name, block in blocks.items():
        if block.axes[-1:] == ("node",) and name != "total":
            node = np.broadcast_to(np.arange(block.index.shape[-1]), block.index.shape)
            there = block.index >= 0
            found[block.index[there]] = node[there]
    return found
