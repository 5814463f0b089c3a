"""The one definition of every feature: it encodes in bulk and builds its graph.

`prepare` fits each feature on its table and encodes the table once; export asks the
same object for the TensorFlow graph that encodes raw values of unseen items. Codes
are 0 for missing or unknown and 1 upwards for the vocabulary.

Functions that `in_graph` returns hold lookup tables; whoever exports them must track
`resources_of(function)`.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from data.schema import Column, Table

TEXT_SEPARATOR = ". "
LIST_SEPARATOR = ", "
NUMERIC_CLIP = 5.0
DAY_S = 86_400.0
# What tf.strings.strip removes; Python's strip would remove other spaces too.
SPACES = " \t\n\v\f\r"


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """One value out of a vocabulary. Code: int32 scalar."""

    name: str
    vocabulary: tuple[str, ...]
    kind: str = "categorical"

    @property
    def num_codes(self) -> int:
        """Return the number of codes, the 0 of unknown values included."""
        return len(self.vocabulary) + 1

    def encode(self, values: pd.Series) -> np.ndarray:
        """Encode a column. In: strings (n,), missing as NaN. Out: int32 (n,)."""
        codes = {value: i for i, value in enumerate(self.vocabulary, 1)}
        return values.map(codes).fillna(0).to_numpy(np.int32)

    def graph_input(self, tf: Any) -> Any:
        """Return the spec of the raw input: string (batch,)."""
        return tf.TensorSpec([None], tf.string, self.name)

    def in_graph(self, tf: Any) -> Any:
        """Return a function of tensors: string (...) to int32 (...)."""
        table = _lookup_table(tf, self.vocabulary)

        def encode(raw: Any) -> Any:
            return table.lookup(raw)

        encode.resources = (table,)  # type: ignore[attr-defined]
        return encode


@dataclass(frozen=True, kw_only=True)
class MultiCategorical:
    """Several values out of a vocabulary. Code: int32 (width,), padded with 0."""

    name: str
    vocabulary: tuple[str, ...]
    width: int
    separator: str
    kind: str = "multi_categorical"

    @property
    def num_codes(self) -> int:
        """Return the number of codes, the 0 of unknown values included."""
        return len(self.vocabulary) + 1

    def encode(self, values: pd.Series) -> np.ndarray:
        """Encode a column. In: joined strings (n,). Out: int32 (n, width)."""
        codes = {value: i for i, value in enumerate(self.vocabulary, 1)}
        parts = split_values(values, self.separator)
        encoded = np.zeros((len(values), self.width), np.int32)
        rows = parts.index.to_numpy()
        known = parts.map(codes).fillna(0).to_numpy(np.int32)
        rows, known = rows[known > 0], known[known > 0]
        # An explode keeps rows together, so a value's place is its run's count.
        place = pd.Series(rows).groupby(rows).cumcount().to_numpy()
        fits = place < self.width
        encoded[rows[fits], place[fits]] = known[fits]
        return encoded

    def graph_input(self, tf: Any) -> Any:
        """Return the spec of the raw input: string (batch, values), padded ""."""
        return tf.TensorSpec([None, None], tf.string, self.name)

    def in_graph(self, tf: Any) -> Any:
        """Return a function of tensors: string (..., values) to int32 (..., width)."""
        table = _lookup_table(tf, self.vocabulary)

        def encode(raw: Any) -> Any:
            codes = table.lookup(raw)
            order = tf.argsort(tf.cast(codes == 0, tf.int32), axis=-1, stable=True)
            known_first = tf.gather(codes, order, batch_dims=codes.shape.rank - 1)
            padding = tf.zeros_like(codes[..., :1])
            padding = tf.repeat(padding, self.width, axis=-1)
            return tf.concat([known_first, padding], axis=-1)[..., : self.width]

        encode.resources = (table,)  # type: ignore[attr-defined]
        return encode


@dataclass(frozen=True, kw_only=True)
class Numeric:
    """A number, standardised. Code: float32 (2,): value and whether it is there."""

    name: str
    mean: float
    deviation: float
    kind: str = "numeric"

    def encode(self, values: pd.Series) -> np.ndarray:
        """Encode a column. In: numbers or their text (n,). Out: float32 (n, 2)."""
        numbers = pd.to_numeric(values, errors="coerce")
        return self.encode_numbers(numbers.to_numpy(np.float64, na_value=np.nan))

    def encode_numbers(self, numbers: np.ndarray) -> np.ndarray:
        """Encode numbers. In: float64 (n,), missing as NaN. Out: float32 (n, 2)."""
        with np.errstate(over="ignore"):
            raw = numbers.astype(np.float32)
        there = np.isfinite(raw)
        with np.errstate(over="ignore"):  # What overflows is clipped.
            scaled = (raw - np.float32(self.mean)) / np.float32(self.deviation)
        scaled = np.clip(scaled, -NUMERIC_CLIP, NUMERIC_CLIP)
        value = np.where(there, scaled, np.float32(0))
        return np.stack([value, there.astype(np.float32)], axis=-1)

    def graph_input(self, tf: Any) -> Any:
        """Return the spec of the raw input: float32 (batch,), NaN if missing."""
        return tf.TensorSpec([None], tf.float32, self.name)

    def in_graph(self, tf: Any) -> Any:
        """Return a function of tensors: float32 (...) to float32 (..., 2)."""

        def encode(raw: Any) -> Any:
            there = tf.math.is_finite(raw)
            scaled = (raw - self.mean) / self.deviation
            scaled = tf.clip_by_value(scaled, -NUMERIC_CLIP, NUMERIC_CLIP)
            value = tf.where(there, scaled, tf.zeros_like(raw))
            return tf.stack([value, tf.cast(there, tf.float32)], axis=-1)

        return encode


@dataclass(frozen=True, kw_only=True)
class Text:
    """All that an item's text says, joined. Code: the joined string itself.

    `separators`: of the columns whose cells hold several values; `numbers`: the
    columns of numbers. All others are texts as they are.
    """

    columns: tuple[str, ...]
    separators: Mapping[str, str] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: Mapping[str, Column]) -> "Text":
        """Join columns, each in the form of its kind."""
        kinds = {name: column.kind for name, column in columns.items()}
        several = [n for n, kind in kinds.items() if kind == "multi_categorical"]
        return cls(
            columns=tuple(columns),
            separators={name: columns[name].separator for name in several},
            numbers=tuple(n for n, kind in kinds.items() if kind == "numeric"),
        )

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        """Join the columns. In: a table. Out: object array of str (n,)."""
        columns = [self._phrases(name, frame[name]) for name in self.columns]
        if not columns:
            return np.full(len(frame), "", object)
        rows = zip(*columns, strict=True)
        joined = [TEXT_SEPARATOR.join(filter(None, row)) for row in rows]
        return np.array(joined, object)

    def _phrases(self, name: str, cells: pd.Series) -> pd.Series:
        """Return what the text says of a column. Out: strings (n,)."""
        if name in self.numbers:
            values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
            with np.errstate(over="ignore"):  # What overflows is not finite.
                numbers = values.astype(np.float32)
            said = [f"{x:g}" if np.isfinite(x) else "" for x in numbers.tolist()]
            return pd.Series(said, dtype=object)
        if name in self.separators:
            parts = split_values(cells, self.separators[name])
            joined = parts.groupby(level=0).agg(LIST_SEPARATOR.join)
            return joined.reindex(range(len(cells)), fill_value="")
        return cells.fillna("").astype(str).str.strip(SPACES)

    def in_graph(self, tf: Any) -> Any:
        """Return a function of a dict of tensors to strings (batch,).

        In: string (batch,) each; of several values string (batch, values), padded "";
        of numbers float32 (batch,), NaN if missing.
        """

        def phrases(name: str, raw: Any) -> Any:
            if name in self.numbers:
                said = tf.strings.as_string(raw, shortest=True)
                return tf.where(tf.math.is_finite(raw), said, "")
            stripped = tf.strings.strip(raw)
            if name not in self.separators:
                return stripped
            there = tf.ragged.boolean_mask(stripped, stripped != "")
            return tf.strings.reduce_join(there, axis=-1, separator=LIST_SEPARATOR)

        def join(raw: Mapping[str, Any]) -> Any:
            joined = None
            for column in self.columns:
                part = phrases(column, raw[column])
                joined = part if joined is None else _join(tf, joined, part)
            return joined

        return join


def _join(tf: Any, left: Any, right: Any) -> Any:
    separator = tf.where(
        (tf.strings.length(left) > 0) & (tf.strings.length(right) > 0),
        TEXT_SEPARATOR,
        "",
    )
    return tf.strings.join([left, separator, right])


Feature = Categorical | MultiCategorical | Numeric
KINDS: dict[str, type[Any]] = {
    "categorical": Categorical,
    "multi_categorical": MultiCategorical,
    "numeric": Numeric,
}


def resources_of(function: Any) -> tuple[Any, ...]:
    """Return the lookup tables that a function of `in_graph` holds."""
    return getattr(function, "resources", ())


def _lookup_table(tf: Any, vocabulary: Iterable[str]) -> Any:
    # A table cannot be empty, hence the entry of "", which is no vocabulary's.
    codes = {"": 0} | {value: i for i, value in enumerate(vocabulary, 1)}
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(codes)), tf.constant(list(codes.values()), tf.int32)
    )
    return tf.lookup.StaticHashTable(initializer, 0)


def split_values(values: pd.Series, separator: str) -> pd.Series:
    """Split joined values, one a row. Out: strings, the index telling the row."""
    numbered = values.reset_index(drop=True).fillna("").astype(str)
    parts = numbered.str.split(separator, regex=False).explode().str.strip(SPACES)
    return parts[parts != ""]


def fit(name: str, column: Column, values: pd.Series, max_codes: int) -> Feature:
    """Fit a feature on the column of a table.

    In: `values`: strings, missing as NaN; `max_codes`: the most frequent so many
    become the vocabulary, ties in alphabetical order.
    """
    if column.kind == "numeric":
        numbers = pd.to_numeric(values, errors="coerce")
        return numeric_of(name, moments(numbers.to_numpy(np.float64, na_value=np.nan)))
    if column.kind == "multi_categorical":
        parts = split_values(values, column.separator)
        longest = int(parts.index.value_counts().max()) if len(parts) else 1
        return MultiCategorical(
            name=name,
            vocabulary=vocabulary_of(parts.value_counts(), max_codes),
            width=min(longest, column.max_values),
            separator=column.separator,
        )
    return Categorical(
        name=name, vocabulary=vocabulary_of(values.value_counts(), max_codes)
    )


def moments(numbers: np.ndarray) -> np.ndarray:
    """Return count, mean and sum of squared deviations of the finite numbers.

    Out: float64 (3,).
    """
    there = numbers[np.isfinite(numbers)]
    mean = there.mean() if len(there) else 0.0
    return np.array([len(there), mean, np.square(there - mean).sum()])


def merge_moments(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the moments of both together.

    Source: Chan et al. 1979, "Updating formulae and a pairwise algorithm for
    computing sample variances".
    """
    count = left[0] + right[0]
    if count == 0:
        return left
    gap = right[1] - left[1]
    mean = left[1] + gap * right[0] / count
    squares = left[2] + right[2] + gap * gap * left[0] * right[0] / count
    return np.array([count, mean, squares])


