"""The two towers: items from ids and content, queries from users and histories."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from data.features import FeatureSet, request_time_features
from trainer.config import RetrievalConfig
from trainer.models.embeddings import FeatureEmbedding, IdSlots, look_up
from trainer.models.seeded import Step
from trainer.models.sequence_encoder import SequenceEncoder
from trainer.models.text_tower import TextTower
from trainer.models.trend import TREND_WIDTH

TREND_START = 0.3  # At 1 an item would count in proportion to its popularity.


class Texts(tf.Module):
    """The text vector of each item: a table, or the text tower at work.

    A frozen tower has encoded every text before; one that is fine-tuned encodes the
    tokens of the items of a batch.
    """

    def __init__(
        self,
        *,
        vectors: np.ndarray | None = None,
        tower: TextTower | None = None,
        tokens: np.ndarray | None = None,
    ) -> None:
        super().__init__(name="texts")
        if (vectors is None) == (tower is None or tokens is None):
            raise ValueError("expected vectors, or a tower and tokens")
        self.tower = tower
        self.replace(tokens if vectors is None else vectors)
        self.dim = int(tower.dim) if tower is not None else int(self.table.shape[1])

    def replace(self, table: np.ndarray | None) -> None:
        """Take other vectors or tokens, of more items maybe."""
        self.table = tf.Variable(table, trainable=False, name="texts")

    def __call__(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return vectors of distinct rows. In: int32 (n,). Out: float32 (n, dim)."""
        values = look_up(self.table, rows)
        return values if self.tower is None else self.tower(values, training=training)


