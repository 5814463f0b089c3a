"""Baselines that learn in seconds, tuned on validation as our models are.

A baseline is a frozen dataclass of its settings. `fit` reads a log that holds
training events alone and returns a scorer; `tune` takes the settings that validation
likes best. Another baseline joins by its class and its line in `GRIDS`.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

import numpy as np

from data.console import progress
from data.events import TRAIN, VALIDATION, EventLog
from data.features import DAY_S
from data.queries import Queries
from trainer.baselines.ease import Ease
from trainer.baselines.ials import Ials
from trainer.baselines.item_knn import ItemKnn
from trainer.baselines.sizes import Sizes, in_gib, memory_limit
from trainer.config import BASELINES
from trainer.evaluation.evaluate import mean_ndcg_of
from trainer.evaluation.metrics import EvaluationData, Scorer

__all__ = [
    "GRIDS",
    "Baseline",
    "Ease",
    "Ials",
    "ItemKnn",
    "Popularity",
    "Tuned",
    "tune",
]

TUNED_K = 10
METRIC = f"ndcg@{TUNED_K}"
TUNED_QUERIES = 10_000
TIMED = ("popularity_7d", "popularity_30d")


class Baseline(Protocol):
    """Settings that can be fitted."""

    def needs(self, sizes: Sizes) -> int:
        """Return the bytes that a fit takes at most."""
        ...

    def fit(self, log: EventLog, prepared: EvaluationData) -> Scorer:
        """Fit to a log.

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

    def needs(self, sizes: Sizes) -> int:
        """Return the bytes of a fit: what is counted."""
        return sizes.events * 16

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


Grids = Mapping[str, Sequence[Baseline]]
BOTH = (False, True)  # Whether only positives are counted, tried both ways.
GRIDS: dict[str, tuple[Baseline, ...]] = {
    "popularity": tuple(Popularity(None, only) for only in BOTH),
    "popularity_7d": tuple(Popularity(7, only) for only in BOTH),
    "popularity_30d": tuple(Popularity(30, only) for only in BOTH),
    "item_knn": tuple(
        ItemKnn(neighbours, shrink, only)
        for neighbours, shrink, only in product((50, 250), (0, 10, 100, 1_000), BOTH)
    ),
    "ease": tuple(
        Ease(l2, only)
        for l2, only in product((30, 100, 300, 1_000, 3_000, 10_000), BOTH)
    ),
    "ials": tuple(
        Ials(factors, regularization, alpha, only)
        for factors, regularization, alpha, only in product(
            (32, 96), (20, 80), (2, 8), BOTH
        )
    ),
}
# Where each setting takes a minute or more, those that win most often elsewhere.
FEW: dict[str, tuple[Baseline, ...]] = {
    "item_knn": tuple(ItemKnn(250, shrink) for shrink in (10, 100)),
    "ease": tuple(Ease(l2) for l2 in (100, 500, 2_500)),
    "ials": tuple(Ials(96, regularization, 8) for regularization in (20, 80)),
}
MANY_ITEMS = 8_000
MANY_EVENTS = 5_000_000


def grids_for(
    log: EventLog,
    num_items: int,
    *,
    time_is_known: bool,
    names: Collection[str] = BASELINES,
) -> dict[str, tuple[Baseline, ...]]:
    """Return the settings that are worth a try on such events, of these baselines.

    Where rows have an order and no time, their numbers are no days. In: `log`:
    training events.
    """
    grids = {name: grid for name, grid in GRIDS.items() if name in names}
    if not time_is_known:
        for name in TIMED:
            grids.pop(name, None)
    if num_items > MANY_ITEMS or len(log) > MANY_EVENTS:
        grids |= {name: grid for name, grid in FEW.items() if name in grids}
    if not log.positive.all():
        return grids
    return {  # Positives alone are all events: the same model a second time.
        name: tuple(b for b in grid if not getattr(b, "positives_only", False))
        for name, grid in grids.items()
    }


def without_too_large(
    grids: Grids, sizes: Sizes, limit: int | None = None
) -> tuple[dict[str, tuple[Baseline, ...]], dict[str, str]]:
    """Leave out the settings that would not fit in memory, before any is fitted.

    In: `limit`: bytes; None is what this machine allows. Out: the grids that are
    left, and of each that is left out altogether why, with the size it needs.
    """
    limit = memory_limit() if limit is None else limit
    kept, skipped = {}, {}
    for name, grid in grids.items():
        fitting = tuple(b for b in grid if b.needs(sizes) <= limit)
        if fitting:
            kept[name] = fitting
        elif grid:
            least = min(b.needs(sizes) for b in grid)
            skipped[name] = (
                f"{sizes.items:,} items, {sizes.users:,} users and {sizes.events:,} "
                f"events need {in_gib(least)}, and one fit may take {in_gib(limit)} "
                "here. Drop rare items by [data.filter] min_item_events, or take a "
                "larger machine."
            )
    return kept, skipped


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
    grids: Grids | None = None,
    *,
    current: EventLog | None = None,
    limit: int | None = None,
) -> Tuned:
    """Fit each baseline to the training part with the settings best on validation.

    The best has the highest mean NDCG@10; the first in the grid wins a tie. Nothing
    of the test part is read, save as the place from which scorers take histories. Of
    more than `TUNED_QUERIES` queries a random choice judges.

    In: `current`: what is known when the test is asked. A baseline that only counts
    counts in it: our models read counts up to the request too. `limit`: bytes that
    one fit may take; None is what this machine allows.
    """
    log, queries = prepared.events.through(TRAIN), prepared.queries(VALIDATION)
    if len(queries) > TUNED_QUERIES:
        rng = np.random.default_rng(0)
        queries = queries.take(np.sort(rng.choice(len(queries), TUNED_QUERIES, False)))
    sizes = Sizes.of(log, prepared.num_items)
    grids, skipped = without_too_large(GRIDS if grids is None else grids, sizes, limit)
    tuned = Tuned(skipped=skipped)
    with progress("tune baselines", sum(map(len, grids.values()))) as advance:
        for name, grid in grids.items():
            best = -1.0
            for baseline in grid:
                advance(1, name)
                scorer = baseline.fit(log, prepared)
                ndcg = mean_ndcg_of(prepared, queries, scorer, name)
                settings = dataclasses.asdict(baseline)  # type: ignore[call-overload]
                tuned.trials.setdefault(name, []).append({**settings, METRIC: ndcg})
                if ndcg > best:
                    best, tuned.scorers[name] = ndcg, scorer
                    tuned.chosen[name] = settings
                    if current is not None and isinstance(baseline, Popularity):
                        tuned.scorers[name] = baseline.fit(current, prepared)
    return tuned
