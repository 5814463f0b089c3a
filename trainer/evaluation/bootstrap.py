"""Intervals by resampling users, for one model and for the difference of two.

Users are drawn, not queries: several queries of one user stand or fall together.
The same draws serve every column, so a difference of two models is paired.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

LEVEL = 0.95
RESAMPLES = 2_000
CHUNK_DRAWS = 4_000_000  # 64 MB of draws and weights at a time.

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval; the bounds are NaN for fewer than two users."""

    mean: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """Return 1 or -1 when the whole interval is above or below 0, else 0."""
        if self.low > 0:
            return 1
        return -1 if self.high < 0 else 0

    @property
    def decimals(self) -> int:
        """Return how many decimals show two digits of the interval's half width."""
        half = (self.high - self.low) / 2
        if not half > 0:
            return 3
        return min(max(1 - math.floor(math.log10(half)), 3), 6)

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold, NaN as None."""
        pairs = {"mean": self.mean, "low": self.low, "high": self.high}
        return {k: None if math.isnan(v) else v for k, v in pairs.items()}


def bootstrap(
    values: Mapping[Key, np.ndarray],
    users: np.ndarray,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[Key, Interval]:
    """Return the mean of each column over the queries with its interval.

    In: `values`: name to (q,), a number for each query; `users`: (q,), whose query
    it is; equal ones are drawn together. Out: percentile intervals. Source: Efron
    and Tibshirani 1993, chapter 13; Field and Welsh 2007 for clusters.
    """
    table = np.stack([np.asarray(v, np.float64) for v in values.values()], axis=1)
    means = table.mean(axis=0)
    if len(np.unique(users)) < 2:
        low = high = np.full(len(means), math.nan)
    else:
        # A resampled mean is a ratio of sums over the drawn users, since users differ
        # in their number of queries.
        counted = np.column_stack([table, np.ones(len(table))])
        sums = resampled_sums(counted, users, seed=seed, resamples=resamples)
        low, high = percentiles([drawn[:, :-1] / drawn[:, -1:] for drawn in sums])
    return {
        key: Interval(float(means[i]), float(low[i]), float(high[i]))
        for i, key in enumerate(values)
    }


def resampled_sums(
    table: np.ndarray, users: np.ndarray, *, seed: int, resamples: int = RESAMPLES
) -> Iterator[np.ndarray]:
    """Yield the sums of columns over users drawn with replacement.

    In: `table`: float64 (n, c); `users`: (n,), whose row it is; equal ones are drawn
    together. Out: float64 (b, c), a bounded number of resamples at a time, which
    depend on the seed and the number of users alone.
    """
    cluster = np.unique(users, return_inverse=True)[1]
    order = np.argsort(cluster, kind="stable")
    starts = np.r_[0, np.cumsum(np.bincount(cluster))[:-1]]
    sums = np.add.reduceat(table[order], starts)
    for weights in _weights(len(sums), resamples, seed):
        yield weights @ sums


def percentiles(drawn: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds between which resampled values lie. In: (b, c) each."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail], axis=0)
    return low, high


def _weights(num_clusters: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield multinomial counts (b, clusters), a bounded number of rows at a time.

    Counting uniform draws gives them faster than a multinomial generator, which
    takes a binomial for every cluster.
    """
    random = np.random.default_rng(seed)
    step = max(CHUNK_DRAWS // num_clusters, 1)
    for first in range(0, resamples, step):
        rows = min(step, resamples - first)
        draws = random.integers(num_clusters, size=(rows, num_clusters))
        draws += np.arange(rows)[:, None] * num_clusters
        counts = np.bincount(draws.ravel(), minlength=rows * num_clusters)
        yield counts.reshape(rows, num_clusters).astype(np.float64)


def paired_difference(
    ours: np.ndarray,
    theirs: np.ndarray,
    users: np.ndarray,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the mean of ours - theirs over the same queries with its interval.

    In: `ours`, `theirs`, `users`: (q,), row by row of one query.
    """
    column = {"difference": ours - theirs}
    return bootstrap(column, users, seed=seed, resamples=resamples)["difference"]
