"""What an evaluation found, in numbers, in sentences and as JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.queries import Queries, Targets
from trainer.evaluation.bootstrap import LEVEL, Interval
from trainer.evaluation.heads import HeadAnswers
from trainer.evaluation.metrics import ACCURACY, share_by_popularity
from trainer.evaluation.ranks import Ranks

FORMAT = 2
TARGETS: tuple[Targets, ...] = ("warm", "cold")
CHOSEN = "what users chose"
TITLES = {
    "hit_rate": "hit rate",
    "ndcg": "NDCG",
    "mrr": "MRR",
    "map": "MAP",
    "auc": "AUC",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "rmse": "RMSE",
    "gini": "Gini of exposure",
}


def title(metric: str) -> str:
    """Return how a metric is written: "ndcg@10" is "NDCG@10"."""
    name, at, k = metric.partition("@")
    return TITLES.get(name, name) + at + k


def short_k(ks: Sequence[int]) -> int:
    """Return the k that headlines are made at."""
    return 10 if 10 in ks else min(ks)


def long_k(ks: Sequence[int]) -> int:
    """Return the k that a first stage is judged at."""
    return 100 if 100 in ks else max(ks)


def middle_k(ks: Sequence[int]) -> int:
    """Return the k that cold items are judged at."""
    return 50 if 50 in ks else long_k(ks)


def main_metrics(ks: Sequence[int]) -> tuple[str, str]:
    """Return the metrics on which models are compared."""
    return f"ndcg@{short_k(ks)}", f"recall@{long_k(ks)}"


def other_targets(targets: Targets) -> Targets:
    """Return the relevant items that are reported apart from these."""
    return "cold" if targets == "warm" else "warm"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who asks: `users` int32 (q,), rows, in the fold `folds` int32 (q,), from 0.

    `num_relevant`: int64 (q,), how many items there are to find.
    """

    users: np.ndarray
    folds: np.ndarray
    num_relevant: np.ndarray

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def of(cls, queries: Queries) -> "Asked":
        """Read the queries of one fold."""
        return cls(
            users=queries.users,
            folds=np.zeros(len(queries), np.int32),
            num_relevant=np.array([len(r) for r in queries.relevant], np.int64),
        )

    @classmethod
    def joined(cls, folds: Sequence["Asked"]) -> "Asked":
        """Put folds one behind the other."""
        places = [np.full(len(one), i, np.int32) for i, one in enumerate(folds)]
        return cls(
            users=np.concatenate([one.users for one in folds]),
            folds=np.concatenate(places),
            num_relevant=np.concatenate([one.num_relevant for one in folds]),
        )

    def counts(self) -> dict[str, int]:
        """Return how many queries, users and relevant items there are."""
        return {
            "queries": len(self),
            "users": len(np.unique(self.users)),
            "relevant": int(self.num_relevant.sum()),
        }