def numeric_of(name: str, found: np.ndarray) -> Numeric:
    """Fit a numeric feature to moments."""
    count, mean, squares = map(float, found)
    deviation = math.sqrt(squares / count) if count else 0.0
    if deviation < np.finfo(np.float32).tiny:  # Divided by in float32.
        deviation = 1.0
    return Numeric(name=name, mean=mean, deviation=deviation)


def vocabulary_of(counts: pd.Series, max_codes: int) -> tuple[str, ...]:
    """Return the most frequent values in alphabetical order.

    In: counts (n,), the index telling the value; ties in alphabetical order.
    """
    there = counts[(counts > 0) & (counts.index != "")]
    ordered = sorted(there.items(), key=lambda pair: (-pair[1], str(pair[0])))
    return tuple(sorted(str(value) for value, _ in ordered[:max_codes]))


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """The features of a data set: of items, of users, of the request's context."""

    items: tuple[Feature, ...] = ()
    users: tuple[Feature, ...] = ()
    context: tuple[Feature, ...] = ()
    text: Text = Text(columns=())

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold; `from_json` makes the same features of it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "FeatureSet":
        """Build the features that `to_json` described."""
        groups = {
            group: tuple(_from_json(f) for f in value[group])
            for group in ("items", "users", "context")
        }
        text = value["text"]
        text = Text(
            columns=tuple(text["columns"]),
            separators=text.get("separators", {}),
            numbers=tuple(text.get("numbers", ())),
        )
        return cls(text=text, **groups)


