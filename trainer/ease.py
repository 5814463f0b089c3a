"""EASE: scores that sum learnt weights over the items of a user's history."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from data.errors import DataError
from data.events import EventLog
from data.queries import Queries
from trainer.metrics import EvaluationData

GIB = 1 << 30
GRAM_BLOCK = 1_024


@dataclass(frozen=True)
class HistoryScorer:
    """Sums the weights from the items of a user's history to every item.

    `weights`: float32 (m, m), from row to column, over `items`, the rows (m,) that
    have training events; all other items score 0. `log`: all events, of which a
    query reads its user's first `counts`. A user without any such item gets
    `fallback`, float32 (items + 1,).
    """

    weights: np.ndarray
    items: np.ndarray
    log: EventLog
    positives_only: bool
    fallback: np.ndarray

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        """Score the queries at these places. Out: float32 (b, items + 1)."""
        met = self._histories(queries.users[rows], queries.counts[rows])
        scores = np.zeros((len(rows), len(self.fallback)), np.float32)
        scores[:, self.items] = met @ self.weights
        scores[np.diff(met.indptr) == 0] = self.fallback
        return scores

    def _histories(self, users: np.ndarray, counts: np.ndarray) -> Any:
        row = np.repeat(np.arange(len(users)), counts)
        ends = np.cumsum(counts)
        place = np.arange(len(row)) + np.repeat(
            self.log.start[users] - ends + counts, counts
        )
        keep = self.log.positive[place] | (not self.positives_only)
        column = _columns(self.items, len(self.fallback))[self.log.item[place]]
        keep &= column >= 0
        return _binary(row[keep], column[keep], (len(users), len(self.items)))


def _columns(items: np.ndarray, width: int) -> np.ndarray:
    columns = np.full(width, -1)
    columns[items] = np.arange(len(items))
    return columns


def _binary(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Any:
    """Return a CSR matrix of 1s, float32; an event that is repeated counts once."""
    ones = np.ones(len(rows), np.float32)
    matrix = sparse.csr_matrix((ones, (rows, columns)), shape)
    matrix.data[:] = 1
    return matrix


@dataclass(frozen=True)
class Ease:
    """The closed-form linear autoencoder over items, its diagonal zero.

    B = I - P / diag(P) with P = (X'X + l2 I)^-1 and X the users' items as 0 and 1.
    Source: Steck 2019, "Embarrassingly shallow autoencoders for sparse data", eq. 8.
    """

    l2: float
    positives_only: bool = False
    limit_gib: float = 8.0

    def fit(self, log: EventLog, prepared: EvaluationData) -> HistoryScorer:
        """Solve for the weights. Raises: DataError when they exceed `limit_gib`."""
        keep = log.positive | (not self.positives_only)
        users, events = log.user[keep], log.item[keep]
        # An item without events has no weights to or from any other.
        items = np.unique(events)
        self._check_memory(len(items))
        width = prepared.num_items + 1
        columns = _columns(items, width)[events]
        met = _binary(users, columns, (log.num_users + 1, len(items)))
        return HistoryScorer(
            weights=_ease_weights(met, self.l2),
            items=items,
            log=prepared.events,
            positives_only=self.positives_only,
            fallback=log.item_counts(prepared.num_items).astype(np.float32),
        )

    def _check_memory(self, num_items: int) -> None:
        # The float64 matrix, inverted in its place, and the float32 weights.
        needed = num_items**2 * 12 / GIB
        if needed > self.limit_gib:
            raise DataError(
                f"ease: {num_items:,} items with events need {needed:.1f} GiB, "
                f"expected at most {self.limit_gib:g}. Drop rare items from the "
                "interactions, or raise the limit on a larger machine."
            )


def _ease_weights(met: Any, l2: float) -> np.ndarray:
    num = met.shape[1]
    gram = np.empty((num, num), np.float64, order="F")
    for first in range(0, num, GRAM_BLOCK):
        block = slice(first, first + GRAM_BLOCK)
        # Dense block by block: the sparse product of all would hold indices too.
        gram[:, block] = (met.T @ met[:, block]).toarray()
    gram[np.diag_indices(num)] += l2
    factor, failed = lapack.dpotrf(gram, lower=1, overwrite_a=1)
    if failed:
        raise ValueError(f"ease: the matrix is not positive definite at l2 = {l2}")
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    diagonal = np.diag(inverse).copy()
    weights = np.empty((num, num), np.float32)
    for first in range(0, num, GRAM_BLOCK):
        block = slice(first, first + GRAM_BLOCK)
        # Only the lower triangle was written.
        weights[block] = (
            np.where(
                np.arange(num) <= np.arange(num)[block, None],
                inverse[block],
                inverse[:, block].T,
            )
            / -diagonal
        )
    np.fill_diagonal(weights, 0)
    return weights
