"""The retrieval model: two towers and a sampled softmax over the batch's items."""

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

CHUNK_ITEMS = 4_096


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
        # Traced once: validation encodes the catalogue after every epoch.
        self._encode_items = tf.function(self.item_tower, input_signature=[_ROWS])
        self.encode_queries = tf.function(
            self.queries, input_signature=[_VECTORS, _ROWS, _HISTORY, _TIMES, _TIMES]
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
        query, target = self._targets(inputs, states, training)
        candidates = tf.boolean_mask(
            tf.gather(vectors, target_place), tf.reshape(inputs["target"], [-1]) > 0
        )
        weight = tf.boolean_mask(inputs["weight"], inputs["target"] > 0)
        # float32 into the task: accidental hits are masked with float32's smallest.
        loss = self.task(
            _unit(query),
            _unit(candidates),
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
    ) -> tuple[tf.Tensor, tf.Tensor]:
        wanted = inputs["target"] > 0  # (b, length)
        state = tf.gather(states, inputs["slot"], axis=1, batch_dims=1)
        user = self.query_tower.user(inputs["user"], training=training)
        user = tf.repeat(user[:, None], tf.shape(wanted)[1], axis=1)
        query = self.query_tower.combine(
            tf.boolean_mask(state, wanted),
            tf.boolean_mask(user, wanted),
            tf.boolean_mask(inputs["time"], wanted),
            tf.boolean_mask(inputs["last_time"], wanted),
        )
        return query, tf.boolean_mask(inputs["target"], wanted)

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
        `last_time` int64 (b,), Unix seconds. Out: float32 (b, dim), of length 1.
        """
        count = tf.reduce_sum(tf.cast(history > 0, tf.int32), axis=1)
        vectors = tf.gather(item_vectors, history)
        vectors = tf.ensure_shape(vectors, [None, None, self.config.dim])
        return _unit(self.query_tower(user, vectors, count, time, last_time))


_ROWS = tf.TensorSpec([None], tf.int32)
_HISTORY = tf.TensorSpec([None, None], tf.int32)
_TIMES = tf.TensorSpec([None], tf.int64)
_VECTORS = tf.TensorSpec([None, None], tf.float32)


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1)


def _sampling_probability(log: EventLog, num_items: int) -> np.ndarray:
    counts = np.maximum(log.item_counts(num_items, positives_only=True), 1)
    # TFRS clips probabilities at 1e-6. A factor does not change a softmax, so the
    # most frequent item is given 1 and the clip lies a million times below it.
    return (counts / counts.max()).astype(np.float32)
