"""Item-item neighbours: scores that sum the likeness to the items of a history."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from data.events import EventLog
from trainer.baselines.histories import Histories, HistoryScorer
from trainer.baselines.sizes import Sizes
from trainer.evaluation.metrics import EvaluationData
from trainer.evaluation.ranks import top_k

BLOCK_BYTES = 1 << 26  # Of the likenesses that are held as a dense block.


@dataclass(frozen=True)
class ItemKnn:
    """Each item's `neighbours` most alike items, by a shrunken cosine.

    Of items met by n and m users, c of them both: c / (sqrt(n m) + shrink), which
    trusts what many users say. Source: Deshpande and Karypis 2004, "Item-based top-N
    recommendation algorithms"; the shrinkage as in Ferrari Dacrema et al. 2019, "Are
    we really making much progress?".
    """

    neighbours: int
    shrink: float
    positives_only: bool = False

    def needs(self, sizes: Sizes) -> int:
        """Return the bytes of a fit: the events, a block, the neighbours twice."""
        kept = sizes.items * min(self.neighbours, sizes.items) * 8
        return sizes.events * 16 + 8 * BLOCK_BYTES + 2 * kept

    def fit(self, log: EventLog, prepared: EvaluationData) -> HistoryScorer:
        """Find the neighbours, a block of items at a time."""
        histories, met = Histories.fit(
            log, prepared.events, prepared.num_items, self.positives_only
        )
        return HistoryScorer(histories, neighbour_weights(met, self))


def neighbour_weights(met: Any, settings: ItemKnn) -> Any:
    """Return the likeness of each item to its neighbours.

    In: `met`: CSR float32 (users, m) of 1s. Out: CSR float32 (m, m): column j holds
    the likeness of its neighbours i, at most `neighbours` of them above 0, its own
    left out; of those level at the end, the lower rows.
    """
    num = met.shape[1]
    users_of = np.asarray(met.sum(axis=0)).ravel()
    by_item = met.T.tocsr()
    step = max(BLOCK_BYTES // max(4 * num, 1), 1)
    blocks = []
    for first in range(0, num, step):
        own = np.arange(first, min(first + step, num))
        both = (by_item[own] @ met).toarray()
        both[np.arange(len(own)), own] = 0
        length = np.sqrt(users_of[own, None] * users_of) + settings.shrink
        like = np.divide(both, length, dtype=np.float32)
        blocks.append(_keep_highest(like, settings.neighbours))
    if not blocks:
        return sparse.csr_matrix((num, num), dtype=np.float32)
    # Rows are the items whose neighbours stand in them; scores sum over neighbours.
    return sparse.vstack(blocks).T.tocsr()


def _keep_highest(like: np.ndarray, number: int) -> Any:
    """Keep the highest values of each row. In: float32 (b, m). Out: CSR (b, m)."""
    best = top_k(like, min(number, like.shape[1]))
    values = np.take_along_axis(like, best, axis=1)
    ends = np.arange(len(best) + 1) * best.shape[1]
    kept = sparse.csr_matrix((values.ravel(), best.ravel(), ends), like.shape)
    kept.eliminate_zeros()
    kept.sort_indices()
    return kept
