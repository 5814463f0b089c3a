"""The ranking model: a cross network and an MLP, two heads, over candidates."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from data.events import EventLog
from data.features import request_time_features
from data.prepared import Prepared
from trainer.config import RankingConfig, TrainConfig
from trainer.models.base import CountedModel
from trainer.models.embeddings import FeatureEmbedding, IdSlots
from trainer.models.seeded import Step
from trainer.models.text_tower import TextTower
from trainer.models.towers import CodeTable, Texts

CHUNK_ITEMS = 4_096
RETRIEVAL_SCORE_SCALE = 4.0  # Cosines of good candidates lie in a narrow band.


@dataclass(frozen=True)
class Ratings:
    """Mean and deviation of the training labels; None of them if there are none."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, log: EventLog) -> "Ratings | None":
        """Measure the labels of a log."""
        labels = log.label[np.isfinite(log.label)]
        if len(labels) == 0:
            return None
        return cls(float(labels.mean()), float(labels.std()) or 1.0)


class ItemPart(tf.keras.layers.Layer):
    """What the ranking model knows of an item on its own, computable at export."""

    def __init__(
        self,
        *,
        prepared: Prepared,
        log: EventLog,
        texts: Texts | None,
        config: RankingConfig,
        step: Step,
    ) -> None:
        super().__init__(name="item_part")
        self.step, self.texts, self.rate = step, texts, config.item_id_dropout
        self.slots = IdSlots(log.item_counts(prepared.num_items), name="item_slots")
        self.codes = CodeTable(prepared.item_features, name="item_codes")
        self.ids = tf.keras.layers.Embedding(self.slots.num_slots, config.dim)
        self.features = FeatureEmbedding(prepared.features.items, name="item_features")
        # Held by a layer, so that Keras trains it.
        self.text_tower = None if texts is None else texts.tower
        if texts is not None:
            self.text = tf.keras.layers.Dense(
                config.dim, activation="relu", name="text"
            )

    def call(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode distinct items. In: int32 (n,). Out: float32 (n, width)."""
        slots = self.slots(rows)
        if training:
            slots = self.step.drop_ids(slots, self.rate, self.name)
        parts = [self.ids(slots)]
        if self.features.features:
            parts.append(self.features(self.codes(rows)))
        if self.texts is not None:
            text = self.texts(rows, training=training)
            parts.append(self.text(text * float(self.texts.dim) ** 0.5))
        return tf.concat([tf.cast(part, tf.float32) for part in parts], axis=-1)


class RankingModel(CountedModel):
    """Scores candidates of a request: probability of a like, and the rating.

    Source: Wang et al. 2021, DCN V2, section 3 (parallel cross and deep networks,
    low-rank cross layers).
    """

    def __init__(
        self,
        *,
        prepared: Prepared,
        log: EventLog,
        texts: Texts | None,
        config: RankingConfig,
        train: TrainConfig,
    ) -> None:
        step = Step(train.seed + 1)
        super().__init__(step, train.clip_norm)
        self.config, self.ratings = config, Ratings.of(log)
        # The order of rows tells no hour.
        self.time_weight = 1.0 if prepared.time_is_known else 0.0
        self.item_part = ItemPart(
            prepared=prepared, log=log, texts=texts, config=config, step=step
        )
        self.user_slots = IdSlots(log.user_counts(), name="user_slots")
        self.user_codes = CodeTable(prepared.user_features, name="user_codes")
        self.user_ids = tf.keras.layers.Embedding(
            self.user_slots.num_slots, config.dim // 2, name="user_id"
        )
        self.user_features = FeatureEmbedding(prepared.features.users, name="users")
        self.context = FeatureEmbedding(prepared.features.context, name="context")
        self.cross = [
            tfrs.layers.dcn.Cross(projection_dim=config.cross_rank)
            for _ in range(config.cross_layers)
        ]
        self.deep = [tf.keras.layers.Dense(n, activation="relu") for n in config.mlp]
        self.norm = tf.keras.layers.LayerNormalization(name="input_norm")
        self.like_head = tf.keras.layers.Dense(1, name="like")
        self.rating_head = tf.keras.layers.Dense(1, name="rating")
        self.like_task = tfrs.tasks.Ranking(
            tf.keras.losses.BinaryCrossentropy(from_logits=True, reduction="none")
        )
        self.rating_task = tfrs.tasks.Ranking(
            tf.keras.losses.MeanSquaredError(reduction="none")
        )
        self._encode_items = tf.function(
            self.item_part, input_signature=[_ROWS], autograph=False
        )
        self.rank_rows = tf.function(
            self._rank_rows, reduce_retracing=True, autograph=False
        )

    def user(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode users. In: int32 (b,). Out: float32 (b, width)."""
        slots = self.user_slots(rows)
        if training:
            slots = self.step.drop_ids(slots, self.config.user_id_dropout, "user_id")
        parts = [self.user_ids(slots)]
        if self.user_features.features:
            parts.append(self.user_features(self.user_codes(rows)))
        return tf.concat(parts, axis=-1)

    def score(
        self,
        request: Mapping[str, tf.Tensor],
        user: tf.Tensor,
        candidates: tf.Tensor,
        history: tf.Tensor,
        training: bool = False,
    ) -> dict[str, tf.Tensor]:
        """Score candidates given as vectors.

        In: `request`: `history` int32 (b, l), padded with 0; `time`, `last_time`
        int64 (b,); `user_statistics` float32 (b, s); `item_statistics` float32
        (b, c, s); `retrieval_score` float32 (b, c); context codes as "context.name".
        `user` float32 (b, w); `candidates` (b, c, p) and `history` (b, l, p) item
        parts. Out: `like`, a logit, and `rating` where there are labels: float32
        (b, c).
        """
        there = tf.cast(request["history"] > 0, tf.float32)[..., None]
        count = tf.maximum(tf.reduce_sum(there, 1), 1.0)
        taste = tf.reduce_sum(history * there, 1) / count  # (b, p)
        when = request_time_features(tf, request["time"], request["last_time"])
        when *= self.time_weight
        known = [user, taste, when, request["user_statistics"]]
        if self.context.features:
            names = [f.name for f in self.context.features]
            known.append(self.context({n: request[f"context.{n}"] for n in names}))
        shared = tf.concat(known, axis=-1)[:, None]
        shared = tf.repeat(shared, tf.shape(candidates)[1], axis=1)
        retrieval = request["retrieval_score"][..., None] * RETRIEVAL_SCORE_SCALE
        own = [candidates, candidates * taste[:, None], request["item_statistics"]]
        x = self.norm(tf.concat([shared, *own, retrieval], axis=-1))
        return self._heads(x, retrieval, training)

    def _heads(
        self, x: tf.Tensor, retrieval: tf.Tensor, training: bool
    ) -> dict[str, tf.Tensor]:
        crossed = x
        for layer in self.cross:
            crossed = layer(x, crossed)
        deep = x
        for i, layer in enumerate(self.deep):
            deep = layer(deep)
            if training:
                deep = self.step.dropout(deep, self.config.dropout, f"deep_{i}")
        joined = tf.concat([crossed, deep, retrieval], axis=-1)
        outputs = {"like": self.like_head(joined)[..., 0]}
        if self.ratings:
            scaled = self.rating_head(joined)[..., 0]
            outputs["rating"] = scaled * self.ratings.deviation + self.ratings.mean
        return outputs

    @property
    def text_tower(self) -> TextTower | None:
        """Return the text tower that this model fine-tunes, if it does."""
        return self.item_part.text_tower

    def compute_loss(
        self, inputs: Mapping[str, tf.Tensor], training: bool = False
    ) -> tf.Tensor:
        """Return the weighted loss of both heads over a batch's candidates.

        In: a batch of examples of `trainer.ranking_examples`.
        """
        shape = tf.shape(inputs["item"])
        rows = [tf.reshape(inputs[name], [-1]) for name in ("item", "history")]
        distinct, place = tf.unique(tf.concat(rows, 0))
        parts = self.item_part(distinct, training=training)
        item_place, history_place = tf.split(place, [tf.size(r) for r in rows])
        candidates = tf.gather(parts, tf.reshape(item_place, shape))
        history_shape = tf.shape(inputs["history"])
        history = tf.gather(parts, tf.reshape(history_place, history_shape))
        user = self.user(inputs["user"], training=training)
        outputs = self.score(inputs, user, candidates, history, training=training)
        loss = self.config.like_weight * _weighted(
            self.like_task, inputs["like"], outputs["like"], inputs["weight"]
        )
        if self.ratings and self.config.rating_weight:
            scale = self.ratings.deviation
            loss += self.config.rating_weight * _weighted(
                self.rating_task,
                inputs["rating"] / scale,
                outputs["rating"] / scale,
                inputs["rating_weight"],
            )
        return loss

    def item_parts(self, num_items: int) -> np.ndarray:
        """Encode the catalogue. Out: float32 (num_items + 1, width)."""
        rows = np.arange(num_items + 1, dtype=np.int32)
        chunks = range(0, len(rows), CHUNK_ITEMS)
        parts = [
            self._encode_items(tf.constant(rows[i : i + CHUNK_ITEMS])) for i in chunks
        ]
        return np.concatenate(parts).astype(np.float32)

    def _rank_rows(
        self, request: Mapping[str, tf.Tensor], parts: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        candidates = tf.gather(parts, request["item"])
        history = tf.gather(parts, request["history"])
        return self.score(request, self.user(request["user"]), candidates, history)


_ROWS = tf.TensorSpec([None], tf.int32)


def _weighted(
    task: tfrs.tasks.Ranking, label: tf.Tensor, prediction: tf.Tensor, weight: tf.Tensor
) -> tf.Tensor:
    # Flat, one value an example: Keras losses reduce the last dimension away.
    flat = [tf.reshape(x, [-1, 1]) for x in (label, prediction)]
    losses = task(labels=flat[0], predictions=flat[1], compute_metrics=False)
    weight = tf.reshape(weight, [-1])
    return tf.reduce_sum(losses * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)
