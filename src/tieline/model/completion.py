"""Fills the gaps of a table of measured speeds from what its rows have in common.

Speeds of like workloads on like accelerators have few causes, so a table of their logarithms
is close to one of low rank. What a scheduler needs of an accelerator on which a workload was
never measured can then be read off from the workloads that were measured there.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Weights of the penalty that are tried; infinity leaves rows and columns without interaction.
_PENALTIES: Final = (0.1, 0.3, 1.0, float("inf"))
#: Interactions beyond these add noise: the measured tables are of far lower rank.
_RANK: Final = 8
_ITERATIONS: Final = 150
_TOLERANCE: Final = 1e-4
#: Makes the column effects unique; far below any error of a measurement.
_RIDGE: Final = 1e-9
#: Share by which mean errors may differ and still count as equal.
_ALIKE: Final = 0.01
#: How often each row has a group of columns held out.
_FOLDS: Final = 4
#: The share of held-out values that the range holds: four in five.
_INSIDE: Final = 0.8
#: What is believed before anything is held out: so many errors of so much [log]. It is the 0.8
#: quantile of the error of the roofline on measured training speeds (benchmarks/rates.py).
_PRIOR_ERRORS: Final = 4
_PRIOR_ERROR: Final = 0.55


class Completion(NamedTuple):
    """A table without gaps, as far as they can be filled."""

    values: Array
    """Axes rows, columns [log]. What was known is unchanged; nan where nothing connects the
    row with the column."""
    spread: float
    """Half the width of the range that holds four in five values, when they are held out
    [log]: a filled value v lies between v - spread and v + spread."""


def complete(known: Array, groups: NDArray[np.int64] | None = None) -> Completion:
    """Fill the gaps of a table with row effects, column effects and a low-rank interaction.

    Minimises, over the known entries, half the sum of (x_ij - a_i - b_j - L_ij)^2 plus
    `penalty` times the nuclear norm of L, by alternating least squares on the factors of L.
    The penalty is the one of a few that does best where known entries are held out.

    Parameters
    ----------
    known
        Axes rows (workloads), columns (accelerators, or accelerators with a size of gang)
        [log]; nan where unknown. Read only.
    groups
        Shape (columns,): columns of one group are held out together, because they are
        usually unknown together. By default each column is a group of its own.

    Returns
    -------
    Completion
        The same table gives the same completion. Adding a number to a row or to a column
        adds it to what is filled there.

    Notes
    -----
    O(penalties x folds x iterations x rows x columns x rank): a tenth of a second for a
    hundred workloads on a dozen columns. An entry is filled only if a chain of known entries
    leads from its row to its column.

    References
    ----------
    Mazumder, Hastie, Tibshirani, JMLR 11 (2010): soft-impute, the penalty and its choice.
    Hastie, Mazumder, Lee, Zadeh, JMLR 16 (2015): algorithm 3.1, the alternation used here.
    Delimitrou, Kozyrakis, ASPLOS '13, doi 10.1145/2451116.2451125: the same for schedulers.
    """
    groups = np.arange(known.shape[1]) if groups is None else groups
    held = _held_out(~np.isnan(known), groups)
    trials = [_errors(known, held, penalty) for penalty in _PENALTIES]
    means = np.array([errors.mean() if errors.size else np.inf for errors in trials])
    # The largest that does about as well: nothing hangs on which of two equals it is.
    best = int(np.flatnonzero(means <= means.min() * (1.0 + _ALIKE) + _TOLERANCE)[-1])
    errors = trials[best] if trials[best].size else np.empty(0)
    penalty = _PENALTIES[best] if errors.size else np.inf
    believed = np.concatenate([errors, np.full(_PRIOR_ERRORS, _PRIOR_ERROR)])
    values = np.where(np.isnan(known), _fitted(known, penalty), known)
    return Completion(values, float(np.quantile(believed, _INSIDE)))


def _held_out(mask: NDArray[np.bool_], groups: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """Give what each fold hides: one known group of columns in each row that has two."""
    folds = [np.zeros_like(mask) for _ in range(_FOLDS)]
    for row, known in enumerate(mask):
        present = np.unique(groups[known])
        if len(present) < 2:  # noqa: PLR2004 - nothing would be left of the row
            continue
        for number, fold in enumerate(folds[: len(present)]):
            fold[row] = known & (groups == present[(row + number) % len(present)])
    return [fold for fold in folds if fold.any()]


def _errors(known: Array, held: list[NDArray[np.bool_]], penalty: float) -> Array:
    """Give the absolute errors of held-out entries, where they can be filled at all."""
    errors = [np.empty(0)]
    for fold in held:
        error = np.abs(_fitted(np.where(fold, np.nan, known), penalty) - known)[fold]
        errors.append(error[~np.isnan(error)])
    return np.concatenate(errors)


def _fitted(known: Array, penalty: float) -> Array:
    """Give the fit everywhere; nan where no chain of known entries leads."""
    mask = ~np.isnan(known)
    table = np.where(mask, known, 0.0)
    interaction = np.zeros_like(table)
    effects = _Effects(mask)
    sums = effects.of(table)
    if np.isfinite(penalty) and table.size:
        rank = min(_RANK, *table.shape)
        _, size, columns = np.linalg.svd(np.where(mask, table - sums, 0.0), full_matrices=False)
        right = (columns[:rank] * np.sqrt(size[:rank, None])).T
        ridge = penalty * np.eye(rank)
        for _ in range(_ITERATIONS):
            sums = effects.of(np.where(mask, table - interaction, 0.0))
            filled = np.where(mask, table - sums, interaction)
            left = np.linalg.solve(right.T @ right + ridge, right.T @ filled.T).T
            right = np.linalg.solve(left.T @ left + ridge, left.T @ filled).T
            before, interaction = interaction, left @ right.T
            if np.abs(interaction - before).max() < _TOLERANCE:
                break
    return np.where(_connected(mask), sums + interaction, np.nan)


class _Effects:
    """Least squares on row and column effects, for many tables with the same gaps."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self._mask = mask.astype(np.float64)
        self._per_row = 1.0 / np.maximum(1.0, self._mask.sum(axis=1))
        weighted = self._mask * self._per_row[:, None]
        system = np.diag(self._mask.sum(axis=0)) - self._mask.T @ weighted
        self._inverse = np.linalg.inv(system + _RIDGE * np.eye(mask.shape[1]))

    def of(self, table: Array) -> Array:
        """Give row effect plus column effect everywhere; the table is 0 in its gaps."""
        rows = table.sum(axis=1)
        columns = self._inverse @ (table.sum(axis=0) - self._mask.T @ (rows * self._per_row))
        effects: Array = ((rows - self._mask @ columns) * self._per_row)[:, None] + columns
        return effects


def _connected(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether known entries lead from each row to each column, as axes rows, columns."""
    rows = np.arange(len(mask))
    while True:
        columns = np.where(mask, rows[:, None], len(mask)).min(axis=0, initial=len(mask))
        reached = np.where(mask, columns, len(mask)).min(axis=1, initial=len(mask))
        reached = np.minimum(rows, reached)
        if (reached == rows).all():
            return np.asarray(rows[:, None] == columns)
        rows = reached
