"""Chooses, tunes and builds an index of the wanted kind for a catalogue."""

import math

import numpy as np

from trainer.config import IndexKind, TableDtype
from trainer.models.index.base import Index
from trainer.models.index.brute_force import BruteForce
from trainer.models.index.clusters import ROOM
from trainer.models.index.partitioned import Partitioned
from trainer.models.index.partitions import (
    MOST_PROBES,
    MOST_QUERIES,
    ROWS_OF_A_PROBE,
    SIZES,
    Partitions,
    Truth,
    Tuned,
    part,
    tune,
)
from trainer.models.index.scann import Scann, is_available, tune_leaves

SCANN_NEEDS = 17  # It trains 16 clusters, and with fewer items it raises.
# Under this size exact search is as fast: it has a dozen ops and no loop.
EXACT_BELOW = 40_000
WANTED_RECALL = 0.98
TUNED_K = 100
MOST_CENTRES = 3  # Times the square root of the items.
SEED = 0


def build_index(
    kind: IndexKind,
    vectors: np.ndarray,
    servable: np.ndarray,
    *,
    queries: np.ndarray | None = None,
    k: int = TUNED_K,
    recall: float = WANTED_RECALL,
    depth: int = 0,
    dtype: TableDtype = "float32",
) -> Index:
    """Build an index, tuned to a recall; exact search where that serves better.

    That is so where the catalogue is small, or no number of partitions found the
    recall at less cost. Where ScaNN is absent its place is taken by partitions. In:
    `vectors` float32 (items + 1, dim); `servable` bool (items + 1,); `queries` float32
    (n, dim), real ones if there are any, in no order, else items stand in for them;
    `recall` at `k`; `depth`: how deep most searches reach, exclusions counted, if
    that is more than `k`; `dtype`: what vectors are stored as, but by ScaNN.
    """
    items = int(servable.sum())
    if queries is None or not len(queries):
        queries = items_as_queries(vectors, servable)
    if kind == "scann" and is_available() and items >= SCANN_NEEDS:
        return tuned_scann(vectors, servable, queries, k, recall)
    if kind != "brute_force" and items >= EXACT_BELOW:
        index = tuned_partitioned(
            vectors, servable, queries, k, recall, depth=depth, dtype=dtype
        )
        return index or BruteForce(vectors, servable, dtype)
    return BruteForce(vectors, servable, dtype)


def tuned_scann(
    vectors: np.ndarray,
    servable: np.ndarray,
    queries: np.ndarray,
    k: int,
    recall: float,
) -> Scann:
    """Build ScaNN's index and tune it; see build_index."""
    index = Scann(vectors, servable)
    if index.num_leaves > 1:
        truth = Truth.of(vectors, servable, queries, k)
        index.leaves = tune_leaves(index, truth, recall + (1 - recall) / 4)
    return index


def items_as_queries(vectors: np.ndarray, servable: np.ndarray) -> np.ndarray:
    """Draw items that stand in for queries. Out: float32 (n, dim)."""
    rows = np.flatnonzero(servable)
    rng = np.random.default_rng(SEED)
    return vectors[rng.choice(rows, min(len(rows), MOST_QUERIES), replace=False)]


def tuned_partitioned(
    vectors: np.ndarray,
    servable: np.ndarray,
    queries: np.ndarray,
    k: int,
    recall: float,
    sizes: tuple[int, ...] = SIZES,
    depth: int = 0,
    dtype: TableDtype = "float32",
) -> Partitioned | None:
    """Part the catalogue by each size and keep the cheapest; None where exact is.

    See build_index. Those that reach `depth` at once go before those that do not. In:
    `sizes`: rows of the largest partition.
    """
    truth = Truth.of(vectors, servable, queries, k)
    exact = int(servable.sum()) + ROWS_OF_A_PROBE
    tried: list[tuple[Partitions, Tuned]] = []
    # More partitions than this take long to learn and to choose from.
    least = math.sqrt(servable.sum()) / (MOST_CENTRES * ROOM)
    for size in [s for s in sizes if s >= least] or [max(sizes)]:
        partitions = part(vectors, servable, queries, size)
        for usual in sorted({depth, k}, reverse=True):
            tuned = tune(partitions, truth, recall, usual)
            if tuned.cost(partitions) < exact and tuned.probes <= MOST_PROBES:
                tried.append((partitions, tuned))
                break
    if not tried:
        return None
    deepest = max(min(tuned.depth, depth) for _, tuned in tried)
    tried = [pair for pair in tried if min(pair[1].depth, depth) == deepest]
    partitions, tuned = min(tried, key=lambda pair: pair[1].cost(pair[0]))
    return Partitioned(vectors, partitions, tuned, dtype)
