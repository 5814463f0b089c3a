"""A model of one data set, asked about another: rows translated by their ids.

The model keeps its own vocabularies and codes, as a server does until a new version
comes: an item it does not know scores lowest, a user it does not know is one of whom
only the history is known.
"""

import dataclasses

import numpy as np

from data.events import EVENT_COLUMNS, TEST, EventLog, count_before, row_starts
from data.prepared import Prepared
from data.queries import Queries
from trainer.evaluation.metrics import Scorer
from trainer.evaluation.scorers import RetrievalScorer, TwoStageScorer
from trainer.export.export import Fitted
from trainer.inputs.requests import RankingInputs
from trainer.retrain.rows import rows_in

UNKNOWN_SCORE = np.float32(-1e30)  # As an exported `ranking` scores an unknown item.


class Translation:
    """Events and queries of `other` in the rows of `own`.

    Users that `own` does not have come after its last one.
    """

    def __init__(self, own: Prepared, other: Prepared) -> None:
        self.item = rows_in(own.item_ids, other.item_ids)
        self.user = rows_in(own.user_ids, other.user_ids)
        new = np.flatnonzero(self.user == 0)[1:]  # Row 0 is nobody in both.
        self.user[new] = own.num_users + 1 + np.arange(len(new))
        self.num_users = own.num_users + len(new)
        self.num_new_users = len(new)
        log = other.events
        kept = self.item[log.item] > 0
        self._kept_before = np.r_[0, np.cumsum(kept)]
        self._start = log.start
        self.log = self._events(log, np.flatnonzero(kept), own)

    def _events(self, log: EventLog, places: np.ndarray, own: Prepared) -> EventLog:
        order = np.argsort(self.user[log.user[places]], kind="stable")
        places = places[order]
        columns = {name: getattr(log, name)[places] for name in EVENT_COLUMNS}
        columns["user"] = self.user[columns["user"]]
        columns["item"] = self.item[columns["item"]]
        columns["before"] = count_before(columns["user"], columns["time"])
        return EventLog(
            **columns,
            start=row_starts(columns["user"], self.num_users),
            likes_alone=own.config.label.history == "positives",
        )

    def queries(self, queries: Queries, rows: np.ndarray) -> Queries:
        """Translate the queries at these places; they have no relevant items."""
        users, counts = queries.users[rows], queries.counts[rows]
        start = self._start[users]
        known = self._kept_before[start + counts] - self._kept_before[start]
        seen = [self.item[queries.seen[row]] for row in rows]
        return dataclasses.replace(
            queries,
            users=self.user[users],
            counts=known,
            times=queries.times[rows],
            relevant=[np.zeros(0, np.int32)] * len(rows),
            seen=[items[items > 0] for items in seen],
        )


@dataclasses.dataclass(frozen=True)
class TranslatedScorer:
    """A scorer of `own` rows that answers queries in `other` rows."""

    scorer: Scorer
    translation: Translation

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        """Score the queries at these places. Out: float32 (b, other items + 1)."""
        translated = self.translation.queries(queries, rows)
        scores = self.scorer(translated, np.arange(len(rows)))
        item = self.translation.item
        known = np.flatnonzero(item)
        result = np.full((len(rows), len(item)), UNKNOWN_SCORE, np.float32)
        result[:, known] = scores[:, item[known]]
        return result


def scorers_elsewhere(fitted: Fitted, other: Prepared) -> dict[str, Scorer]:
    """Return both stages of fitted models as scorers of another data set's queries.

    Histories and counts are those that models of that set are asked with. The models'
    tables of users grow, so that they serve nothing else afterwards.
    Out: "retrieval" and "two_stage".
    """
    own, now = fitted.prepared, other.cut(TEST)
    translation = Translation(own, other)
    _let_in(fitted, translation)
    log = translation.log
    counted = other.to_count(log)
    retrieval = RetrievalScorer(fitted.retrieval, own, log, counted=counted, now=now)
    inputs = RankingInputs.of(own, log, fitted.affinity, counted=counted)
    both = TwoStageScorer(retrieval, fitted.ranking, inputs)
    return {
        "retrieval": TranslatedScorer(retrieval, translation),
        "two_stage": TranslatedScorer(both, translation),
    }


def _let_in(fitted: Fitted, translation: Translation) -> None:
    """Make room for users that the models have never met: of the unknown's kind."""
    more = translation.num_new_users
    tower, ranking = fitted.retrieval.query_tower, fitted.ranking
    codes = {
        name: np.pad(table, [(0, more), *[(0, 0)] * (table.ndim - 1)])
        for name, table in fitted.prepared.user_features.items()
    }
    for slots, table in (
        (tower.slots, tower.codes),
        (ranking.user_slots, ranking.user_codes),
    ):
        slots.extend(translation.num_users + 1)
        table.replace(codes)
