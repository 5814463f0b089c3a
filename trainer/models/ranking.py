"""The ranking model: retrieval's order, and what a cross network and an MLP add."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from data.events import EventLog
from data.features import request_time_features
from data.prepared import Prepared
from trainer.config import RankingConfig, TrainConfig
from trainer.models.base import CountedModel, in_chunks
from trainer.models.embeddings import FeatureEmbedding, IdSlots
from trainer.models.norm import LayerNorm
from trainer.models.seeded import Step
from trainer.models.share import Rows, Share, dividing, encode_together
from trainer.models.target_attention import TargetAttention, flat
from trainer.models.text_tower import TextTower
from trainer.models.towers import CodeTable, Texts

CHUNK_ITEMS = 4_096
MASKED = -1e9


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


class Head(tf.keras.layers.Layer):
    """One number from several vectors, as a Dense layer of them joined.

    To join them copies more than the product reads.
    """

    def __init__(self, initializer: str, *, name: str) -> None:
        super().__init__(name=name)
        self.initializer = initializer

    def build(self, shapes: list[tf.TensorShape]) -> None:
        """Create kernel and bias."""
        self.widths = tuple(int(shape[-1]) for shape in shapes)
        self.kernel = self.add_weight(
            name="kernel", shape=[sum(self.widths), 1], initializer=self.initializer
        )
        self.bias = self.add_weight(name="bias", shape=[1], initializer="zeros")

    def call(self, parts: list[tf.Tensor]) -> tf.Tensor:
        """In: float32 (n, width) each. Out: float32 (n, 1)."""
        kernels = tf.split(self.kernel, self.widths)
        products = [tf.matmul(p, k) for p, k in zip(parts, kernels, strict=True)]
        return tf.add_n(products) + self.bias


class RankingModel(CountedModel):
    """Scores candidates of a request: probability of a like, and the rating.

    The logit of a like is retrieval's own score and `affinity_weight` of the affinity,
    both in deviations of the request, and `trust` times what the network adds. That
    is 0 before training. Validation chooses both numbers, 0 where they do not help, so
    that what does not help leaves retrieval's order as it is.

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
        affinity_weight: float = 0.0,
    ) -> None:
        step = Step(train.seed + 1)
        super().__init__(step, train.clip_norm)
        self.config = config
        self.ratings = Ratings.of(log) if config.rating_weight else None
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
        self.attention = (
            TargetAttention(config.dim, config.attention_heads)
            if config.attention_heads
            else None
        )
        self.cross = [
            tfrs.layers.dcn.Cross(projection_dim=config.cross_rank)
            for _ in range(config.cross_layers)
        ]
        self.deep = [tf.keras.layers.Dense(n, activation="relu") for n in config.mlp]
        self.norm = LayerNorm(name="input_norm")
        self.like_head = Head("zeros", name="like")
        self.log_slope = tf.Variable(0.0, name="log_slope")
        self.affinity_weight = tf.Variable(
            affinity_weight, trainable=False, name="affinity_weight"
        )
        self.trust = tf.Variable(1.0, trainable=False, name="trust")
        self.rating_head = Head("glorot_uniform", name="rating")
        self.like_task = tfrs.tasks.Ranking(
            tf.keras.losses.BinaryCrossentropy(from_logits=True, reduction="none")
        )
        self.rating_task = tfrs.tasks.Ranking(
            tf.keras.losses.MeanSquaredError(reduction="none")
        )
        self.trace_items()
        self.rank_rows = tf.function(
            self._rank_rows, reduce_retracing=True, autograph=False
        )

    def trace_items(self) -> None:
        """Encode items by the tables that their part has now."""
        self._encode_items = tf.function(
            self.item_part, input_signature=[_ROWS], autograph=False
        )

    def user(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode users. In: int32 (b,). Out: float32 (b, width)."""
        slots = self.user_slots(rows)
        if training:
            slots = self.step.drop_ids(slots, self.config.user_id_dropout, "user_id")
        parts = [self.user_ids(slots)]
        if self.user_features.features:
            parts.append(self.user_features(self.user_codes(rows)))
        return tf.cast(tf.concat(parts, axis=-1), tf.float32)

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
        (b, c, s); `standing` float32 (b, c, NUM_STANDINGS); `affinity` float32
        (b, c); context codes as "context.name". `user` float32
        (b, w); `candidates` (b, c, p) and `history` (b, l, p) item parts. Out:
        `like`, a logit, and `rating` where there are labels: float32 (b, c).
        """
        taste = _mean(history, request["history"])
        shared = self._of_request(request, user, taste)
        own = [candidates, candidates * taste[:, None], request["item_statistics"]]
        if self.attention is not None:
            heard = self.attention(candidates, history, request["history"])
            own.append(tf.cast(heard, tf.float32))
        standing, affinity = request["standing"], request["affinity"]
        own.append(affinity[..., None])
        prior = standing[..., 0] + self.affinity_weight * affinity
        shared = tf.repeat(shared[:, None], tf.shape(candidates)[1], axis=1)
        x = self.norm(flat(tf.concat([shared, *own, standing], axis=-1)))
        found = {
            name: tf.cast(tf.reshape(value, tf.shape(prior)), tf.float32)
            for name, value in self._heads(x, training)
        }
        prior *= tf.exp(self.log_slope)
        return {**found, "like": prior + self.trust * found["like"]}

    def _of_request(
        self, request: Mapping[str, tf.Tensor], user: tf.Tensor, taste: tf.Tensor
    ) -> tf.Tensor:
        """Join what all candidates of a request share. Out: float32 (b, width)."""
        when = request_time_features(tf, request["time"], request["last_time"])
        when *= self.time_weight
        known = [user, taste, when, request["user_statistics"]]
        if self.context.features:
            names = [f.name for f in self.context.features]
            codes = {n: request[f"context.{n}"] for n in names}
            known.append(tf.cast(self.context(codes), tf.float32))
        return tf.concat(known, axis=-1)

    def _heads(self, x: tf.Tensor, training: bool) -> Iterator[tuple[str, tf.Tensor]]:
        """Yield what the network says. In: float32 (n, width). Out: (n, 1) each."""
        crossed = x
        for layer in self.cross:
            crossed = layer(x, crossed)
        deep = x
        for i, layer in enumerate(self.deep):
            deep = layer(deep)
            if training:
                deep = self.step.dropout(deep, self.config.dropout, f"deep_{i}")
        yield "like", self.like_head([crossed, deep])
        if self.ratings:
            scaled = tf.cast(self.rating_head([crossed, deep]), tf.float32)
            yield "rating", scaled * self.ratings.deviation + self.ratings.mean

    @property
    def text_tower(self) -> TextTower | None:
        """Return the text tower that this model fine-tunes, if it does."""
        return self.item_part.text_tower

    @property
    def encoded_whole(self) -> tf.keras.layers.Layer:
        """Return the layer that encodes each item of a batch once, for all of it."""
        return self.item_part

    def compute_loss(
        self, inputs: Mapping[str, tf.Tensor], training: bool = False
    ) -> tf.Tensor:
        """Return the weighted loss of both heads over a batch's candidates.

        In: a batch of examples of `trainer.fitting.ranking_examples`. Out: float32
        scalar; of several replicas each returns its own examples' part of it.
        """
        share = Share.here()
        if share is None:
            return self._loss_of(inputs, inputs, None, training)
        rows = share.examples(tf.shape(inputs["item"])[0])
        with dividing(rows):
            return self._loss_of(rows.of_batch(inputs), inputs, rows, training)

    def _loss_of(
        self,
        inputs: Mapping[str, tf.Tensor],
        batch: Mapping[str, tf.Tensor],
        rows: Rows | None,
        training: bool,
    ) -> tf.Tensor:
        """Return the loss of some rows of a batch over the weights of the batch."""
        candidates, history = self._items(batch, rows, training)
        user = self.user(inputs["user"], training=training)
        outputs = self.score(inputs, user, candidates, history, training=training)
        like_loss = self._like_loss(inputs, batch, outputs["like"])
        loss = self.config.like_weight * like_loss
        if self.ratings:
            scale = self.ratings.deviation
            loss += self.config.rating_weight * _weighted(
                self.rating_task,
                inputs["rating"] / scale,
                outputs["rating"] / scale,
                inputs["rating_weight"],
                batch["rating_weight"],
            )
        return loss

    def _items(
        self, batch: Mapping[str, tf.Tensor], rows: Rows | None, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Encode each item of a batch once; look up the candidates and histories."""
        names = ("item", "history")
        flat_rows = [tf.reshape(batch[name], [-1]) for name in names]
        distinct, place = tf.unique(tf.concat(flat_rows, 0))
        parts = encode_together(
            distinct, lambda some: self.item_part(some, training=training)
        )
        places = tf.split(place, [tf.size(r) for r in flat_rows])
        found = []
        for name, of_all in zip(names, places, strict=True):
            of_all = tf.reshape(of_all, tf.shape(batch[name]))
            found.append(tf.gather(parts, of_all if rows is None else rows.of(of_all)))
        return found[0], found[1]

    def _like_loss(
        self,
        inputs: Mapping[str, tf.Tensor],
        batch: Mapping[str, tf.Tensor],
        logits: tf.Tensor,
    ) -> tf.Tensor:
        """Mix both losses of the likes in the configured shares."""
        share, loss = self.config.listwise, tf.constant(0.0)
        if share < 1:
            weights = [_logistic_weight(of) for of in (inputs, batch)]
            alone = _weighted(self.like_task, inputs["like"], logits, *weights)
            loss += (1 - share) * alone
        if share > 0:
            stands_for = tf.math.log(inputs["stands_for"])
            among = softmax_loss(
                logits,
                stands_for,
                inputs["like"],
                inputs["weight"],
                total=_listwise_weight(batch["like"], batch["weight"]),
            )
            loss += share * among
        return loss

    def item_parts(self, num_items: int) -> np.ndarray:
        """Encode the catalogue. Out: float32 (num_items + 1, width)."""
        rows = np.arange(num_items + 1, dtype=np.int32)
        chunks = range(0, len(rows), CHUNK_ITEMS)
        parts = [
            self._encode_items(tf.constant(rows[i : i + CHUNK_ITEMS])) for i in chunks
        ]
        return np.concatenate(parts).astype(np.float32)

    def user_vectors(self, num_users: int) -> np.ndarray:
        """Encode the users. Out: float32 (num_users + 1, width)."""
        return in_chunks(self.user, num_users + 1)

    def scoring_layers(self) -> list[tf.Module | tf.Variable]:
        """Return what holds the variables that `score` reads."""
        layers = [self.context, self.norm, *self.cross, *self.deep, self.like_head]
        layers += [] if self.attention is None else [self.attention]
        layers += [self.rating_head] if self.ratings else []
        return [*layers, self.log_slope, self.affinity_weight, self.trust]

    def _rank_rows(
        self, request: Mapping[str, tf.Tensor], parts: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        candidates = tf.gather(parts, request["item"])
        history = tf.gather(parts, request["history"])
        return self.score(request, self.user(request["user"]), candidates, history)


_ROWS = tf.TensorSpec([None], tf.int32)


def softmax_loss(
    logits: tf.Tensor,
    correction: tf.Tensor,
    like: tf.Tensor,
    weight: tf.Tensor,
    *,
    total: tf.Tensor | None = None,
) -> tf.Tensor:
    """Return the softmax cross entropy of what was liked among all candidates.

    Every request counts alike whatever the number of its likes, by the mean of their
    weights; one without a like counts nothing, and so does a candidate of weight 0.
    In: float32 (b, c) each, `like` 0 or 1; `total`: what the sum is divided by, the
    weight of these requests unless they are part of a batch. Out: float32 scalar.
    Source: Bruch et al. 2019, "An analysis of the softmax cross entropy loss for
    learning-to-rank".
    """
    there = tf.where(weight > 0, logits + correction, MASKED)
    misses = tf.reduce_logsumexp(there, axis=1, keepdims=True) - logits
    gain, number = like * weight, _likes(like, weight)
    of_request = tf.reduce_sum(tf.where(gain > 0, gain * misses, 0.0), axis=1) / number
    if total is None:
        total = _listwise_weight(like, weight)
    return tf.reduce_sum(of_request) / tf.maximum(total, 1e-6)


def _likes(like: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    number = tf.reduce_sum(like * tf.cast(weight > 0, tf.float32), axis=1)
    return tf.maximum(number, 1.0)


def _listwise_weight(like: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.reduce_sum(like * weight, axis=1) / _likes(like, weight))


def _logistic_weight(inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    stands_for = tf.where(inputs["like"] > 0, 1.0, inputs["stands_for"])
    return inputs["weight"] * stands_for


def _mean(history: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Average what is no padding. In: (b, l, p), int32 (b, l). Out: (b, p)."""
    there = tf.cast(rows > 0, tf.float32)[..., None]
    count = tf.maximum(tf.reduce_sum(there, 1), 1.0)
    return tf.reduce_sum(history * there, 1) / count


def _weighted(
    task: tfrs.tasks.Ranking,
    label: tf.Tensor,
    prediction: tf.Tensor,
    weight: tf.Tensor,
    weight_of_batch: tf.Tensor,
) -> tf.Tensor:
    # Flat, one value an example: Keras losses reduce the last dimension away.
    flat = [tf.reshape(x, [-1, 1]) for x in (label, prediction)]
    losses = task(labels=flat[0], predictions=flat[1], compute_metrics=False)
    weight, of_batch = (tf.reshape(w, [-1]) for w in (weight, weight_of_batch))
    return tf.reduce_sum(losses * weight) / tf.maximum(tf.reduce_sum(of_batch), 1.0)
