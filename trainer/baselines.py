"""Baselines that learn in seconds, tuned on validation as our models are.

A baseline is a frozen dataclass of its settings. `fit` reads a log that holds
training events alone and returns a scorer; `tune` takes the settings that validation
likes best. Another baseline joins by its class and its line in `GRIDS`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

import numpy as np

from data.console import progress
from data.errors import DataError
from data.events import TRAIN, VALIDATION, EventLog
from data.features import DAY_S
from data.queries import Queries
from trainer import metrics, ranks
from trainer.ease import Ease
from trainer.evaluate import masked_scores
from trainer.metrics import EvaluationData, Scorer

__all__ = ["GRIDS", "Baseline", "Ease", "Popularity", "Tuned", "tune"]

TUNED_K = 10
METRIC = f"ndcg@{TUNED_K}"


class Baseline(Protocol):
    """Settings that can be fitted."""

    def fit(self, log: EventLog, prepared: EvaluationData) -> Scorer:
        """Fit to a log. Raises: DataError when that would not fit in memory.

        In: `log`: training events; `prepared`: where histories are read at a query.
        """
        ...


@dataclass(frozen=True)
class StaticScores:
    """The same scores for everyone. `scores`: float32 (items + 1,)."""

    scores: np.ndarray

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        """Score the queries at these places. Out: float32 (b, items + 1)."""
        return np.broadcast_to(self.scores, (len(rows), len(self.scores)))


@dataclass(frozen=True)
class Popularity:
    """Ranks items by their events in the last days of the log, or in all of it.

    Items that are level there are put in the order of all their events.
    """

    window_days: float | None = None
    positives_only: bool = False

    def fit(self, log: EventLog, prepared: EvaluationData) -> StaticScores:
        """Count the log's events. Out: the places in the order, ties sharing one."""
        recent = np.ones(len(log), bool)
        if self.window_days is not None and len(log):
            recent = log.time > log.time.max() - self.window_days * DAY_S
        counted = log.positive | (not self.positives_only)
        width = prepared.num_items + 1
        pairs = np.stack(
            [
                np.bincount(log.item[recent & counted], minlength=width),
                np.bincount(log.item[counted], minlength=width),
            ],
            axis=1,
        )
        places = np.unique(pairs, axis=0, return_inverse=True)[1]
        return StaticScores(places.reshape(-1).astype(np.float32))


GRIDS: dict[str, tuple[Baseline, ...]] = {
    "popularity": tuple(
        Popularity(days, only)
        for days, only in product((None, 7, 14, 30, 90), (False, True))
    ),
    "ease": tuple(
        Ease(l2, only)
        for l2, only in product((10, 30, 100, 300, 1_000, 3_000), (False, True))
    ),
}


# Where rows have an order and no time, their numbers are no days.
TIMELESS_GRIDS: dict[str, tuple[Baseline, ...]] = {
    **GRIDS,
    "popularity": tuple(Popularity(None, only) for only in (False, True)),
}


MANY_ITEMS = 8_000  # Above it each setting of EASE takes a minute or more.


def grids_for(
    log: EventLog, num_items: int, *, time_is_known: bool
) -> dict[str, tuple[Baseline, ...]]:
    """Return the settings that are worth a try on such events.

    In: `log`: training events.
    """
    grids = dict(GRIDS if time_is_known else TIMELESS_GRIDS)
    if num_items > MANY_ITEMS:
        grids["ease"] = tuple(Ease(l2, False) for l2 in (100, 300, 1_000))
    if not log.positive.all():
        return grids
    return {  # Positives alone are all events: the same model a second time.
        name: tuple(b for b in grid if not getattr(b, "positives_only", False))
        for name, grid in grids.items()
    }


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What validation chose.

    `scorers`: by name, fitted to the training part. `chosen`: their settings.
    `trials`: all settings tried with their "ndcg@10" on validation, in the grid's
    order. `skipped`: baselines that cannot be fitted here, and why.
    """

    scorers: dict[str, Scorer] = field(default_factory=dict)
    chosen: dict[str, dict[str, Any]] = field(default_factory=dict)
    trials: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def tune(
    prepared: EvaluationData,
    grids: Mapping[str, Sequence[Baseline]] | None = None,
    *,
    current: EventLog | None = None,
) -> Tuned:
    """Fit each baseline to the training part with the settings best on validation.

    The best has the highest mean NDCG@10; the first in the grid wins a tie. Nothing
    of the test part is read, save as the place from which scorers take histories.

    In: `current`: what is known when the test is asked. A baseline that only counts
    counts in it: our models read counts up to the request too.
    """
    grids = GRIDS if grids is None else grids
    log, queries = prepared.events.through(TRAIN), prepared.queries(VALIDATION)
    tuned = Tuned()
    with progress("tune baselines", sum(map(len, grids.values()))) as advance:
        for name, grid in grids.items():
            best = -1.0
            for baseline in grid:
                advance(1, name)
                try:
                    scorer = baseline.fit(log, prepared)
                except DataError as err:
                    tuned.skipped[name] = str(err)
                    continue
                ndcg = _mean_ndcg(prepared, queries, scorer, name)
                settings = dataclasses.asdict(baseline)  # type: ignore[call-overload]
                tuned.trials.setdefault(name, []).append({**settings, METRIC: ndcg})
                if ndcg > best:
                    best, tuned.scorers[name] = ndcg, scorer
                    tuned.chosen[name] = settings
                    if current is not None and isinstance(baseline, Popularity):
                        tuned.scorers[name] = baseline.fit(current, prepared)
    for name in tuned.scorers:
        tuned.skipped.pop(name, None)
    return tuned


def _mean_ndcg(
    prepared: EvaluationData, queries: Queries, scorer: Scorer, name: str
) -> float:
    total = 0.0
    for rows, scores in masked_scores(prepared, queries, scorer, name):
        relevant = [queries.relevant[row] for row in rows]
        found = ranks.ranks_of_relevant(scores, relevant)
        total += float(metrics.accuracy(found, [TUNED_K])[METRIC].sum())
    return total / max(len(queries), 1)