NO_RANKS = Ranks.joined([])


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one scorer answered.

    `per_query`: metric such as "ndcg@10" to float64 (q,). `ranks`: where the relevant
    items stand. `exposure`: int64 (items + 1,), in how many lists of the short k each
    item stands. `totals`: metrics of all lists together, such as "coverage@10".
    `intervals`: the means of `per_query` with their bounds. `apart`,
    `apart_intervals`: the same for the relevant items that are reported apart.
    """

    per_query: dict[str, np.ndarray]
    ranks: Ranks
    exposure: np.ndarray
    totals: dict[str, float]
    intervals: dict[str, Interval] = field(default_factory=dict)
    apart: Ranks = NO_RANKS
    apart_intervals: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The paired difference, model - baseline, on one metric."""

    metric: str
    model: str
    baseline: str
    difference: Interval

    @property
    def sentence(self) -> str:
        """Say who wins, by how much, and within which interval."""
        found, name = self.difference, title(self.metric)
        digits, sign = found.decimals, found.sign
        if math.isnan(found.low):
            return f"{self.model} and {self.baseline}: one user tells nothing of {name}"
        if sign == 0:
            return (
                f"no difference can be told between {self.model} and {self.baseline} "
                f"on {name}: {found.mean:+.{digits}f}, [{found.low:.{digits}f}, "
                f"{found.high:.{digits}f}] includes 0"
            )
        winner, loser = (self.model, self.baseline)[::sign]
        low, high = sorted((sign * found.low, sign * found.high))
        return (
            f"{winner} beats {loser} on {name} by {abs(found.mean):.{digits}f} "
            f"[{low:.{digits}f}, {high:.{digits}f}]"
        )

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        names = {"metric": self.metric, "model": self.model, "baseline": self.baseline}
        return {**names, **self.difference.to_json(), "says": self.sentence}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All that was found about a part of the split.

    `models`: ours and the baselines, in the order they are shown. `baselines`: which
    of them those are. `skipped`: baselines left out, and why. `counts`: of queries,
    users, relevant, cold_users, cold_items, items, servable. `popularity`, `chosen`:
    int64 (items + 1,), training events and relevant items. `servable`: bool likewise.
    `headline`: whether the relevant items of all metrics but the `apart` ones have
    training events ("warm") or none ("cold"). `asked`, `apart`: the queries for them
    and for the others. `heads`: what the ranking model's heads said, by head, and
    `head_intervals` how true it is. `split`: how the events were parted, a sentence;
    `by_time`: whether a time parts them.
    """

    part: str
    split: str
    by_time: bool
    headline: Targets
    asked: Asked
    apart: Asked
    ks: tuple[int, ...]
    models: dict[str, Measured]
    baselines: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    skipped: dict[str, str]
    counts: dict[str, int]
    popularity: np.ndarray
    chosen: np.ndarray
    servable: np.ndarray
    seed: int
    resamples: int
    heads: dict[str, HeadAnswers] = field(default_factory=dict)
    head_intervals: dict[str, dict[str, Interval]] = field(default_factory=dict)

    @property
    def ours(self) -> tuple[str, ...]:
        """Return the names of the models that are no baselines."""
        return tuple(name for name in self.models if name not in self.baselines)

    @property
    def main_metric(self) -> str:
        """Return the metric that headlines quote."""
        return main_metrics(self.ks)[0]

    def by_items(self, targets: Targets) -> dict[str, dict[str, Interval]]:
        """Return the accuracy of each model on warm or on cold items alone."""
        if targets != self.headline:
            return {name: m.apart_intervals for name, m in self.models.items()}
        return {
            name: {k: i for k, i in m.intervals.items() if k.split("@")[0] in ACCURACY}
            for name, m in self.models.items()
        }

    def asked_for(self, targets: Targets) -> Asked:
        """Return the queries for warm or for cold items."""
        return self.asked if targets == self.headline else self.apart

    def best(self, names: Sequence[str]) -> str | None:
        """Return the one with the highest main metric; None of no names."""
        means = {n: self.models[n].intervals[self.main_metric].mean for n in names}
        return max(means, key=means.__getitem__, default=None)

    def popularity_shares(self) -> dict[str, list[float]]:
        """Return where recommendations go: ten shares a model, the most popular first.

        The last row is where the relevant items lie.
        """
        rows = {name: measured.exposure for name, measured in self.models.items()}
        popularity = self.popularity[self.servable]
        return {
            name: share_by_popularity(row[self.servable], popularity).tolist()
            for name, row in {**rows, CHOSEN: self.chosen}.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything but the single queries and items, as JSON can hold it."""
        return {
            "format": FORMAT,
            "part": self.part,
            "main_metric": self.main_metric,
            "level": LEVEL,
            "resamples": self.resamples,
            "seed": self.seed,
            "protocol": protocol(self),
            "counts": self.counts,
            "headline_items": self.headline,
            "items": {name: self.asked_for(name).counts() for name in TARGETS},
            "models": {
                name: {
                    "is_baseline": name in self.baselines,
                    "metrics": intervals_json(m.intervals),
                    **{
                        f"{targets}_items": intervals_json(self.by_items(targets)[name])
                        for targets in TARGETS
                    },
                    "totals": m.totals,
                }
                for name, m in self.models.items()
            },
            "heads": {
                head: {
                    "metrics": intervals_json(found),
                    "answers": len(self.heads[head]),
                    "users": len(np.unique(self.heads[head].users)),
                    "of": self.heads[head].of_what,
                }
                for head, found in self.head_intervals.items()
            },
            "comparisons": [c.to_json() for c in self.comparisons],
            "skipped": self.skipped,
            "popularity_shares": self.popularity_shares(),
        }


def intervals_json(found: Mapping[str, Interval]) -> dict[str, Any]:
    """Return what JSON can hold."""
    return {name: interval.to_json() for name, interval in found.items()}


def _apart_sentence(found: Evaluation) -> str:
    other = other_targets(found.headline)
    words = {"warm": "with training events", "cold": "without a training event"}
    number = found.apart.counts()
    about = f"The headline is about relevant items {words[found.headline]}"
    if not number["queries"]:
        return f"{about}; there are no others to report apart."
    return (
        f"{about}; {number['relevant']:,} {words[other]}, of {number['queries']:,} "
        "queries, are reported apart, ranked among all servable items too."
    )


def _counts_sentence(found: Evaluation) -> str:
    if found.headline == "cold":
        return (
            "Histories go up to the request; items' events are counted in the training "
            "part alone, since an item whose events are counted is not cold."
        )
    if not found.by_time:
        return (
            "Histories go up to the request; the counts in the models' features are of "
            "the user's own events before it and of the training part alone, since no "
            "time parts the events."
        )
    return (
        "Histories and the counts in the models' features go up to the request, and "
        "so do popularity's where all requests are made at one time."
    )


def protocol(found: Evaluation) -> list[str]:
    """State in sentences how the numbers came about."""
    c = found.counts
    return [
        found.split,
        f"{c['queries']:,} queries of {c['users']:,} users of the {found.part} part; "
        "each user's history is everything known before the request.",
        f"Relevant ({c['relevant']:,} in all) are the positives of the part that the "
        "user had not met before.",
        f"Full ranking: all {c['servable']:,} servable items are ranked, those the "
        "user had met removed; nothing is sampled.",
        "Ties count against the model: a tied item ranks ahead of the relevant one.",
        "Everything is fitted on the training part alone, baselines and models alike, "
        "and nothing is refitted for the test; what was chosen was chosen on "
        "validation.",
        _counts_sentence(found),
        _apart_sentence(found),
        f"Left out: {c['cold_users']:,} users with relevant items but no earlier "
        "event, and what cannot be served.",
        f"Intervals hold {LEVEL:.0%}: percentiles of {found.resamples:,} resamples of "
        f"the users (seed {found.seed}); differences are paired, user by user. Each "
        "interval stands alone, without correction for several comparisons.",
        "With R relevant items: recall is found / R, precision found / k; NDCG has "
        "gain 1, discount log2 and an ideal of min(k, R) items; MAP divides by "
        "min(k, R); MRR is 0 beyond k.",
        "Coverage is the share of servable items in any list, novelty the mean "
        "log2(users / users of the item), diversity the mean 1 - cosine of a list's "
        "pairs, Gini the inequality of items' exposure.",
        *(f"The head '{n}': {h.of_what}." for n, h in found.heads.items() if len(h)),
    ]
