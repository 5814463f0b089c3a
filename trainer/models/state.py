"""What a served graph knows of users and items: ids, histories, what was seen."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data.events import EventLog
from data.prepared import Prepared


class IdLookup(tf.Module):
    """Finds the rows of ids: a vocabulary file beside the graph, one id a line."""

    def __init__(self, path: str, *, name: str) -> None:
        super().__init__(name=name)
        initializer = tf.lookup.TextFileInitializer(
            path,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticHashTable(initializer, -1)

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        """Return rows from 1, 0 for unknown ids and "". In: string; out: int32."""
        return tf.cast(self.table.lookup(ids) + 1, tf.int32)


class Ragged(tf.Module):
    """A list of numbers for each row, as one variable and where the lists begin."""

    def __init__(self, lists: list[np.ndarray], *, name: str) -> None:
        super().__init__(name=name)
        starts = np.r_[0, np.cumsum([len(x) for x in lists])]
        # A variable cannot be empty in every runtime, so a last number stands there.
        values = np.concatenate([*lists, [0]]).astype(np.int32)
        bounds = np.stack([starts[:-1], starts[1:]], axis=1)
        self.bounds = tf.Variable(
            bounds, dtype=tf.int64, trainable=False, name="bounds"
        )
        self.values = tf.Variable(values, trainable=False, name="values")

    def __call__(self, rows: tf.Tensor, width: int | None = None) -> tf.Tensor:
        """Return the lists of rows, padded with 0 at the end.

        In: int32 (b,); `width`, at least that of the longest list of all; None is
        that of the longest of these. Out: int32 (b, width).
        """
        starts, ends = tf.unstack(tf.gather(self.bounds, rows), axis=1)
        if width is None:
            width = tf.reduce_max(tf.concat([ends - starts, [0]], axis=0))
        places = starts[:, None] + tf.range(tf.cast(width, tf.int64))
        there = places < ends[:, None]
        return tf.where(there, tf.gather(self.values, tf.where(there, places, 0)), 0)


@dataclass(frozen=True)
class Limits:
    """How much of each user is kept: newest events read, newest seen items."""

    history: int
    seen: int
    user_state: bool = True


class UserState(tf.Module):
    """What is known of the users at export: histories, seen items, last times.

    Without state (`Limits.user_state`) there is nobody but the unknown user, row 0.
    """

    def __init__(
        self, prepared: Prepared, log: EventLog, limits: Limits, vocabulary: str
    ) -> None:
        super().__init__(name="user_state")
        self.limits = limits
        keep, nobody = limits.user_state, [np.zeros(0, np.int32)]
        self.lookup = IdLookup(vocabulary, name="user_ids") if keep else _unknown
        histories, seen = _lists(log, limits) if keep else (nobody, nobody)
        self.history = Ragged(histories, name="history")
        self.seen = Ragged(seen, name="seen")
        rows = np.arange(len(histories))
        last = log.read.last_times(rows, log.read.user_counts()[rows])
        self.last_time = tf.Variable(last, trainable=False, name="last_time")

    def rows_of_history(self, rows: tf.Tensor) -> tf.Tensor:
        """Return histories. In: int32 (b,). Out: int32 (b, limits.history)."""
        return self.history(rows, self.limits.history)


def _unknown(ids: tf.Tensor) -> tf.Tensor:
    """Look ids up where none is kept. In: string. Out: int32, zeros."""
    return tf.zeros(tf.shape(ids), tf.int32)


def _lists(log: EventLog, limits: Limits) -> tuple[list[np.ndarray], list[np.ndarray]]:
    histories, seen = [], []
    bounds = zip(log.start[:-1], log.start[1:], strict=True)
    read = zip(log.read.start[:-1], log.read.start[1:], strict=True)
    for (start, end), (first, last) in zip(bounds, read, strict=True):
        histories.append(log.read.item[first:last][-limits.history :])
        seen.append(_newest_distinct(log.item[start:end], limits.seen))
    return histories, seen


def _newest_distinct(items: np.ndarray, number: int) -> np.ndarray:
    backwards = items[::-1]
    _, first = np.unique(backwards, return_index=True)
    return backwards[np.sort(first)[:number]]


def fit_width(rows: tf.Tensor, width: int) -> tf.Tensor:
    """Cut or pad to a width, keeping the newest. In: int32 (b, n), padded at the end.

    What is 0 is padding wherever it stands. Out: int32 (b, width), padding at the end.
    """
    rows = tf.pad(rows, [[0, 0], [width, 0]])
    newest = _zeros_first(rows)[:, -width:]
    return tf.reverse(_zeros_first(tf.reverse(newest, [1])), [1])


def _zeros_first(rows: tf.Tensor) -> tf.Tensor:
    order = tf.argsort(tf.cast(rows > 0, tf.int32), axis=1, stable=True)
    return tf.gather(rows, order, batch_dims=1)


class Catalogue(tf.Module):
    """The items' ids, titles and display columns, as strings."""

    def __init__(self, prepared: Prepared, vocabulary: str) -> None:
        super().__init__(name="catalogue")
        self.lookup = IdLookup(vocabulary, name="item_ids")
        self.ids = _strings(prepared.item_ids, "ids")
        self.titles = _strings(prepared.titles, "titles")
        self.display = {n: _strings(v, n) for n, v in prepared.display.items()}

    def names(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the ids of rows, "" for 0. In: int32 (...); out: string (...)."""
        return tf.gather(self.ids, rows)

    def describe(self, ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return `title` and the display columns of ids, "" for unknown ones."""
        rows = self.lookup(ids)
        columns = {name: tf.gather(v, rows) for name, v in self.display.items()}
        return {"title": tf.gather(self.titles, rows), **columns}


def _strings(values: np.ndarray, name: str) -> tf.Variable:
    return tf.Variable(
        tf.constant([str(v) for v in values]), trainable=False, name=name
    )
