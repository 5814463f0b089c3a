"""From ranks, lists and probabilities to metrics.

Accuracy is read from the ranks of the relevant items among all candidates, never
from a sample of them.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.stats import rankdata

from data.events import EventLog
from data.queries import Queries, Targets
from trainer.evaluation.ranks import Ranks

KS = (5, 10, 20, 50, 100)
ACCURACY = ("hit_rate", "recall", "precision", "ndcg", "mrr", "map")
CALIBRATION_BINS = 15
LOWEST_PROBABILITY = 1e-7


class Scorer(Protocol):
    """Scores every item for some queries; the caller removes what was met."""

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        """Score. In: `rows`: int (b,), places in `queries`.

        Out: float32 (b, items + 1), higher is better, column 0 ignored.
        """
        ...


class EvaluationData(Protocol):
    """What an evaluation reads of a prepared data set."""

    @property
    def events(self) -> EventLog:
        """Return all events."""
        ...

    @property
    def num_items(self) -> int:
        """Return the number of items, row 0 not counted."""
        ...

    @property
    def servable(self) -> np.ndarray:
        """Tell which items may be recommended. Out: bool (items + 1,)."""
        ...

    @property
    def headline_targets(self) -> Targets:
        """Return which relevant items the split is about."""
        ...

    def cut(self, part: int) -> int | None:
        """Return when VALIDATION or TEST begins; None if no time parts them."""
        ...

    def queries(self, part: int, targets: Targets | None = None) -> Queries:
        """Ask about VALIDATION or TEST; None asks for what the split is about."""
        ...


def accuracy(ranks: Ranks, ks: Sequence[int]) -> dict[str, np.ndarray]:
    """Compute hit rate, recall, precision, NDCG, MRR and MAP of each query.

    With R relevant items: hit rate: is any in the first k; recall: found / R;
    precision: found / k; NDCG: sum of 1 / log2(1 + rank) over that of min(k, R)
    items ranked first; MRR: 1 / the first one's rank, 0 beyond k; MAP: sum of the
    precision at each found one's rank over min(k, R).

    Out: name such as "ndcg@10" to float64 (q,) in [0, 1]. Source: Jarvelin and
    Kekalainen 2002 (binary gain, log2) for NDCG; Manning et al. 2008, section 8.4.
    """
    num_queries = len(ranks.num_relevant)
    out: dict[str, np.ndarray] = {}
    for k in ks:
        found = ranks.rank <= k
        query, rank, place = ranks.query[found], ranks.rank[found], ranks.place[found]
        reachable = np.maximum(np.minimum(ranks.num_relevant, k), 1)
        ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
        hits = np.bincount(query, minlength=num_queries)
        columns = (
            (hits > 0).astype(np.float64),
            hits / np.maximum(ranks.num_relevant, 1),
            hits / k,
            np.bincount(query, 1 / np.log2(1 + rank), num_queries)
            / ideal[reachable - 1],
            np.bincount(query, (place == 1) / rank, num_queries),
            np.bincount(query, place / rank, num_queries) / reachable,
        )
        out |= {f"{name}@{k}": c for name, c in zip(ACCURACY, columns, strict=True)}
    return out


def self_information(users_of_item: np.ndarray, num_users: int) -> np.ndarray:
    """Return how surprising each item is, in bits.

    In: `users_of_item`: (n,), how many of the users met it, 0 counted as 1. Out:
    float64 (n,), log2(users / users of the item). Source: Zhou et al. 2010, "Solving
    the apparent diversity-accuracy dilemma of recommender systems".
    """
    bits: np.ndarray = np.log2(max(num_users, 1) / np.maximum(users_of_item, 1))
    return bits


def novelty(lists: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Average the items' self-information. In: rows (q, k). Out: float64 (q,)."""
    there = lists > 0
    total = (information[lists] * there).sum(1)
    mean: np.ndarray = total / np.maximum(there.sum(1), 1)
    return mean


def diversity(lists: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Average 1 - cosine over the pairs of each list, 0 for lists below two items.

    In: `lists`: rows (q, k), 0 for none; `vectors`: (n, d), any length; a vector of
    zeros is like no other. Out: float64 (q,). Source: Zhang and Hurley 2008.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1)
    there = lists > 0
    own = unit[lists] * there[..., None]  # (q, k, d)
    count = there.sum(1)
    # The squared length of a sum is the sum of the cosines of all ordered pairs.
    cosines = np.square(own.sum(1)).sum(1) - np.square(own).sum((1, 2))
    mean = 1 - cosines / np.maximum(count * (count - 1), 1)
    return np.where(count > 1, mean, 0.0)


def gini(exposure: np.ndarray) -> float:
    """Return the inequality of exposure: 0 all alike, towards 1 one item has all.

    In: times each servable item was recommended (n,). Source: Gini's mean difference.
    """
    total, num = exposure.sum(), len(exposure)
    if total == 0:
        return 0.0
    order = np.arange(1, num + 1)
    return float(
        2 * (order * np.sort(exposure)).sum() / (num * total) - (num + 1) / num
    )


def share_by_popularity(counts: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    """Return which share of the counts falls to each tenth of the items.

    In: `counts`, `popularity`: (n,), of the servable items. Out: float64 (10,), the
    most popular tenth first; items of equal popularity in the order of their rows.
    """
    order = np.argsort(-popularity, kind="stable")
    tenths = np.array([part.sum() for part in np.array_split(counts[order], 10)])
    shares: np.ndarray = tenths / max(tenths.sum(), 1)
    return shares


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the chance that a positive scores above a negative, ties by half.

    In: `labels`: bool (n,). Out: NaN when there is one class only. Source: Hanley
    and McNeil 1982.
    """
    labels = labels.astype(bool)
    positives = int(labels.sum())
    pairs = positives * (len(labels) - positives)
    if pairs == 0:
        return float("nan")
    above = rankdata(scores)[labels].sum() - positives * (positives + 1) / 2
    return float(above / pairs)


def log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return each negative log likelihood, nats, clipped at LOWEST_PROBABILITY.

    In: (n,) each, `labels` 0 or 1. Out: float64 (n,).
    """
    p = probabilities.astype(np.float64)
    p = np.clip(p, LOWEST_PROBABILITY, 1 - LOWEST_PROBABILITY)
    return -np.where(labels, np.log(p), np.log1p(-p))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean negative log likelihood, nats, clipped at LOWEST_PROBABILITY."""
    return float(log_losses(labels, probabilities).mean())


def calibration_bins(probabilities: np.ndarray) -> np.ndarray:
    """Return which of CALIBRATION_BINS of equal width each lies in. Out: int (n,)."""
    bins = (probabilities * CALIBRATION_BINS).astype(int)
    return bins.clip(0, CALIBRATION_BINS - 1)


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the expected calibration error over bins of equal width.

    The mean of |share of positives - mean probability|, weighted by the bins' sizes.
    Source: Guo et al. 2017, "On calibration of modern neural networks", section 2.
    """
    gap = np.bincount(
        calibration_bins(probabilities), labels.astype(np.float64) - probabilities
    )
    return float(np.abs(gap).sum() / len(labels))


def rmse(ratings: np.ndarray, predictions: np.ndarray) -> float:
    """Return the root mean squared error, in the ratings' unit; NaN is left out."""
    error = ratings.astype(np.float64) - predictions
    return float(np.sqrt(np.nanmean(np.square(error))))
