"""Several pairs of towers side by side that answer as one.

Each member is a model of its own, taught by a loss of its own; only the batches, and
what is drawn of them, are the same. Its vectors stand beside those of the others, so
that one dot product is the mean of the members' scores: their errors, which differ by
chance, cancel out, and an index holds them as it holds any vectors.
Source: Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty
estimation using deep ensembles", for members that differ by their initial weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.config import RetrievalConfig
from trainer.models.seeded import Step
from trainer.models.towers import ItemTower, QueryTower

LEAST_LENGTH = 1e-6  # What is shorter has no direction.


def unit(vectors: tf.Tensor, members: int = 1) -> tf.Tensor:
    """Scale vectors to length 1, each member's part of them to the same length.

    In, out: float32 (..., members * dim).
    """
    vectors = tf.cast(vectors, tf.float32)
    if members == 1:
        return tf.math.l2_normalize(vectors, axis=-1)
    parts = [tf.math.l2_normalize(p, axis=-1) for p in split(vectors, members)]
    return tf.concat(parts, axis=-1) * members**-0.5


def unit_rows(vectors: np.ndarray, members: int = 1) -> np.ndarray:
    """Do the same with the rows of a table; rows of zeros stay. In, out: (n, d)."""
    if members > 1:
        parts = [unit_rows(p) for p in np.split(vectors, members, axis=1)]
        return np.concatenate(parts, axis=1) * np.float32(members**-0.5)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, LEAST_LENGTH)


def split(vectors: tf.Tensor, members: int) -> list[tf.Tensor]:
    """Return each member's part of vectors. In: (..., members * dim)."""
    return tf.split(vectors, members, axis=-1)


def item_towers(
    *, config: RetrievalConfig, step: Step, **parts: Any
) -> "ItemTower | ItemTowers":
    """Build the item tower of each member; see `ItemTower`."""
    steps = [step.of_member(number) for number in range(config.members)]
    towers = [ItemTower(config=config, step=own, **parts) for own in steps]
    return towers[0] if len(towers) == 1 else ItemTowers(towers)


def query_towers(
    *, config: RetrievalConfig, step: Step, **parts: Any
) -> "QueryTower | QueryTowers":
    """Build the query tower of each member; see `QueryTower`."""
    towers = [QueryTower(config=config, step=step, **parts)]
    parts["trend_boost"] = towers[0].trend_boost
    for number in range(1, config.members):
        own = step.of_member(number)
        towers.append(QueryTower(config=config, step=own, **parts))
    return towers[0] if len(towers) == 1 else QueryTowers(towers)


class ItemTowers(tf.keras.layers.Layer):
    """The item towers of all members, called as one; see `ItemTower`."""

    def __init__(self, members: list[ItemTower]) -> None:
        """In: towers of the same tables and texts."""
        super().__init__(name="item_tower")
        first = members[0]
        self.slots, self.codes, self.texts = first.slots, first.codes, first.texts
        self.text_tower, self.has_content = first.text_tower, first.has_content
        self.members = members
        if self.has_content:
            self.content = ContentTowers(members)

    def call(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode distinct items. In: int32 (n,). Out: float32 (n, members * dim)."""
        text = self.members[0].text_of(rows, training)  # Encoded once for all.
        found = [member.given(rows, text, training) for member in self.members]
        return tf.concat(found, axis=-1)

    def unknown_id(self) -> tf.Tensor:
        """Return the embeddings of items without events: (1, members * dim)."""
        return tf.concat([m.unknown_id() for m in self.members], axis=-1)

    def unseen(
        self, codes: Mapping[str, tf.Tensor], text: tf.Tensor | None
    ) -> tf.Tensor:
        """Encode items that are in no table. Out: float32 (n, members * dim)."""
        return self.unknown_id() + self.content(codes, text)


class ContentTowers(tf.keras.layers.Layer):
    """The content towers of all members, called as one; see `ContentTower`."""

    def __init__(self, members: list[ItemTower]) -> None:
        super().__init__(name="content")
        self.members = [member.content for member in members]

    def call(self, codes: Mapping[str, tf.Tensor], text: tf.Tensor | None) -> tf.Tensor:
        """Out: float32 (n, members * dim)."""
        return tf.concat([member(codes, text) for member in self.members], axis=-1)


class QueryTowers(tf.keras.layers.Layer):
    """The query towers of all members, called as one; see `QueryTower`.

    Vectors of items, users and queries are those of the members one after the other.
    """

    def __init__(self, members: list[QueryTower]) -> None:
        """In: towers of the same tables, which share one boost of the trend."""
        super().__init__(name="query_tower")
        first = members[0]
        self.slots, self.codes = first.slots, first.codes
        self.trend_width, self.trend_boost = first.trend_width, first.trend_boost
        self.members = members

    def user(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode users. In: int32 (b,). Out: float32 (b, members * width)."""
        found = [member.user(rows, training=training) for member in self.members]
        return tf.concat(found, axis=-1)

    def states(self, history: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encode histories up to each of their places: (b, t + 1, members * dim)."""
        parts = zip(self.members, self._split(history), strict=True)
        return tf.concat([m.states(part, training) for m, part in parts], axis=-1)

    def each(
        self, state: tf.Tensor, user: tf.Tensor, time: tf.Tensor, last_time: tf.Tensor
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Return what `QueryTower.combine` says of each member's part."""
        parts = zip(self.members, self._split(state), self._split(user), strict=True)
        return [m.combine(s, u, time, last_time) for m, s, u in parts]

    def call(
        self,
        user: tf.Tensor,
        history: tf.Tensor,
        count: tf.Tensor,
        time: tf.Tensor,
        last_time: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Encode one request each; see `QueryTower.call`.

        Out: queries, float32 (b, members * dim), and the mean of the members' gains,
        float32 (b, trend width).
        """
        parts = zip(self.members, self._split(user), self._split(history), strict=True)
        found = [m(u, h, count, time, last_time) for m, u, h in parts]
        queries, gains = zip(*found, strict=True)
        return tf.concat(queries, axis=-1), tf.add_n(gains) / len(gains)

    def calling_layers(self) -> list[tf.Module | tf.Variable]:
        """Return what holds the variables that a call reads."""
        return [layer for m in self.members for layer in m.calling_layers()]

    def _split(self, vectors: tf.Tensor) -> list[tf.Tensor]:
        return split(vectors, len(self.members))
