"""A linear program put together from named blocks of variables and rows.

A block is an array of numbers of columns or rows with named axes, -1 where it has none. Terms are
added to whole blocks at once: arrays of rows, columns and values that numpy can broadcast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_Ints = NDArray[np.int32]
_Floats = NDArray[np.float64]
_Triplets = tuple[_Ints, _Ints, _Floats]


@dataclass(frozen=True)
class Block:
    """Variables or rows of one name."""

    axes: tuple[str, ...]
    index: _Ints
    """One axis per name; -1 where there is none."""


@dataclass(frozen=True)
class LinearProgram:
    """min cost x  such that  row_lower <= A x <= row_upper,  lower <= x <= upper.

    Everything is scaled: a column counts in its `unit`, a row in its `row_unit`, costs in
    `usd`. Columns of A are stored one after the other.
    """

    cost: _Floats
    lower: _Floats
    upper: _Floats
    row_lower: _Floats
    row_upper: _Floats
    starts: _Ints
    rows: _Ints
    values: _Floats
    integer: NDArray[np.bool_]
    unit: _Floats
    row_unit: _Floats
    usd: float
    variables: Mapping[str, Block]
    limits: Mapping[str, Block]
    node_costs: _Triplets
    """Node, column and what a unit of the column costs there [USD of the first quarter]."""

    @cached_property
    def matrix(self) -> sparse.csc_array:
        """A, over the same arrays."""
        shape = (len(self.row_lower), len(self.cost))
        return sparse.csc_array((self.values, self.rows, self.starts), shape)

    def same_form(self, other: "LinearProgram") -> bool:
        """Say whether only numbers differ: the same blocks and the same places in A."""
        return (
            len(self.cost) == len(other.cost)
            and len(self.row_lower) == len(other.row_lower)
            and np.array_equal(self.starts, other.starts)
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.integer, other.integer)
        )

    def costs_by_node(self, values: _Floats, nodes: int) -> _Floats:
        """Give what each node costs [USD of the first quarter] at values of the columns."""
        node, column, usd = self.node_costs
        return np.bincount(node, usd * values[column], nodes).astype(np.float64)


class Program:
    """Collects blocks and terms."""

    def __init__(self) -> None:
        """Begin without any."""
        self.variables: Final[dict[str, Block]] = {}
        self.limits: Final[dict[str, Block]] = {}
        self._columns: Final = _Sides()
        self._rows: Final = _Sides()
        self._integer: Final[list[tuple[int, int]]] = []
        self._terms: Final = _Terms()
        self._costs: Final = _Terms()
        self._objective: Final = _Terms()

    def add_variables(
        self,
        name: str,
        axes: tuple[str, ...],
        exists: NDArray[np.bool_],
        *,
        unit: float,
        lower: _Floats | float = 0.0,
        upper: _Floats | float = np.inf,
        integer: bool = False,
    ) -> _Ints:
        """Give the columns of new variables, -1 where `exists` is false.

        Parameters
        ----------
        unit
            What 1 of the scaled column means; bounds are given unscaled.
        lower, upper
            Broadcast to the shape of `exists`.
        """
        first = self._columns.count
        index = self._columns.add(exists, lower, upper, unit)
        self.variables[name] = Block(axes, index)
        if integer:
            self._integer.append((first, self._columns.count))
        return index

    def add_limits(
        self,
        name: str,
        axes: tuple[str, ...],
        exists: NDArray[np.bool_],
        *,
        unit: float,
        lower: _Floats | float = -np.inf,
        upper: _Floats | float = np.inf,
    ) -> _Ints:
        """Give the numbers of new rows, -1 where `exists` is false; as `add_variables`."""
        index = self._rows.add(exists, lower, upper, unit)
        self.limits[name] = Block(axes, index)
        return index

    def add(self, rows: _Ints, columns: _Ints, values: _Floats | float) -> None:
        """Add terms to rows; where there is no such row or column nothing is added.

        The arrays are kept and read when the program is finished.
        """
        self._terms.add(rows, columns, values)

    def add_costs(self, nodes: NDArray[np.int64], columns: _Ints, usd: _Floats | float) -> None:
        """Say what a unit of a variable costs in a node [USD of the first quarter]."""
        self._costs.add(nodes.astype(np.int32), columns, usd)

    def add_objective(self, columns: _Ints, usd: _Floats | float) -> None:
        """Add to the objective itself, beside what nodes cost."""
        self._objective.add(np.zeros((), np.int32), columns, usd)

    def node_costs(self) -> _Triplets:
        """Give node, column and USD of all costs so far."""
        return self._costs.triplets()

    def finished(self, weight: _Floats, usd: float) -> LinearProgram:
        """Give the program.

        Parameters
        ----------
        weight
            Axis N: what a dollar of the first quarter that a node costs weighs.
        usd
            What 1 of the scaled objective means.
        """
        lower, upper, unit = self._columns.arrays()
        row_lower, row_upper, row_unit = self._rows.arrays()
        node, column, dollars = node_costs = self.node_costs()
        cost = np.bincount(column, dollars * weight[node], len(lower)).astype(np.float64)
        _, column, dollars = self._objective.triplets()
        cost += np.bincount(column, dollars, len(lower))
        rows, columns, values = self._terms.triplets()
        matrix = sparse.coo_array((values, (rows, columns)), (len(row_lower), len(lower))).tocsc()
        scaled = matrix.data
        scaled *= np.repeat(unit, np.diff(matrix.indptr))
        scaled *= (1.0 / row_unit)[matrix.indices]  # units are powers of two: this is exact
        integer = np.zeros(len(lower), np.bool_)
        for first, end in self._integer:
            integer[first:end] = True
        return LinearProgram(
            cost=cost * unit / usd,
            lower=lower / unit,
            upper=upper / unit,
            row_lower=row_lower / row_unit,
            row_upper=row_upper / row_unit,
            starts=matrix.indptr.astype(np.int32, copy=False),
            rows=matrix.indices.astype(np.int32, copy=False),
            values=scaled,
            integer=integer,
            unit=unit,
            row_unit=row_unit,
            usd=usd,
            variables=self.variables,
            limits=self.limits,
            node_costs=node_costs,
        )


class _Sides:
    """Bounds and units of columns or of rows."""

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[tuple[_Floats, _Floats, _Floats]] = []

    def add(
        self,
        exists: NDArray[np.bool_],
        lower: _Floats | float,
        upper: _Floats | float,
        unit: float,
    ) -> _Ints:
        many = int(np.count_nonzero(exists))
        index = np.full(exists.shape, -1, np.int32)
        index[exists] = np.arange(self.count, self.count + many, dtype=np.int32)
        sides = [
            np.full(many, side)
            if np.ndim(side) == 0
            else np.broadcast_to(side, exists.shape)[exists]
            for side in (lower, upper)
        ]
        self._parts.append((sides[0], sides[1], np.full(many, unit)))
        self.count += many
        return index

    def arrays(self) -> tuple[_Floats, _Floats, _Floats]:
        lower, upper, unit = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        return lower, upper, unit


class _Terms:
    """Terms as they were added, and all of them one after the other."""

    def __init__(self) -> None:
        self._count = 0
        self._parts: list[tuple[_Ints, _Ints, _Floats, NDArray[np.bool_]]] = []

    def add(self, rows: _Ints, columns: _Ints, values: _Floats | float) -> None:
        """Add terms; where a row or column is -1 there is none."""
        there = (rows >= 0) & (columns >= 0)
        terms = np.asarray(values, np.float64)
        there = np.broadcast_to(there, np.broadcast_shapes(there.shape, terms.shape))
        self._parts.append((rows, columns, terms, there))
        self._count += int(np.count_nonzero(there))

    def triplets(self) -> _Triplets:
        """Give row, column and value of each, written once to where they stay."""
        rows, columns = np.empty(self._count, np.int32), np.empty(self._count, np.int32)
        values = np.empty(self._count)
        first = 0
        for row, column, value, there in self._parts:
            end = first + int(np.count_nonzero(there))
            rows[first:end] = np.broadcast_to(row, there.shape)[there]
            columns[first:end] = np.broadcast_to(column, there.shape)[there]
            values[first:end] = np.broadcast_to(value, there.shape)[there]
            first = end
        return rows, columns, values
