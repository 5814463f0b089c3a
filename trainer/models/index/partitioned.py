"""An approximate index of stock ops: only the most promising partitions are scored."""

from typing import Any

import numpy as np
import tensorflow as tf

from trainer.config import TableDtype
from trainer.models.index.base import (
    BLOCK,
    PADDING_SCORE,
    Index,
)
from trainer.models.index.brute_force import left_out
from trainer.models.index.layout import lay_out
from trainer.models.index.looked import Looked, take
from trainer.models.index.partitions import Partitions, Tuned

PARALLEL = 4


class Partitioned(Index):
    """Spherical k-means partitions; the nearest are scored, exactly, in float32.

    A partition is a slice of the table (see `lay_out`). A query is answered from
    `tuned.probes` partitions; if exclusions or a large k ask for more, from as many as
    were found to serve that depth; if that is not enough, from all.

    Equal scores go to the lower row among all that was scored.
    """

    kind = "partitioned"

    def __init__(
        self,
        vectors: np.ndarray,
        partitions: Partitions,
        tuned: Tuned,
        dtype: TableDtype = "float32",
    ) -> None:
        """In: `vectors` float32 (items + 1, dim), which `partitions` parts."""
        super().__init__(name="partitioned")
        self.tuned, self.num_partitions = tuned, len(partitions)
        self.probes = min(tuned.probes, len(partitions))
        self.probed_rows = int(self.probes * partitions.sizes.mean())
        layout = lay_out(vectors, partitions, dtype)
        spreads = tuned.spread * partitions.spreads[:, None]
        centres = np.concatenate([partitions.centres, spreads], axis=1)
        self.dim, self.aligned = layout.dim, layout.aligned
        self.table = _constant(layout.table, "table")
        self.rows = _constant(layout.rows, "rows")
        self.place = _constant(layout.places, "places")
        self.bounds = _constant(layout.bounds, "bounds")
        self.centres = _constant(centres, "centres")
        self.weights = _constant(partitions.weights, "weights")

    def settings(self) -> dict[str, Any]:
        """Return partitions, probes and the depth that they serve."""
        return {
            "partitions": self.num_partitions,
            "probes": self.probes,
            "depth": self.tuned.depth,
            "spread": self.tuned.spread,
            "rows_scored": self.probed_rows,
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
        queries = tf.pad(queries, [[0, 0], [0, 1]], constant_values=-PADDING_SCORE)
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

    def _sliced(self, queries: tf.Tensor, bounds: tf.Tensor) -> tf.Tensor:
        """Score the tuned number of partitions without copying them.

        In: `bounds` int32 (b, probes, 2), first and number of blocks. Out: (b, n).
        """
        most = tf.reduce_max(tf.reduce_sum(bounds[..., 1], axis=1)) * self.aligned
        most += -most % BLOCK

        def scores(one: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            found = self._windows(*one)
            edges = [[0, most - tf.shape(found)[0]]]
            return tf.pad(found, edges, constant_values=PADDING_SCORE)

        def for_each() -> tf.Tensor:
            return tf.map_fn(
                scores,
                (queries, bounds),
                fn_output_signature=tf.TensorSpec([None], tf.float32),
                parallel_iterations=PARALLEL,
            )

        def for_one() -> tf.Tensor:
            return scores((queries[0], bounds[0]))[None]

        several = [lambda: tf.zeros([0, BLOCK]), for_one, for_each]
        return tf.switch_case(tf.minimum(tf.shape(queries)[0], 2), several)

    def _windows(self, query: tf.Tensor, bounds: tf.Tensor) -> tf.Tensor:
        """Score partitions for one query. In: int32 (probes, 2). Out: (n,)."""
        table = tf.convert_to_tensor(self.table)
        starts, blocks = tf.unstack(bounds, axis=1)
        width = tf.fill(tf.shape(blocks), self.aligned * self.dim)
        begins = tf.unstack(tf.stack([starts, tf.zeros_like(starts)], 1), self.probes)
        sizes = tf.unstack(tf.stack([blocks, width], 1), self.probes)
        scores = [
            tf.matmul(
                query[None],
                self._vectors(tf.slice(table, begin, size)),
                transpose_b=True,
            )
            for begin, size in zip(begins, sizes, strict=True)
        ]
        return tf.concat(scores, axis=1)[0]

    def _vectors(self, blocks: tf.Tensor) -> tf.Tensor:
        """Return the vectors of blocks, each with its last column. Out: (n, dim)."""
        vectors = tf.reshape(blocks, [-1, self.dim])
        return tf.cast(vectors, tf.float32)  # No op where they are.

    def _gathered(self, query: tf.Tensor, bounds: tf.Tensor) -> tf.Tensor:
        """Score any number of partitions of one query, from a copy of them."""
        starts, blocks = tf.unstack(bounds[0], axis=1)
        wanted = tf.ragged.range(starts, starts + blocks).flat_values
        parts = tf.gather(tf.convert_to_tensor(self.table), wanted)
        scores = tf.matmul(query, self._vectors(parts), transpose_b=True)
        edges = [[0, 0], [0, -tf.shape(scores)[1] % BLOCK]]
        return tf.pad(scores, edges, constant_values=PADDING_SCORE)

    def _look(
        self, queries: tf.Tensor, probes: tf.Tensor, places: tf.Tensor, score: Any
    ) -> Looked:
        """Score the rows of some partitions. In: int32 `probes` (b, p)."""
        bounds = tf.gather(tf.convert_to_tensor(self.bounds), probes)
        scores = score(queries, bounds)
        firsts, counts = tf.unstack(bounds * self.aligned, axis=2)
        ends = tf.cumsum(counts, axis=1)
        # Of each excluded row, the slot of its partition, where that is looked at.
        ahead = places[:, :, None] - firsts[:, None]
        met = tf.where((ahead >= 0) & (ahead < counts[:, None]))
        query, _, slot = tf.unstack(tf.cast(met, tf.int32), axis=1)
        of_slot = tf.stack([query, slot], axis=1)
        at = tf.gather_nd(ends - counts, of_slot) + tf.gather_nd(ahead, met)
        at = tf.stack([query, at], axis=1)
        hidden = tf.gather_nd(scores, at)
        none = tf.fill(tf.shape(hidden), PADDING_SCORE)
        scores = tf.tensor_scatter_nd_update(scores, at, none)
        return Looked(scores, firsts, ends, (query, hidden))

    def _look_at_all(self, query: tf.Tensor, places: tf.Tensor) -> Looked:
        """Score the whole table for one query."""
        table = self._vectors(tf.convert_to_tensor(self.table))
        scores = left_out(tf.matmul(query, table, transpose_b=True), places)
        first = tf.zeros([1, 1], tf.int32)
        end = tf.fill([1, 1], tf.shape(scores)[1])
        return Looked(scores, first, end, (first[0, :0], scores[0, :0]))

    def _take(
        self, looked: Looked, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Take the k best of what was scored; see `take`."""
        beyond = int(self.tuned.depths[-1]) + 1
        return take(looked, tf.convert_to_tensor(self.rows), k, beyond)


def _constant(values: np.ndarray, name: str) -> tf.Variable:
    return tf.Variable(values, trainable=False, name=name)
