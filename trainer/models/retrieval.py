"""The retrieval model: two towers and a sampled softmax over the batch's items."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from data.events import EventLog
from data.prepared import Prepared
from trainer.config import RetrievalConfig, TrainConfig
from trainer.models.base import CountedModel
from trainer.models.embeddings import IdSlots
from trainer.models.seeded import Step
from trainer.models.text_tower import TextTower
from trainer.models.towers import CodeTable, ItemTower, QueryTower, Texts
from trainer.models.trend import Trend, TrendGrid

CHUNK_ITEMS = 4_096
TREND_STEP = 5.0  # Statistics are scaled to a fifth, so a gain of 1 is log popularity.


class RetrievalModel(CountedModel):
    """Two towers that share the items' vectors, on events of one log.

    Source: Yi et al. 2019, "Sampling-bias-corrected neural modeling for large corpus
    item recommendations", for the softmax with log-Q correction.
    """

    def __init__(
        self,
        *,
        prepared: Prepared,
        log: EventLog,
        texts: Texts | None,
        config: RetrievalConfig,
        train: TrainConfig,
    ) -> None:
        step = Step(train.seed)
        super().__init__(step, train.clip_norm)
        if not prepared.time_is_known:  # The order of rows tells no hour and no trend.
            config = dataclasses.replace(config, use_time=False, use_trend=False)
        self.config = config
        item_counts = log.item_counts(prepared.num_items)
        self.item_tower = ItemTower(
            features=prepared.features,
            slots=IdSlots(item_counts, name="item_slots"),
            codes=CodeTable(prepared.item_features, name="item_codes"),
            texts=texts,
            config=config,
            step=step,
        )
        self.query_tower = QueryTower(
            features=prepared.features,
            slots=IdSlots(log.user_counts(), name="user_slots"),
            codes=CodeTable(prepared.user_features, name="user_codes"),
            config=config,
            step=step,
        )
        self.sampling = tf.Variable(
            _sampling_probability(log, prepared.num_items),
            trainable=False,
            name="sampling",
        )
        self.grid = TrendGrid.of(log)
        if config.use_trend:
            trend = Trend(prepared, log)
            table = np.stack([trend.at(moment) for moment in self.grid.moments()])
            self.trend_table = tf.Variable(table, trainable=False, name="trend_table")
        # Traced once: validation encodes the catalogue after every epoch.
        self._encode_items = tf.function(
            self.item_tower, input_signature=[_ROWS], autograph=False
        )
        self.encode_queries = tf.function(
            self.queries,
            input_signature=[_VECTORS, _ROWS, _HISTORY, _TIMES, _TIMES],
            autograph=False,
        )
        self.task = tfrs.tasks.Retrieval(
            loss=tf.keras.losses.CategoricalCrossentropy(
                from_logits=True, reduction=tf.keras.losses.Reduction.SUM
            ),
            temperature=config.temperature,
            remove_accidental_hits=True,
        )

    @property
    def text_tower(self) -> TextTower | None:
        """Return the text tower that this model fine-tunes, if it does."""
        return self.item_tower.text_tower

    def compute_loss(
        self, inputs: Mapping[str, tf.Tensor], training: bool = False
    ) -> tf.Tensor:
        """Return the mean loss of a batch's targets.

        In: a batch of `data.pipelines.sequence_batches`. Out: float32 scalar.
        """
        rows = tf.concat(
            [tf.reshape(inputs[n], [-1]) for n in ("history", "target")], 0
        )
        distinct, place = tf.unique(rows)
        vectors = self.item_tower(distinct, training=training)
        shape = tf.shape(inputs["history"])
        history_place, target_place = tf.split(place, 2)
        history = tf.gather(vectors, tf.reshape(history_place, shape))
        history *= tf.cast(inputs["history"] > 0, vectors.dtype)[..., None]
        states = self.query_tower.encoder(history, training=training)
        (query, gain), target, time = self._targets(inputs, states, training)
        candidates = tf.boolean_mask(
            tf.gather(vectors, target_place), tf.reshape(inputs["target"], [-1]) > 0
        )
        weight = tf.boolean_mask(inputs["weight"], inputs["target"] > 0)
        # float32 into the task: accidental hits are masked with float32's smallest.
        loss = self.task(
            self._with_moment(_unit(query), gain, time),
            self._with_trend(_unit(candidates), target),
            sample_weight=weight,
            candidate_sampling_probability=(
                tf.gather(self.sampling, target) if self.config.log_q else None
            ),
            candidate_ids=target,
            compute_metrics=False,
        )
        return loss / tf.maximum(tf.reduce_sum(weight), 1.0)

    def _targets(
        self, inputs: Mapping[str, tf.Tensor], states: tf.Tensor, training: bool
    ) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor, tf.Tensor]:
        wanted = inputs["target"] > 0  # (b, length)
        slot = inputs["slot"]
        state = tf.gather(states, slot, axis=1, batch_dims=1)
        newest = tf.gather(inputs["time"], tf.maximum(slot - 1, 0), batch_dims=1)
        last_time = tf.where(slot > 0, newest, 0)
        user = self.query_tower.user(inputs["user"], training=training)
        user = tf.repeat(user[:, None], tf.shape(wanted)[1], axis=1)
        time = tf.boolean_mask(inputs["time"], wanted)
        query = self.query_tower.combine(
            tf.boolean_mask(state, wanted),
            tf.boolean_mask(user, wanted),
            time,
            tf.boolean_mask(last_time, wanted),
        )
        return query, tf.boolean_mask(inputs["target"], wanted), time

    def _with_moment(
        self, query: tf.Tensor, gain: tf.Tensor, time: tf.Tensor
    ) -> tf.Tensor:
        """Give each query its gain at the place of its moment, 0 at all others."""
        if not self.config.use_trend:
            return query
        cell = (time - self.grid.first) // self.grid.step
        cell = tf.clip_by_value(cell, 0, self.grid.num_cells - 1)
        places = tf.one_hot(cell, self.grid.num_cells)[:, :, None]
        gains = places * self._scaled(gain)[:, None]
        width = self.grid.num_cells * self.query_tower.trend_width
        return tf.concat([query, tf.reshape(gains, [-1, width])], axis=1)

    def _with_trend(self, vectors: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Give each item its numbers of all moments."""
        if not self.config.use_trend:
            return vectors
        table = tf.transpose(tf.gather(self.trend_table, rows, axis=1), [1, 0, 2])
        width = self.grid.num_cells * self.query_tower.trend_width
        return tf.concat([vectors, tf.reshape(table, [-1, width])], axis=1)

    def _scaled(self, gain: tf.Tensor) -> tf.Tensor:
        # The task divides by the temperature; the trend is to be free of it.
        return tf.cast(gain, tf.float32) * (TREND_STEP * self.config.temperature)

    def item_vectors(self, num_items: int) -> np.ndarray:
        """Encode the catalogue. Out: float32 (num_items + 1, dim), row 0 zeros."""
        rows = np.arange(num_items + 1, dtype=np.int32)
        parts = [
            self._encode_items(tf.constant(rows[i : i + CHUNK_ITEMS])).numpy()
            for i in range(0, len(rows), CHUNK_ITEMS)
        ]
        vectors = np.concatenate(parts).astype(np.float32)
        vectors[0] = 0
        return vectors

    def queries(
        self,
        item_vectors: tf.Tensor,
        user: tf.Tensor,
        history: tf.Tensor,
        time: tf.Tensor,
        last_time: tf.Tensor,
    ) -> tf.Tensor:
        """Encode requests, as the exported graph does.

        In: `item_vectors` float32 (items + 1, dim); `user` int32 (b,); `history`
        int32 (b, length), oldest first, padded with 0 at the end; `time`,
        `last_time` int64 (b,), Unix seconds. Out: float32 (b, dim + trend width): a
        query of length 1, then the trend's gains.
        """
        count = tf.reduce_sum(tf.cast(history > 0, tf.int32), axis=1)
        vectors = tf.gather(item_vectors, history)
        vectors = tf.ensure_shape(vectors, [None, None, self.config.dim])
        query, gain = self.query_tower(user, vectors, count, time, last_time)
        return tf.concat([_unit(query), self._scaled(gain)], axis=1)

    def boost_trend(self, boost: float) -> None:
        """Let the recent trend count for more than training taught.

        Training asks for the next event, an evaluation or an application for what
        comes in weeks; how much more, validation decides.
        """
        if self.query_tower.trend_width:
            self.query_tower.trend_boost.assign([0.0, boost])

    def index_vectors(self, item_vectors: np.ndarray, trend: np.ndarray) -> np.ndarray:
        """Return what an index holds: the dot product with a query is the score.

        In: `item_vectors` float32 (items + 1, dim); `trend` (items + 1, TREND_WIDTH),
        of the moment. Out: float32 (items + 1, dim + trend width).
        """
        numbers = trend[:, : self.query_tower.trend_width]
        return np.concatenate([unit_rows(item_vectors), numbers], axis=1)


_ROWS = tf.TensorSpec([None], tf.int32)
_HISTORY = tf.TensorSpec([None, None], tf.int32)
_TIMES = tf.TensorSpec([None], tf.int64)
_VECTORS = tf.TensorSpec([None, None], tf.float32)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; rows of zeros stay. In, out: float32 (n, dim)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-6)


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1)


def _sampling_probability(log: EventLog, num_items: int) -> np.ndarray:
    counts = np.maximum(log.item_counts(num_items, positives_only=True), 1)
    # TFRS clips probabilities at 1e-6. A factor does not change a softmax, so the
    # most frequent item is given 1 and the clip lies a million times below it.
    return (counts / counts.max()).astype(np.float32)