def _from_json(value: Mapping[str, Any]) -> Feature:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    return KINDS[value["kind"]](**fields)  # type: ignore[no-any-return]


def fit_table(
    table: Table | None, frame: pd.DataFrame, max_codes: int
) -> tuple[Feature, ...]:
    """Fit the features of a table of items or users. In: strings, missing as NaN."""
    columns = table.of_role("feature") if table else {}
    return tuple(
        fit(name, column, frame[name], max_codes)
        for name, column in columns.items()
        if column.kind != "text"
    )


def request_time_features(tf: Any, time: Any, last_time: Any) -> Any:
    """Describe when a request comes: the hour, the weekday, the pause before it.

    In: `time`, `last_time`: int64 (...), Unix seconds UTC; `last_time` is that of
    the user's newest earlier event, 0 if there is none. Out: float32 (..., 6): sine
    and cosine of the hour and of the weekday, log of 1 + days since the last event
    scaled to about one, and whether there was one.
    """
    day = tf.cast(time % int(DAY_S), tf.float32) / DAY_S
    week = tf.cast(time % int(7 * DAY_S), tf.float32) / (7 * DAY_S)
    known = tf.cast(last_time > 0, tf.float32)
    pause = tf.cast(tf.maximum(time - last_time, 0), tf.float32) / DAY_S
    angles = 2 * np.pi * tf.stack([day, week], axis=-1)
    rest = tf.stack([known * tf.math.log1p(pause) / 3.0, known], axis=-1)
    return tf.concat([tf.sin(angles), tf.cos(angles), rest], axis=-1)


NUM_REQUEST_TIME_FEATURES = 6
