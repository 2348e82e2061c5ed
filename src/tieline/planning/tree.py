"""The futures as a tree: one node per quarter and history of outcomes."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tieline.model.errors import InputError
from tieline.model.plan import Branch, Outcome, PlanSpec, quarter_name

_Ints = NDArray[np.int64]

#: What became known on the way to a node: the question and its answer.
Step = tuple[Branch, Outcome]


@dataclass(frozen=True)
class Tree:
    """Nodes in order of time, parents before children. Axes: N nodes, T quarters, S futures."""

    quarter: _Ints
    """Axis N: from 0."""
    parent: _Ints
    """Axis N; -1 at the root, which is node 0."""
    probability: NDArray[np.float64]
    """Axis N: > 0; those of a quarter sum to 1."""
    news: tuple[tuple[Step, ...], ...]
    """Axis N: what becomes known in the node, in order of the file."""
    path: _Ints
    """Axes S, T: the nodes of each future."""
    names: tuple[str, ...]
    """Axis N: the quarter, and the outcomes that led there."""

    def __len__(self) -> int:
        """Nodes."""
        return len(self.quarter)

    @property
    def leaves(self) -> _Ints:
        """Axis S: the last node of each future."""
        return self.path[:, -1]

    def futures(self) -> tuple[str, ...]:
        """Give the name of each future: its outcomes; axis S."""
        return tuple(self.names[leaf].partition(" ")[2] or "as it is" for leaf in self.leaves)

    def up(self, quarters: int) -> _Ints:
        """Give the node so many quarters earlier on the way to each; -1 before the root."""
        nodes = np.arange(len(self))
        for _ in range(quarters):
            nodes = np.where(nodes < 0, -1, self.parent[nodes])
        return nodes

    def per_future(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give sums along the way to each leaf, axis S, of values with axis N."""
        sums: NDArray[np.float64] = values[self.path].sum(axis=1)
        return sums


def tree_of(spec: PlanSpec) -> Tree:
    """Give the tree of a plan; what has probability 0 is left out.

    Raises
    ------
    InputError
        The probabilities of a branch do not sum to 1, it is asked in or before the first
        quarter, or not after the outcome that it comes after.
    """
    _check(spec)
    quarter, parent, probability = [0], [-1], [1.0]
    news: list[tuple[Step, ...]] = [()]
    known: list[frozenset[str]] = [frozenset()]
    words = [""]
    level = [0]
    for t in range(1, spec.quarters):
        due = [branch for branch in spec.branches if branch.at == t]
        below: list[int] = []
        for node in level:
            asked = [one for one in due if one.after is None or one.after in known[node]]
            answers = [[o for o in one.outcomes if o.probability > 0] for one in asked]
            for outcomes in product(*answers):
                steps = tuple(zip(asked, outcomes, strict=True))
                below.append(len(quarter))
                quarter.append(t)
                parent.append(node)
                chances = [outcome.probability for outcome in outcomes]
                probability.append(probability[node] * float(np.prod(chances)))
                news.append(steps)
                known.append(known[node] | {f"{b.id}.{o.id}" for b, o in steps})
                words.append(" ".join(filter(None, [words[node], *(o.id for o in outcomes)])))
        level = below
    path = np.array(level)[:, None]
    for _ in range(1, spec.quarters):
        path = np.hstack([np.array(parent)[path[:, :1]], path])
    names = [
        f"{quarter_name(spec.first + t)} {w}".strip() for t, w in zip(quarter, words, strict=True)
    ]
    return Tree(
        quarter=np.array(quarter),
        parent=np.array(parent),
        probability=np.array(probability),
        news=tuple(news),
        path=path,
        names=tuple(_distinct(names)),
    )


def _distinct(names: list[str]) -> list[str]:
    """Give the names, numbered where outcomes of two branches are called alike."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


def _check(spec: PlanSpec) -> None:
    at = {
        f"{branch.id}.{one.id}": branch.at for branch in spec.branches for one in branch.outcomes
    }
    for branch in spec.branches:
        total = sum(outcome.probability for outcome in branch.outcomes)
        if abs(total - 1.0) > 1e-9:  # noqa: PLR2004 - what rounding leaves of decimal numbers
            raise InputError(f"branch {branch.id}: its probabilities sum to {total:g}, not to 1")
        if branch.at <= 0:
            raise InputError(f"branch {branch.id}: the first quarter is decided before its answer")
        if branch.after is not None and at.get(branch.after, branch.at) >= branch.at:
            raise InputError(f"branch {branch.id}: is not later than an outcome {branch.after}")
