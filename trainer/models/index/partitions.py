"""Parts a catalogue into partitions, and learns how many to look at for a recall."""

from dataclasses import dataclass

import numpy as np

from trainer.models.index.clusters import ROOM, cluster
from trainer.models.index.truth import exact_answers

SIZES = (512, 1024, 2048)  # Rows of the largest partition.
SPREADS = (0.0, 0.2, 0.4, 0.6)
LEAST_WEIGHT = 0.1
# What it costs to look at a partition, in rows of it scored: measured by slices of 64
# and of 1,024 rows.
ROWS_OF_A_PROBE = 1_000
MOST_PROBES = 64  # Each is two ops of the graph.
# Depths, in multiples of k, for which probes are learned.
DEPTHS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 16.0)
MOST_QUERIES = 512
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What queries ask for: `rows` and `scores` (n, deepest), best first."""

    queries: np.ndarray
    rows: np.ndarray
    scores: np.ndarray
    depths: np.ndarray

    @classmethod
    def of(
        cls, vectors: np.ndarray, servable: np.ndarray, queries: np.ndarray, k: int
    ) -> "Truth":
        """Ask brute force for as much as any depth needs."""
        queries = queries[:MOST_QUERIES]
        most = max(int(servable.sum()) // 4, 1)
        depths = np.unique([min(int(k * depth), most) for depth in DEPTHS])
        rows, scores = exact_answers(vectors, servable, queries, int(depths[-1]))
        return cls(queries=queries, rows=rows, scores=scores, depths=depths)


@dataclass(frozen=True, kw_only=True)
class Partitions:
    """Rows in the order of their partitions, and what a query is compared with.

    `rows`: int32 (n,); `starts`, `sizes`: int32 (p,), where in `rows` each begins and
    how many it has, at most `largest`; `centres`: float32 (p, dim), means; `spreads`:
    float32 (p,), how far the rows lie from them; `weights`: float32 (dim,), by how
    much queries make each column count.
    """

    rows: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    largest: int
    centres: np.ndarray
    spreads: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.sizes)

    def affinities(self, queries: np.ndarray, spread: float) -> np.ndarray:
        """Return how promising each partition is to each query. Out: (n, p).

        The score of its mean, and what the spread of its rows may add to it.
        """
        lengths = np.linalg.norm(queries / self.weights, axis=1, keepdims=True)
        return queries @ self.centres.T + spread * lengths * self.spreads


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """How to search for a recall: `probes` partitions find the best `depth` items.

    `depths`, `deep_probes`: the same for more, rising; `spread`: see
    Partitions.affinities.
    """

    spread: float
    probes: int
    depth: int
    depths: np.ndarray
    deep_probes: np.ndarray

    def cost(self, partitions: Partitions) -> int:
        """Return the cost of a search, in rows scored."""
        each = ROWS_OF_A_PROBE + partitions.sizes.mean()
        return int(self.probes * each) + len(partitions)


def query_weights(queries: np.ndarray) -> np.ndarray:
    """Return the root mean square of each column, 1 on average. Out: (dim,).

    Distances between rows multiplied by it are differences of scores, so that columns
    with other scales than a unit vector's (the trend) neither rule the clusters nor
    vanish from them.
    """
    squares = np.mean(np.square(queries, dtype=np.float64), axis=0)
    weights = np.sqrt(squares / max(squares.mean(), 1e-12))
    return np.maximum(weights, LEAST_WEIGHT).astype(np.float32)


def part(
    vectors: np.ndarray, servable: np.ndarray, queries: np.ndarray, largest: int
) -> Partitions:
    """Part the servable rows. In: float32 (items + 1, dim); bool (items + 1,)."""
    weights = query_weights(queries)
    rows = np.flatnonzero(servable).astype(np.int32)
    weighted = vectors[rows] * weights
    count = max(round(len(rows) / (ROOM * largest)), 1)
    rng = np.random.default_rng(SEED)
    numbers = cluster(weighted, count, largest, rng)
    order = np.argsort(numbers, kind="stable")
    sizes = np.bincount(numbers).astype(np.int32)
    starts = (np.cumsum(sizes) - sizes).astype(np.int32)
    sums = np.add.reduceat(weighted[order], starts, axis=0, dtype=np.float64)
    means = (sums / sizes[:, None]).astype(np.float32)
    away = np.square(weighted[order] - np.repeat(means, sizes, axis=0)).sum(axis=1)
    spreads = np.sqrt(np.add.reduceat(away, starts) / sizes)
    return Partitions(
        rows=rows[order],
        starts=starts,
        sizes=sizes,
        largest=largest,
        centres=means / weights,
        spreads=spreads.astype(np.float32),
        weights=weights,
    )


def tune(partitions: Partitions, truth: Truth, wanted: float, depth: int = 0) -> Tuned:
    """Find the fewest probes, and the weight of the spread, for a recall.

    `depth`: how deep the first search is to reach, at least the first depth. It gets a
    quarter of what may be missed as margin, which leaves room for a few exclusions
    before a search has to go deeper.
    """
    found = []
    at = min(int(np.searchsorted(truth.depths, depth)), len(truth.depths) - 1)
    for spread in SPREADS:
        curves = _recalls(partitions, truth, spread)
        margin = wanted + (1 - wanted) / 4
        probes = int(np.argmax(curves[at] >= margin)) + 1
        enough = np.argmax(curves >= wanted, axis=1) + 1
        served = np.flatnonzero(enough <= probes)
        found.append(
            Tuned(
                spread=spread,
                probes=probes,
                depth=int(truth.depths[served[-1]]),
                depths=truth.depths.astype(np.int32),
                deep_probes=np.maximum.accumulate(enough).astype(np.int32),
            )
        )
    return min(found, key=lambda tuned: (tuned.probes, tuned.deep_probes.sum()))


def _recalls(partitions: Partitions, truth: Truth, spread: float) -> np.ndarray:
    """Return the recall at each depth by number of probes. Out: (depths, p)."""
    affinities = partitions.affinities(truth.queries, spread)
    order = np.argsort(-affinities, axis=1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(partitions))[None], axis=1)
    place = np.zeros(partitions.rows.max() + 1, np.int64)
    numbers = np.repeat(np.arange(len(partitions)), partitions.sizes)
    place[partitions.rows] = numbers
    ranks = np.take_along_axis(ranks, place[truth.rows], axis=1)
    curves = [
        np.bincount(ranks[:, :depth].ravel(), minlength=len(partitions))
        for depth in truth.depths
    ]
    counts = np.cumsum(curves, axis=1)
    return counts / counts[:, -1:]
