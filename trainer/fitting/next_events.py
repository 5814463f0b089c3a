"""What early stopping looks at where no time parts the events: what comes next."""

import numpy as np

from data.events import VALIDATION, EventLog
from data.prepared import Prepared


class NextEvents:
    """Positive events of the validation part, each asked for from what came before.

    A few hundred users make a noisy curve; thousands of events make a smooth one.
    Every query reads the user's strictly earlier events, whichever part they are of.
    """

    def __init__(self, prepared: Prepared, known: np.ndarray, limit: int, seed: int):
        """In: `known`: bool (items + 1,), items with a training event."""
        log = prepared.events
        wanted = (log.part == VALIDATION) & log.positive & (log.before > 0)
        places = np.flatnonzero(wanted & known[log.item])
        if len(places) > limit:
            rng = np.random.default_rng(seed)
            places = np.sort(rng.choice(places, limit, replace=False))
        self.log: EventLog = log
        self.users, self.items = log.user[places], log.item[places]
        self.counts = log.before[places].astype(np.int64)
        self.times = log.last_times(self.users, self.counts)  # As the test part asks.
        self._unservable = ~prepared.servable

    def __len__(self) -> int:
        return len(self.users)

    def mask(self, scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Set what was seen or is not servable to -inf, in place.

        In: float32 (b, items + 1). Out: the same array.
        """
        scores[:, self._unservable] = -np.inf
        for score, row in zip(scores, rows, strict=True):
            start = self.log.start[self.users[row]]
            seen = self.log.item[start : start + self.counts[row]]
            score[seen[seen != self.items[row]]] = -np.inf
        return scores

    def ranks(self, scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the rank of each query's item, from 1; ties rank ahead of it."""
        own = scores[np.arange(len(rows)), self.items[rows]][:, None]
        return (scores >= own).sum(axis=1)


def mean_ndcg(ranks: np.ndarray, k: int = 10) -> float:
    """Return NDCG@k of queries with one relevant item each, at these ranks."""
    gains = np.where(ranks <= k, 1 / np.log2(1 + ranks), 0)
    return float(gains.mean()) if len(ranks) else 0.0