class CodeTable(tf.Module):
    """The codes of a table's features as variables, gathered by row."""

    def __init__(self, codes: Mapping[str, np.ndarray], *, name: str) -> None:
        super().__init__(name=name)
        self.replace(codes)

    def replace(self, codes: Mapping[str, np.ndarray]) -> None:
        """Take other codes, of more rows maybe."""
        self.codes = {
            key: tf.Variable(values, trainable=False, name=key)
            for key, values in codes.items()
        }

    def __call__(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the codes of rows. In: int32 (...)."""
        return {key: look_up(table, rows) for key, table in self.codes.items()}


class ContentTower(tf.keras.layers.Layer):
    """A vector from an item's features and text alone.

    A text tells its item from all others as an id does; with much of it dropped in
    training, what is learned is what texts share.
    """

    def __init__(
        self,
        features: FeatureSet,
        dim: int,
        *,
        text_dropout: float,
        step: Step,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.text_dropout, self.step = text_dropout, step
        self.features = FeatureEmbedding(features.items, name="item_features")
        self.hidden = tf.keras.layers.Dense(2 * dim, activation="gelu", name="hidden")
        self.out = tf.keras.layers.Dense(dim, name="out")

    def call(
        self,
        codes: Mapping[str, tf.Tensor],
        text: tf.Tensor | None,
        training: bool = False,
    ) -> tf.Tensor:
        """In: codes (n, ...), text float32 (n, t) or None. Out: float32 (n, dim)."""
        parts = [self.features(codes)] if self.features.features else []
        if text is not None and training:
            text = self.step.dropout(text, self.text_dropout, f"{self.name}/text")
        # A text vector has length 1, so its values are small beside the embeddings.
        parts += [] if text is None else [text * float(text.shape[-1]) ** 0.5]
        return self.out(self.hidden(tf.concat(parts, axis=-1)))


class ItemTower(tf.keras.layers.Layer):
    """The candidate tower: id embedding and content vector, added.

    Ids are dropped at random in training, and those without events share one
    embedding, so that content alone carries a new item.
    Source: Volkovs et al. 2017, DropoutNet.
    """

    def __init__(
        self,
        *,
        features: FeatureSet,
        slots: IdSlots,
        codes: CodeTable,
        texts: Texts | None,
        config: RetrievalConfig,
        step: Step,
    ) -> None:
        super().__init__(name="item_tower")
        self.slots, self.codes, self.texts, self.step = slots, codes, texts, step
        self.rate = config.item_id_dropout
        # Held by a layer, so that Keras trains it.
        self.text_tower = None if texts is None else texts.tower
        self.has_content = bool(features.items) or texts is not None
        self.ids = tf.keras.layers.Embedding(
            slots.num_slots, config.dim, name="item_id"
        )
        if self.has_content:
            self.content = ContentTower(
                features,
                config.dim,
                text_dropout=config.text_dropout,
                step=step,
                name="content",
            )

    def call(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode distinct items. In: int32 (n,), rows. Out: float32 (n, dim)."""
        return self.given(rows, self.text_of(rows, training), training)

    def given(
        self, rows: tf.Tensor, text: tf.Tensor | None, training: bool
    ) -> tf.Tensor:
        """Encode distinct items whose text vectors are given, as `text_of`."""
        slots = self.slots(rows)
        if training:
            slots = self.step.drop_ids(slots, self.rate, self.name)
        vectors = self.ids(slots)
        if not self.has_content:
            return vectors
        return vectors + self.content(self.codes(rows), text, training=training)

    def text_of(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor | None:
        """Return the text vectors of distinct items, None if there are none."""
        return None if self.texts is None else self.texts(rows, training=training)

    def unknown_id(self) -> tf.Tensor:
        """Return the embedding of items without events. Out: float32 (1, dim)."""
        return self.ids(tf.zeros([1], tf.int32))

    def unseen(
        self, codes: Mapping[str, tf.Tensor], text: tf.Tensor | None
    ) -> tf.Tensor:
        """Encode items that are in no table, from codes and text. Out: (n, dim)."""
        return self.unknown_id() + self.content(codes, text)


class QueryTower(tf.keras.layers.Layer):
    """The query tower: history, user and time of the request to one vector."""

    def __init__(
        self,
        *,
        features: FeatureSet,
        slots: IdSlots,
        codes: CodeTable,
        config: RetrievalConfig,
        step: Step,
        trend_boost: tf.Variable | None = None,
    ) -> None:
        """Build the tower. In: `trend_boost`: that of another one, to share it."""
        super().__init__(name="query_tower")
        self.config, self.slots, self.codes, self.step = config, slots, codes, step
        self.encoder = SequenceEncoder(
            dim=config.dim,
            blocks=config.blocks,
            heads=config.heads,
            length=config.history_length,
            rate=config.dropout,
            step=step,
            block=config.block,
        )
        self.features = FeatureEmbedding(features.users, name="user_features")
        if config.use_user_id:
            self.ids = tf.keras.layers.Embedding(
                slots.num_slots, config.dim // 2, name="user_id"
            )
        self.hidden = tf.keras.layers.Dense(2 * config.dim, "gelu", name="hidden")
        self.trend_width = TREND_WIDTH if config.use_trend else 0
        if self.trend_width:  # oneDNN ends the process at a product of no width.
            self.trend = tf.keras.layers.Dense(
                self.trend_width,
                kernel_initializer="zeros",
                bias_initializer=tf.keras.initializers.Constant(TREND_START),
                name="trend",
            )
        if trend_boost is None:
            trend_boost = tf.Variable(
                tf.zeros([self.trend_width]), trainable=False, name="trend_boost"
            )
        self.trend_boost = trend_boost
        # Starts at zero: the history alone decides until the rest has proved itself.
        self.out = tf.keras.layers.Dense(
            config.dim, kernel_initializer="zeros", name="out"
        )

    def user(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode users. In: int32 (b,). Out: float32 (b, width)."""
        parts = [self.features(self.codes(rows))] if self.features.features else []
        if self.config.use_user_id:
            slots = self.slots(rows)
            if training:
                rate = self.config.user_id_dropout
                slots = self.step.drop_ids(slots, rate, "user_id")
            parts.append(self.ids(slots))
        if not parts:
            return tf.zeros([tf.shape(rows)[0], 0])
        return tf.concat(parts, axis=-1)

    def states(self, history: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode histories up to each of their places; see `SequenceEncoder.call`."""
        return self.encoder(history, training=training)

    def each(
        self, state: tf.Tensor, user: tf.Tensor, time: tf.Tensor, last_time: tf.Tensor
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Return what `combine` does, as the list of all members."""
        return [self.combine(state, user, time, last_time)]

    def combine(
        self, state: tf.Tensor, user: tf.Tensor, time: tf.Tensor, last_time: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Add what user and time say to the state of the history.

        In: `state` float32 (n, dim), `user` float32 (n, width), `time`, `last_time`
        int64 (n,), Unix seconds. Out: the query, float32 (n, dim), and how much the
        trend counts for it, float32 (n, trend width).
        """
        if user.shape[-1] == 0 and not (self.config.use_time or self.trend_width):
            return state, tf.zeros([tf.shape(state)[0], 0])
        parts = [state, tf.cast(user, state.dtype)]
        if self.config.use_time:
            when = request_time_features(tf, time, last_time)
            parts.append(tf.cast(when, state.dtype))
        hidden = self.hidden(tf.concat(parts, axis=-1))
        query = state + self.out(hidden)
        if not self.trend_width:
            return query, tf.zeros([tf.shape(state)[0], 0])
        return query, tf.cast(self.trend(hidden), tf.float32) + self.trend_boost

    def call(
        self,
        user: tf.Tensor,
        history: tf.Tensor,
        count: tf.Tensor,
        time: tf.Tensor,
        last_time: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Encode one request each.

        In: `user` float32 (b, width), as `user` encodes it; `history` float32 (b,
        length, dim), item vectors, oldest first, padding at the end; `count` int32
        (b,), how many are there; `time`, `last_time` int64 (b,). Out: as `combine`.
        """
        state = self.encoder.at(history, count)
        return self.combine(state, user, time, last_time)

    def calling_layers(self) -> list[tf.Module | tf.Variable]:
        """Return what holds the variables that a call reads."""
        trend = [self.trend] if self.trend_width else []
        return [self.encoder, self.hidden, self.out, *trend, self.trend_boost]
