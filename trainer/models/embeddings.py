"""From codes to vectors: ids with an unknown, features of every kind."""

from collections.abc import Mapping

import tensorflow as tf

from data.features import Feature, Numeric

NUMERIC_DIM = 8


def look_up(table: tf.Variable, rows: tf.Tensor) -> tf.Tensor:
    """Return rows of a table, also of one whose parts lie on several servers.

    `tf.gather` would make such a table whole first. In: int32 (...). Out: (..., ...).
    """
    if isinstance(table, tf.Variable):
        return tf.gather(table, rows)
    return tf.nn.embedding_lookup(table.variables, rows)


def feature_dim(num_codes: int) -> int:
    """Return the width of a category's embedding: grows slowly with the vocabulary."""
    return int(min(32, 4 * max(1, round(num_codes**0.25))))


class FeatureEmbedding(tf.keras.layers.Layer):
    """Embeds the codes of a group of features and joins them.

    In: a dict of codes by feature name: int32 (...), int32 (..., v) padded with 0, or
    float32 (..., 2). Out: float32 (..., width); with no feature, width 0.
    """

    def __init__(self, features: tuple[Feature, ...], *, name: str) -> None:
        super().__init__(name=name)
        self.features = features
        self.tables = {f.name: _feature_layer(f) for f in features}

    def call(self, codes: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Embed and join; values missing from a multi-valued code count nothing."""
        vectors = []
        for feature in self.features:
            code = codes[feature.name]
            vector = self.tables[feature.name](code)
            if feature.kind == "multi_categorical":
                there = tf.cast(code > 0, vector.dtype)[..., None]
                count = tf.maximum(tf.reduce_sum(there, -2), 1.0)
                vector = tf.reduce_sum(vector * there, -2) / count
            vectors.append(vector)
        return tf.concat(vectors, axis=-1)


def _feature_layer(feature: Feature) -> tf.keras.layers.Layer:
    name = f"feature_{feature.name}"
    if isinstance(feature, Numeric):
        return tf.keras.layers.Dense(NUMERIC_DIM, activation="relu", name=name)
    num_codes = len(feature.vocabulary) + 1
    width = feature_dim(num_codes)
    return tf.keras.layers.Embedding(num_codes, width, name=name)


class IdSlots(tf.Module):
    """Maps table rows to the embedding rows that a fit has learned.

    Only ids with an event in the fit's own data get an embedding of theirs; all
    others share slot 0. So neither the sizes nor the initial values of a model
    depend on users or items that come later.
    """

    def __init__(
        self, counts: "tf.types.experimental.TensorLike", *, name: str
    ) -> None:
        super().__init__(name=name)
        known = tf.cast(tf.convert_to_tensor(counts) > 0, tf.int32)
        slots = tf.cumsum(known) * known
        self.num_slots = int(tf.reduce_max(slots)) + 1
        self.table = tf.Variable(slots, trainable=False, name=name)

    def extend(self, num_rows: int) -> None:
        """Let rows that come after all others share slot 0. In: how many there are."""
        missing = num_rows - int(self.table.shape[0])
        slots = tf.pad(tf.convert_to_tensor(self.table), [[0, missing]])
        self.table = tf.Variable(slots, trainable=False, name=self.name)

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        """Return slots of rows. In, out: int32 (...)."""
        return look_up(self.table, rows)
