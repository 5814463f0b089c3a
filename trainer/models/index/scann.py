"""The ScaNN index, where its op is present, through TFRS's layer."""

import contextlib
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from data.errors import ConfigError
from trainer.models.index.base import (
    BLOCK,
    PADDING_SCORE,
    Index,
    best,
    in_order,
    is_excluded,
    top_places,
)
from trainer.models.index.brute_force import left_out
from trainer.models.index.partitions import Truth
from trainer.models.index.truth import recall

# Under this size ScaNN's recall falls and exact search is faster (ML-100K's 1,682
# random vectors: recall 0.53 at the layer's defaults).
EXACT_BELOW = 20_000
TUNING_QUERIES = 128
REORDER_FACTORS = (2, 4, 8)
OPS = ("Scann>ScannCreateSearcher", "Scann>ScannSearchBatched", "Scann>ScannToTensors")


def is_available() -> bool:
    """Tell whether ScaNN can be imported on this platform."""
    try:
        import scann  # noqa: F401
    except ImportError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Leaves:
    """How many leaves to search, and how many items to score again, by depth.

    int32 (n,) each, rising. A depth is how many items are asked for.
    """

    depths: np.ndarray
    searched: np.ndarray
    reordered: np.ndarray


class Scann(Index):
    """Approximate search by ScaNN, exact where exclusions leave too little of it.

    Source: Guo et al. 2020, "Accelerating large-scale inference with anisotropic
    vector quantization". Leaves about the square root of the items; how many are
    searched, and how many items are then scored exactly, is tuned to a recall.
    """

    kind = "scann"
    ops_beyond_stock = OPS

    def __init__(self, vectors: np.ndarray, servable: np.ndarray) -> None:
        """In: `vectors` float32 (items + 1, dim); `servable` bool (items + 1,)."""
        super().__init__(name="scann")
        if not is_available():
            raise ConfigError(
                '[export] retrieval_index = "scann": ScaNN has no wheel for this '
                'platform. Set retrieval_index = "partitioned".'
            )
        rows = np.flatnonzero(servable).astype(np.int32)
        self.num_indexed = count = len(rows)
        # All leaves and all items: what tuning has not found better settings for.
        self.num_leaves = 1 if count < EXACT_BELOW else int(np.sqrt(count))
        everything = np.array([count], np.int32)
        self.leaves = Leaves(
            depths=everything,
            searched=np.array([self.num_leaves], np.int32),
            reordered=everything,
        )
        self.rows = tf.Variable(rows, trainable=False, name="rows")
        place = np.full(len(servable), count, np.int32)
        place[rows] = np.arange(count, dtype=np.int32)
        self.place = tf.Variable(place, trainable=False, name="places")
        self.layer = tfrs.layers.factorized_top_k.ScaNN(
            k=min(100, count),
            num_leaves=self.num_leaves,
            num_leaves_to_search=self.num_leaves,
            # Keeps the vectors themselves; how many are used, each search says.
            num_reordering_candidates=min(100, count),
        )
        with _quiet_library():
            self.layer.index(tf.constant(vectors[rows]))

    def settings(self) -> dict[str, Any]:
        """Return the leaves, and what the least depth searches of them."""
        return {
            "leaves": self.num_leaves,
            "searched": int(self.leaves.searched[0]),
            "reordered": int(self.leaves.reordered[0]),
            "depth": int(self.leaves.depths[0]),
        }

    def search(
        self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Search all queries at once, then deeper where too little is left."""
        batch = tf.shape(queries)[0]
        # ScaNN has no answer of the right shape for no query at all.
        none = tf.cast(tf.equal(batch, 0), tf.int32)
        queries = tf.pad(queries, [[0, none], [0, 0]])
        excluded = tf.pad(excluded, [[0, none], [0, 0]])
        # By the width of the list, not by what is in it: one depth for any batch.
        wanted = k + tf.minimum(k, tf.shape(excluded)[1])
        rows, scores = self._allowed(queries, wanted, k, excluded)
        short = tf.equal(rows[:, -1], 0)

        def deeper() -> tuple[tf.Tensor, tf.Tensor]:
            which = tf.where(short)
            some = (tf.gather(queries, which[:, 0]), tf.gather(excluded, which[:, 0]))
            more_rows, more_scores = self._each_deeper(some, k)
            return (
                tf.tensor_scatter_nd_update(rows, which, more_rows),
                tf.tensor_scatter_nd_update(scores, which, more_scores),
            )

        rows, scores = tf.cond(tf.reduce_any(short), deeper, lambda: (rows, scores))
        return rows[:batch], scores[:batch]

    def _each_deeper(
        self, some: tuple[tf.Tensor, tf.Tensor], k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        def answer(one: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            query, excluded = (part[None] for part in one)
            count = tf.reduce_sum(tf.cast(excluded > 0, tf.int32))
            rows, scores = self._allowed(query, k + count, k, excluded)
            rows, scores = tf.cond(
                tf.equal(rows[0, -1], 0),
                lambda: self._exactly(query, k, excluded),
                lambda: (rows, scores),
            )
            return rows[0], scores[0]

        signature = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32))
        return tf.map_fn(answer, some, fn_output_signature=signature)

    def _allowed(
        self, queries: tf.Tensor, depth: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take the k best of the first `depth`, as far as that is tuned for."""
        last = len(self.leaves.depths) - 1
        at = tf.minimum(tf.searchsorted(self.leaves.depths, depth[None])[0], last)
        depth = tf.minimum(depth, int(self.leaves.depths[last]))
        searched = tf.gather(self.leaves.searched, at)
        reordered = tf.gather(self.leaves.reordered, at)
        places, scores = self.found(queries, depth, searched, reordered)
        rows = tf.gather(tf.convert_to_tensor(self.rows), places)
        # ScaNN fills up a short answer with numbers that are none.
        out = is_excluded(rows, excluded) | tf.math.is_nan(scores)
        return in_order(rows, tf.where(out, PADDING_SCORE, scores), k)

    def found(
        self,
        queries: tf.Tensor,
        depth: tf.Tensor,
        searched: tf.Tensor,
        reordered: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Run ScaNN. Out: places int32 and scores float32 (b, depth)."""
        from scann.scann_ops.py import scann_ops

        state = self.layer._serialized_searcher  # The layer cannot pass these on.
        searcher = scann_ops.searcher_from_module(state)
        return searcher.search_batched_parallel(queries, depth, reordered, searched)

    def _exactly(
        self, query: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Score every item for one query, with the vectors that ScaNN keeps."""
        vectors = tf.convert_to_tensor(self.layer._serialized_searcher.dataset)
        scores = tf.matmul(query, tf.cast(vectors, tf.float32), transpose_b=True)
        edges = [[0, 0], [0, BLOCK - self.num_indexed % BLOCK]]
        scores = tf.pad(scores, edges, constant_values=PADDING_SCORE)
        out = tf.gather(tf.convert_to_tensor(self.place), excluded)
        scores = left_out(scores, out)
        scores, places = top_places(scores, tf.minimum(k, tf.shape(scores)[1]))
        rows = tf.concat([self.rows, tf.zeros([edges[1][1]], tf.int32)], axis=0)
        return best(tf.gather(rows, places), scores, k)


def tune_leaves(index: Scann, truth: Truth, wanted: float) -> Leaves:
    """Find the fewest leaves for a recall at each depth, by trying on real queries.

    How many items are scored again is chosen at the least depth, by time.
    """
    run = tf.function(index.found, autograph=False, reduce_retracing=True)
    queries = tf.constant(truth.queries[:TUNING_QUERIES])

    def measured(depth: int, searched: int, reordered: int) -> tuple[float, float]:
        numbers = (tf.constant(n) for n in (depth, searched, reordered))
        start = time.perf_counter()
        _, scores = (found.numpy() for found in run(queries, *numbers))
        took = time.perf_counter() - start
        rows = (~np.isnan(scores)).astype(np.int32)
        return recall(rows, scores, truth.scores[: len(scores), :depth]), took

    def fewest(depth: int, factor: int, least: int = 1) -> tuple[int, int, float]:
        reordered = min(factor * depth, index.num_indexed)
        low, high = least, index.num_leaves
        while low < high:
            middle = (low + high) // 2
            enough = measured(depth, middle, reordered)[0] >= wanted
            low, high = (low, middle) if enough else (middle + 1, high)
        share, took = measured(depth, high, reordered)
        return high, reordered, took if share >= wanted else math.inf

    depths = truth.depths[:: max(len(truth.depths) // 4, 1)]
    depths = np.unique([*depths, truth.depths[-1]]).astype(np.int32)
    tried = {f: fewest(int(depths[0]), f) for f in REORDER_FACTORS}
    factor = min(tried, key=lambda f: tried[f][2])
    found = [tried[factor]]
    for depth in depths[1:]:
        found.append(fewest(int(depth), factor, found[-1][0]))
    searched, reordered, _ = (np.array(column) for column in zip(*found, strict=True))
    return Leaves(
        depths=depths,
        searched=searched.astype(np.int32),
        reordered=np.maximum.accumulate(reordered).astype(np.int32),
    )


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Keep what ScaNN's C++ code logs of its progress off the screen."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
