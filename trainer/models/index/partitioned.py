"""An approximate index of stock ops: only the most promising partitions are scored."""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from trainer.models.index.base import (
    BLOCK,
    PADDING_SCORE,
    Index,
    in_order,
    top_places,
)
from trainer.models.index.brute_force import left_out
from trainer.models.index.partitions import Partitions, Tuned

ALIGNED = 16  # Float32 numbers that make 64 bytes.
PARALLEL = 4


class Looked(NamedTuple):
    """What was scored for some queries.

    `scores`: (b, n), PADDING_SCORE for what is left out; `first`: (b, p) the place in
    the table where each of the windows begins that the scores are of; `met`: (m, 2)
    the query and the score of each excluded row that was met.
    """

    scores: tf.Tensor
    first: tf.Tensor
    met: tuple[tf.Tensor, tf.Tensor]


class Partitioned(Index):
    """Spherical k-means partitions; the nearest are scored, exactly, in float32.

    The table holds the rows in the order of their partitions, and a partition is read
    by a slice of it, which TensorFlow makes without a copy where it begins at a
    multiple of 64 bytes. Each slice has the width of the largest partition, so that
    all shapes are known; what it holds of the next partition is masked. A query is
    answered from `tuned.probes` partitions; if exclusions or a large k ask for more,
    from as many as were found to serve that depth; if that is not enough, from all.

    Equal scores go to the lower row among all that was scored.
    """

    kind = "partitioned"

    def __init__(
        self, vectors: np.ndarray, partitions: Partitions, tuned: Tuned
    ) -> None:
        """In: `vectors` float32 (items + 1, dim), which `partitions` parts."""
        super().__init__(name="partitioned")
        rows, dim = partitions.rows, vectors.shape[1]
        self.tuned, self.num_partitions = tuned, len(partitions)
        self.probes = min(tuned.probes, len(partitions))
        self.dim = dim
        self.unit = ALIGNED // math.gcd(ALIGNED, dim)  # Rows that end at 64 bytes.
        width = partitions.largest + self.unit - 1
        self.width = width + -width % BLOCK  # A multiple of any unit, too.
        filled = len(rows) + self.width
        filled += -filled % BLOCK  # A multiple of any unit.
        missing = filled - len(rows)
        self.num_indexed, self.num_places = len(rows), filled
        # Places behind the last row are named row 0; so is the place of row 0.
        table = np.pad(vectors[rows], [(0, missing), (0, 0)])
        table = table.reshape(-1, self.unit * dim).astype(np.float32)
        self.table = tf.Variable(table, trainable=False, name="table")
        padded = np.pad(rows, (0, missing))
        self.rows = tf.Variable(padded, trainable=False, name="rows")
        place = np.full(len(vectors), filled - 1, np.int32)
        place[rows] = np.arange(len(rows), dtype=np.int32)
        self.place = tf.Variable(place, trainable=False, name="places")
        bounds = np.stack([partitions.starts, partitions.sizes], axis=1)
        self.bounds = tf.Variable(bounds, trainable=False, name="bounds")
        spreads = tuned.spread * partitions.spreads[:, None]
        centres = np.concatenate([partitions.centres, spreads], axis=1)
        self.centres = tf.Variable(
            centres.astype(np.float32), trainable=False, name="centres"
        )
        self.weights = tf.Variable(partitions.weights, trainable=False, name="weights")

    def settings(self) -> dict[str, Any]:
        """Return partitions, probes and the depth that they serve."""
        return {
            "partitions": self.num_partitions,
            "probes": self.probes,
            "depth": self.tuned.depth,
            "spread": self.tuned.spread,
            "rows_scored": self.probes * self.width,
        }

    def search(
        self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Search near all queries at once, then deeper where one asks; see Index."""
        lengths = tf.norm(queries / self.weights, axis=1, keepdims=True)
        probing = tf.concat([queries, lengths], axis=1)
        affinities = tf.matmul(probing, self.centres, transpose_b=True)
        _, probes = tf.math.top_k(affinities, self.probes)
        places = tf.gather(tf.convert_to_tensor(self.place), excluded)
        near = self._look(queries, probes, places, self._sliced)
        rows, scores, need = self._take(near, k)
        short = need > self.tuned.depth

        def deeper() -> tuple[tf.Tensor, tf.Tensor]:
            which = tf.where(short)
            some = (queries, affinities, places, need)
            some = tuple(tf.gather(tensor, which[:, 0]) for tensor in some)
            more_rows, more_scores = self._each_deeper(some, k)
            return (
                tf.tensor_scatter_nd_update(rows, which, more_rows),
                tf.tensor_scatter_nd_update(scores, which, more_scores),
            )

        return tf.cond(tf.reduce_any(short), deeper, lambda: (rows, scores))

    def _each_deeper(
        self, some: tuple[tf.Tensor, ...], k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Answer one query after the other from more partitions, or from all."""
        last = int(self.tuned.depths[-1])

        def answer(one: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
            query, affinities, places, need = (part[None] for part in one)

            def exactly() -> tuple[tf.Tensor, tf.Tensor]:
                rows, scores, _ = self._take(self._look_at_all(query, places), k)
                return rows[0], scores[0]

            def from_more() -> tuple[tf.Tensor, tf.Tensor]:
                more, served = self._probes_for(need)
                _, probes = tf.math.top_k(affinities, more)
                found = self._look(query, probes, places, self._gathered)
                rows, scores, need_now = self._take(found, k)
                enough = need_now[0] <= served
                return tf.cond(enough, lambda: (rows[0], scores[0]), exactly)

            return tf.cond(need[0] <= last, from_more, exactly)

        signature = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32))
        return tf.map_fn(
            answer, some, fn_output_signature=signature, parallel_iterations=PARALLEL
        )

    def _probes_for(self, depth: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return how many probes serve a depth, and the depth they serve."""
        at = tf.searchsorted(self.tuned.depths, depth)[0]
        return tf.gather(self.tuned.deep_probes, at), tf.gather(self.tuned.depths, at)

    def _sliced(self, queries: tf.Tensor, blocks: tf.Tensor) -> tf.Tensor:
        """Score the tuned number of windows without copying them.

        In: `blocks` int32 (b, probes), where they begin. Out: (b, probes, width).
        """
        table = tf.convert_to_tensor(self.table)
        begins = tf.stack([blocks, tf.zeros_like(blocks)], axis=2)
        size = [self.width // self.unit, self.unit * self.dim]

        def windows(one: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            query, begins = one
            parts = [
                tf.slice(table, begin, size)
                for begin in tf.unstack(begins, self.probes)
            ]
            if self.unit > 1:
                parts = [tf.reshape(part, [self.width, self.dim]) for part in parts]
            query = query[None]
            scores = [tf.matmul(query, part, transpose_b=True) for part in parts]
            return tf.concat(scores, axis=0)

        def for_each() -> tf.Tensor:
            signature = tf.TensorSpec([self.probes, self.width], tf.float32)
            return tf.map_fn(
                windows,
                (queries, begins),
                fn_output_signature=signature,
                parallel_iterations=PARALLEL,
            )

        alone = tf.equal(tf.shape(queries)[0], 1)
        return tf.cond(alone, lambda: windows((queries[0], begins[0]))[None], for_each)

    def _gathered(self, query: tf.Tensor, blocks: tf.Tensor) -> tf.Tensor:
        """Score any number of windows of one query, from a copy of them."""
        each = tf.range(self.width // self.unit)
        parts = tf.gather(tf.convert_to_tensor(self.table), blocks[0][:, None] + each)
        parts = tf.reshape(parts, [-1, self.dim])
        scores = tf.matmul(query, parts, transpose_b=True)
        return tf.reshape(scores, [1, -1, self.width])

    def _look(
        self, queries: tf.Tensor, probes: tf.Tensor, places: tf.Tensor, score: Any
    ) -> Looked:
        """Score the rows of some partitions. In: int32 `probes` (b, p)."""
        bounds = tf.gather(tf.convert_to_tensor(self.bounds), probes)
        starts, sizes = tf.unstack(bounds, axis=2)
        blocks = starts // self.unit
        first = blocks * self.unit
        window = tf.range(self.width)
        ahead = window - (starts - first)[:, :, None]
        inside = (ahead >= 0) & (ahead < sizes[:, :, None])
        scores = tf.where(inside, score(queries, blocks), PADDING_SCORE)
        scores = tf.reshape(scores, [tf.shape(queries)[0], -1])
        # Of each excluded row, the slot of its partition, where that is looked at.
        ahead = places[:, :, None] - starts[:, None]
        met = tf.where((ahead >= 0) & (ahead < sizes[:, None]))
        query, excluded, slot = tf.unstack(tf.cast(met, tf.int32), axis=1)
        of_slot = tf.stack([query, slot], axis=1)
        offset = tf.gather_nd(places, tf.stack([query, excluded], axis=1))
        offset -= tf.gather_nd(first, of_slot)
        at = tf.stack([query, slot * self.width + offset], axis=1)
        hidden = tf.gather_nd(scores, at)
        none = tf.fill(tf.shape(hidden), PADDING_SCORE)
        scores = tf.tensor_scatter_nd_update(scores, at, none)
        return Looked(scores, first, (query, hidden))

    def _look_at_all(self, query: tf.Tensor, places: tf.Tensor) -> Looked:
        """Score the whole table for one query, as one window."""
        table = tf.reshape(tf.convert_to_tensor(self.table), [-1, self.dim])
        scores = tf.matmul(query, table, transpose_b=True)
        there = tf.range(self.num_places) < self.num_indexed
        scores = left_out(tf.where(there, scores, PADDING_SCORE), places)
        first = tf.zeros([1, 1], tf.int32)
        return Looked(scores, first, (first[0, :0], scores[0, :0]))

    def _take(
        self, looked: Looked, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Take the k best of what was scored, and tell how deep that had to reach.

        Out: rows and scores (b, k), and int32 (b,): k, and as many more as there were
        better ones among the excluded; beyond all depths if k were not found.
        """
        scores, first, (query, hidden) = looked
        batch, count = tf.unstack(tf.shape(scores))
        each = count // tf.shape(first)[1]
        width = tf.minimum(k + 1, count)
        values, at = top_places(scores, width)
        last = values[:, tf.minimum(k, width) - 1]
        ends = tf.equal(values[:, -1], last) & (last > PADDING_SCORE)
        tied = (width > k) & tf.reduce_any(ends)
        table_rows = tf.convert_to_tensor(self.rows)

        def rows_at(at: tf.Tensor) -> tf.Tensor:
            begin = tf.gather(first, at // each, batch_dims=1)
            return tf.gather(table_rows, begin + at % each)

        def among_all() -> tuple[tf.Tensor, tf.Tensor]:
            # Equal scores on both sides of the end: the lower rows are wanted.
            everywhere = tf.broadcast_to(tf.range(count), [batch, count])
            return in_order(rows_at(everywhere), scores, k)

        rows, found = tf.cond(tied, among_all, lambda: in_order(rows_at(at), values, k))
        better = tf.cast(hidden >= tf.gather(last, query), tf.int32)
        better = tf.math.unsorted_segment_sum(better, query, batch)
        missing = (last <= PADDING_SCORE) | (width < k)
        beyond = int(self.tuned.depths[-1]) + 1
        return rows, found, tf.where(missing, beyond, k + better)
