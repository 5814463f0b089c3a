"""What training computes for logged requests: rows, histories, the scores of models.

All by the code that fits and evaluates them.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import tensorflow as tf

from data.features import Numeric
from trainer.catalogue.amend import amended
from trainer.catalogue.exported import Exported
from trainer.catalogue.restore import restored
from trainer.catalogue.text_store import TextStore
from trainer.evaluation.scorers import RetrievalScorer
from trainer.export.export import Fitted, liked_shares
from trainer.fitting.fitter import Fitter
from trainer.inputs.requests import RankingInputs, Requests
from trainer.skew.logs import Asked

CHUNK = 250
MOST_SCORES = 20_000_000
Heads = dict[str, np.ndarray]


@dataclass(frozen=True)
class Computed:
    """A version's models over the tables of its prepared data set."""

    exported: Exported
    fitted: Fitted

    @classmethod
    def of(cls, exported: Exported) -> "Computed":
        """Read the models of a version; encode items and users from the data set.

        Raises: ExportError: the data set or a run of the version is not there.
        """
        fitted = restored(exported, exported.prepared())
        _take_tables(fitted, exported)
        store = TextStore(exported.out, exported.config.text)
        return cls(exported, amended(fitted, exported.changes, store))

    @cached_property
    def item_row(self) -> dict[str, int]:
        """Return the items' rows by id, from 1."""
        ids = self.fitted.prepared.item_ids
        return {str(known): row for row, known in enumerate(ids) if row}

    @cached_property
    def user_row(self) -> dict[str, int]:
        """Return the users' rows by id, from 1."""
        ids = self.fitted.prepared.user_ids
        return {str(known): row for row, known in enumerate(ids) if row}

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """Return the rows of items, 0 for unknown ones. Out: int32 (n,)."""
        return np.array([self.item_row.get(i, 0) for i in ids], np.int32)

    @property
    def length(self) -> int:
        """Return how long a history the models read."""
        return int(self.fitted.retrieval.config.history_length)

    def requests(self, asked: Sequence[Asked]) -> Requests:
        """Build what the models read of requests, from the events they may know."""
        fitted, log = self.fitted, self.fitted.log
        user = np.array([self.user_row.get(a.user, 0) for a in asked], np.int32)
        user *= self.exported.config.export.user_state  # Without it nobody is known.
        count = log.user_counts()[user]
        end = np.full(len(asked), fitted.end_time)
        requests = Requests.of(log, user, count, end, self.length)
        time = np.array([a.time if a.time > 0 else fitted.end_time for a in asked])
        history, last_time = requests.history.copy(), requests.last_time.copy()
        for place, one in enumerate(asked):
            given = self.rows(one.history)
            given = given[given > 0][-self.length :]
            if len(given):
                # Who sends a history has just seen its newest event.
                history[place], last_time[place] = 0, time[place]
                history[place, : len(given)] = given
        return dataclasses.replace(
            requests, time=time.astype(np.int64), history=history, last_time=last_time
        )

    def heads(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Heads]]:
        """Yield each request with its items' outputs by name, float32 (items,).

        In: requests of one servable.
        """
        score = self._retrieved if asked[0].servable == "retrieval" else self._ranked
        size = max(min(CHUNK, MOST_SCORES // (self.fitted.prepared.num_items + 1)), 1)
        for start in range(0, len(asked), size):
            chunk = asked[start : start + size]
            widest = max((len(a.items) for a in chunk), default=0)
            item = np.zeros((len(chunk), max(widest, 1)), np.int32)
            for place, one in enumerate(chunk):
                item[place, : len(one.items)] = self.rows(one.items)
            outputs = self._with_prior(chunk, item, score(chunk, item))
            for place, one in enumerate(chunk):
                found = {n: v[place, : len(one.items)] for n, v in outputs.items()}
                yield one, found

    def _retrieved(self, chunk: Sequence[Asked], item: np.ndarray) -> Heads:
        scores, _ = self._scorer.both(self.requests(chunk))
        return {"score": np.take_along_axis(scores, item, axis=1)}

    def _ranked(self, chunk: Sequence[Asked], item: np.ndarray) -> Heads:
        fitted, requests = self.fitted, self.requests(chunk)
        scores, cosines = self._scorer.both(requests)
        # The statistics of an export are those of its end, whenever it is asked.
        end = np.full(len(chunk), fitted.end_time)
        columns = self._inputs.columns(
            dataclasses.replace(requests, time=end), item, scores, cosines
        )
        columns |= {"item": item, "time": requests.time, **self._context(chunk)}
        tensors = {name: tf.constant(values) for name, values in columns.items()}
        found = fitted.ranking.rank_rows(tensors, self._parts)
        outputs = {name: np.asarray(value) for name, value in found.items()}
        slope, offset = fitted.calibration
        outputs["like"] = 1 / (1 + np.exp(-(slope * outputs["like"] + offset)))
        return {**outputs, "score": outputs[fitted.ranking.config.order_by]}

    def _with_prior(
        self, chunk: Sequence[Asked], item: np.ndarray, outputs: Heads
    ) -> Heads:
        """Score by popularity where nothing is known of who asks; lists alone do."""
        if chunk[0].servable == "ranking":
            return outputs
        requests = self.requests(chunk)
        cold = (requests.user == 0) & ~requests.history.any(axis=1)
        score = np.where(cold[:, None], self._prior[item], outputs["score"])
        return {**outputs, "score": score}

    def _context(self, chunk: Sequence[Asked]) -> dict[str, np.ndarray]:
        columns = self._inputs.no_context(len(chunk))
        for feature in self.fitted.prepared.features.context:
            known = [
                (place, one.context[feature.name])
                for place, one in enumerate(chunk)
                if feature.name in one.context
            ]
            if known:
                places, raw = zip(*known, strict=True)
                codes = columns[f"context.{feature.name}"]
                if isinstance(feature, Numeric):
                    codes[list(places)] = feature.encode_numbers(np.array(raw, float))
                else:
                    codes[list(places)] = feature.encode(pd.Series(raw, dtype=object))
        return columns

    @cached_property
    def _scorer(self) -> RetrievalScorer:
        fitted = self.fitted
        return RetrievalScorer(
            fitted.retrieval, fitted.prepared, fitted.log, now=fitted.end_time
        )

    @cached_property
    def statistics(self) -> RankingInputs:
        """Return the statistics of items and users."""
        fitted = self.fitted
        return RankingInputs.of(fitted.prepared, fitted.log, fitted.affinity)

    @cached_property
    def _inputs(self) -> RankingInputs:
        # Scores stand among those of the items that were there when it was fitted.
        then = dataclasses.replace(self.fitted.prepared, other_items=None)
        prepared = then if self.fitted.changes else self.fitted.prepared
        return dataclasses.replace(self.statistics, prepared=prepared)

    @cached_property
    def parts(self) -> np.ndarray:
        """Return what ranking knows of the items: float32 (items + 1, width)."""
        return self.fitted.ranking.item_parts(self.fitted.prepared.num_items)

    @cached_property
    def users(self) -> np.ndarray:
        """Return what ranking knows of the users: float32 (users + 1, width)."""
        return self.fitted.ranking.user_vectors(self.fitted.prepared.num_users)

    @cached_property
    def _parts(self) -> tf.Tensor:
        return tf.constant(self.parts)

    @cached_property
    def _prior(self) -> np.ndarray:
        return liked_shares(self.fitted.prepared, self.fitted.log)


def _take_tables(fitted: Fitted, exported: Exported) -> None:
    """Let the models read the tables of the data set instead of the run's own.

    A run keeps the codes that it was fitted with beside its weights: with those, a
    column that has changed since would be compared with itself.
    """
    prepared, ranking, retrieval = fitted.prepared, fitted.ranking, fitted.retrieval
    texts = None
    if ranking.item_part.texts is not None:
        texts = Fitter(prepared, exported.config, exported.out).texts()
    for layer in (retrieval.item_tower, ranking.item_part):
        layer.codes.replace(prepared.item_features)
        if layer.texts is not None and texts is not None:
            layer.texts.replace(texts.table.numpy())
    for codes in (retrieval.query_tower.codes, ranking.user_codes):
        codes.replace(prepared.user_features)
    retrieval.trace_items()
    ranking.trace_items()
