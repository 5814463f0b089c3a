"""EASE: scores that sum learnt weights over the items of a user's history."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from data.events import EventLog
from trainer.baselines.histories import Histories, HistoryScorer
from trainer.baselines.sizes import Sizes
from trainer.evaluation.metrics import EvaluationData

GRAM_BLOCK = 1_024
SMALL = 5_000


@dataclass(frozen=True)
class Ease:
    """The closed-form linear autoencoder over items, its diagonal zero.

    B = I - P / diag(P) with P = (X'X + l2 I)^-1 and X the users' items as 0 and 1.
    Source: Steck 2019, "Embarrassingly shallow autoencoders for sparse data", eq. 8.
    """

    l2: float
    positives_only: bool = False

    def needs(self, sizes: Sizes) -> int:
        """Return the bytes of a fit: a float64 matrix and the float32 weights."""
        return sizes.items**2 * 12

    def fit(self, log: EventLog, prepared: EvaluationData) -> HistoryScorer:
        """Solve for the weights."""
        histories, met = Histories.fit(
            log, prepared.events, prepared.num_items, self.positives_only
        )
        # Threads cost small matrices more than they win, above all on a busy machine.
        threads = 1 if len(histories.items) <= SMALL else None
        with threadpool_limits(threads, "blas"):
            return HistoryScorer(histories, _ease_weights(met, self.l2))


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
