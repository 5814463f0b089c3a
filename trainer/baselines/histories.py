"""What the baselines read of users: which items they met, as sparse rows of 1s."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from data.events import EventLog
from data.queries import Queries


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Reads histories at queries, over the items that a baseline was fitted on.

    `items`: rows (m,) that have training events; an item without any says nothing of
    another. `log`: all events, of which a query reads its user's first `counts`.
    `popularity`: float32 (items + 1,), training events, which answers a user who met
    none of the items.
    """

    items: np.ndarray
    log: EventLog
    positives_only: bool
    popularity: np.ndarray

    @classmethod
    def fit(
        cls, log: EventLog, everything: EventLog, num_items: int, positives_only: bool
    ) -> "tuple[Histories, Any]":
        """Read a log of training events.

        In: `everything`: where histories are read at a query. Out: and the users'
        items in it, CSR float32 (users + 1, m).
        """
        keep = log.positive | (not positives_only)
        users, events = log.user[keep], log.item[keep]
        counts = log.item_counts(num_items).astype(np.float32)
        found = cls(
            items=np.flatnonzero(np.bincount(events)),
            log=everything,
            positives_only=positives_only,
            popularity=counts,
        )
        return found, found.rows(users, events, log.num_users + 1)

    def rows(self, rows: np.ndarray, items: np.ndarray, num_rows: int) -> Any:
        """Return a CSR matrix of 1s, float32 (num_rows, m); repeats count once."""
        columns = np.full(len(self.popularity), -1)
        columns[self.items] = np.arange(len(self.items))
        column = columns[items]
        known = column >= 0
        ones = np.ones(int(known.sum()), np.float32)
        shape = (num_rows, len(self.items))
        matrix = sparse.csr_matrix((ones, (rows[known], column[known])), shape)
        matrix.data[:] = 1
        return matrix

    def at(self, queries: Queries, rows: np.ndarray) -> Any:
        """Return what the queries at these places know. Out: CSR (b, m)."""
        users, counts = queries.users[rows], queries.counts[rows]
        row = np.repeat(np.arange(len(users)), counts)
        before = np.repeat(self.log.start[users] - np.cumsum(counts) + counts, counts)
        place = np.arange(len(row)) + before
        keep = self.log.positive[place] | (not self.positives_only)
        return self.rows(row[keep], self.log.item[place[keep]], len(users))

    def scores(self, met: Any, of_items: np.ndarray) -> np.ndarray:
        """Spread scores over the catalogue; items that were not learnt score 0.

        In: `met`: what the queries know (b, m); `of_items`: float32 (b, m). Out:
        float32 (b, items + 1), popularity where nothing is known.
        """
        scores = np.zeros((met.shape[0], len(self.popularity)), np.float32)
        scores[:, self.items] = of_items
        scores[np.diff(met.indptr) == 0] = self.popularity
        return scores


@dataclass(frozen=True)
class HistoryScorer:
    """Sums the weights from the items of a user's history to every item.

    `weights`: float32 (m, m), dense or sparse, from row to column.
    """

    histories: Histories
    weights: Any

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        """Score the queries at these places. Out: float32 (b, items + 1)."""
        met = self.histories.at(queries, rows)
        found = met @ self.weights
        dense = found.toarray() if sparse.issparse(found) else found
        return self.histories.scores(met, dense)
