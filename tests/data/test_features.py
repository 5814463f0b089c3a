"""One definition of every feature: bulk encoding and the graph give equal numbers."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.features import (
    NUM_REQUEST_TIME_FEATURES,
    SPACES,
    Categorical,
    FeatureSet,
    MultiCategorical,
    Text,
    fit,
    request_time_features,
)
from data.prepared import Prepared
from data.schema import Column

tf = pytest.importorskip("tensorflow")

# Awkward strings often, so that vocabulary and values meet.
FEW = st.sampled_from(
    ["", "a", "A", "é", "e\u0301", "\0", "a\0", " a ", "\u00a0a", "a|a"]
)
STRINGS = st.one_of(FEW, st.text(max_size=6))
COLUMNS = st.lists(st.one_of(st.none(), STRINGS), min_size=1, max_size=8)
NUMBERS = st.one_of(
    *(st.none(), st.floats(width=32), st.integers(-3_000, 3_000)),
    st.sampled_from([1e30, -1e30, 1e-30, float("inf"), float("nan")]),
)


def _series(values: list[str | None]) -> pd.Series:
    return pd.Series(values, dtype="str")


def _raw(values: list[str | None]) -> Any:
    return tf.constant([value or "" for value in values])


@given(COLUMNS, COLUMNS, st.integers(1, 5))
@settings(max_examples=60)
def test_categorical(
    fitted: list[str | None], values: list[str | None], most: int
) -> None:
    feature = fit("f", Column(kind="categorical"), _series(fitted), most)
    values = values + fitted
    bulk = feature.encode(_series(values))
    graph = feature.in_graph(tf)(_raw(values)).numpy()
    np.testing.assert_array_equal(bulk, graph)
    assert bulk.dtype == graph.dtype == np.int32
    assert bulk.max() < feature.num_codes <= most + 1  # type: ignore[union-attr]


@given(COLUMNS, COLUMNS, st.integers(1, 3))
@settings(max_examples=60)
def test_multi_categorical(
    fitted: list[str | None], values: list[str | None], width: int
) -> None:
    column = Column(kind="multi_categorical", max_values=width)
    feature = fit("f", column, _series(fitted), 4)
    values = values + fitted
    bulk = feature.encode(_series(values))
    parts = [[p.strip(SPACES) for p in (v or "").split("|")] for v in values]
    longest = max(map(len, parts))
    raw = tf.constant([row + [""] * (longest - len(row)) for row in parts])
    graph = feature.in_graph(tf)(raw).numpy()
    np.testing.assert_array_equal(bulk, graph)
    assert bulk.dtype == graph.dtype == np.int32


@given(st.lists(NUMBERS, min_size=1, max_size=8), st.lists(NUMBERS, max_size=8))
@settings(max_examples=100)
def test_numeric(fitted: list[float | None], values: list[float | None]) -> None:
    values = values + fitted
    cells = [None if v is None or v != v else repr(v) for v in values]
    first = len(values) - len(fitted)
    feature = fit("f", Column(kind="numeric"), _series(cells[first:]), 1)
    bulk = feature.encode(_series(cells))
    raw = tf.constant([np.nan if v is None else v for v in values], tf.float32)
    graph = feature.in_graph(tf)(raw).numpy()
    np.testing.assert_allclose(bulk, graph, rtol=1e-5, atol=1e-5)
    assert np.isfinite(bulk).all()
    assert np.abs(bulk).max() <= 5
    np.testing.assert_array_equal(bulk[:, 1] == 0, ~np.isfinite(raw.numpy()))


@given(COLUMNS, COLUMNS)
@settings(max_examples=60)
def test_text(first: list[str | None], second: list[str | None]) -> None:
    size = min(len(first), len(second))
    columns = {"one": first[:size], "two": second[:size]}
    text = Text(columns=("one", "two"))
    frame = pd.DataFrame({name: _series(cells) for name, cells in columns.items()})
    bulk = text.encode(frame)
    raw = {name: _raw(cells) for name, cells in columns.items()}
    graph = text.in_graph(tf)(raw).numpy()
    assert [value.encode() for value in bulk] == graph.tolist()


FIGURES = st.floats(width=32, allow_subnormal=False) | st.sampled_from(
    [0.0, 1995.0, -0.0, 0.1, 1e6, 1e-5]
)
LISTS = st.lists(st.sampled_from(["drama", " noir ", "é", "", " "]), max_size=4)


@given(st.lists(st.tuples(FIGURES, LISTS), min_size=1, max_size=6))
@settings(max_examples=60)
def test_a_text_says_what_other_columns_hold(
    rows: list[tuple[float, list[str]]],
) -> None:
    columns = {
        "genres": Column(kind="multi_categorical", separator="|"),
        "year": Column(kind="numeric"),
    }
    text = Text.of(columns)
    numbers, lists = zip(*rows, strict=True)
    frame = pd.DataFrame(
        {
            "genres": _series(["|".join(values) for values in lists]),
            "year": _series([repr(float(x)) for x in numbers]),
        }
    ).set_index(pd.Index([f"item {n}" for n in range(len(rows))]))
    bulk = text.encode(frame)
    width = max(map(len, lists))
    raw = {
        "genres": tf.constant([v + [""] * (width - len(v)) for v in lists], tf.string),
        "year": tf.constant(numbers, tf.float32),
    }
    if width == 0:
        raw["genres"] = tf.zeros([len(rows), 0], tf.string)
    graph = text.in_graph(tf)(raw).numpy()
    assert [value.encode() for value in bulk] == graph.tolist()


def test_how_a_text_reads() -> None:
    columns = {
        "title": Column(kind="text"),
        "genres": Column(kind="multi_categorical", separator="|"),
        "year": Column(kind="numeric"),
    }
    frame = pd.DataFrame(
        {
            "title": _series(["Heat ", None]),
            "genres": _series(["drama| noir|", ""]),
            "year": _series(["1995.0", "soon"]),
        }
    )
    assert Text.of(columns).encode(frame).tolist() == ["Heat. drama, noir. 1995", ""]


def test_all_planted_features_in_one_graph(prepared: Prepared) -> None:
    frame = pd.DataFrame(
        {
            "genres": _series(["drama|noir", None, "kids|unheard|drama"]),
            "year": _series(["1999", None, "2050"]),
        }
    )
    raw = {
        "genres": [["drama", "noir", ""], ["", "", ""], ["kids", "unheard", "drama"]],
        "year": [1999.0, float("nan"), 2050.0],
    }
    for feature in prepared.features.items:
        encode = tf.function(
            feature.in_graph(tf), input_signature=[feature.graph_input(tf)]
        )
        bulk = feature.encode(frame[feature.name])
        for batch in (slice(0, 1), slice(0, 3), slice(0, 0)):
            graph = encode(tf.constant(raw[feature.name])[batch]).numpy()
            np.testing.assert_allclose(graph, bulk[batch], rtol=1e-6)


def test_the_vocabulary_holds_the_most_frequent() -> None:
    values = _series([*"ccbbad", None, "", "d", "d"])
    feature = fit("f", Column(kind="categorical"), values, 2)
    # b and c tie for the second place, which goes to the first in the alphabet.
    assert feature.vocabulary == ("b", "d")  # type: ignore[union-attr]


def test_multi_categorical_keeps_the_first_values() -> None:
    feature = MultiCategorical(name="f", vocabulary=("a", "b"), width=2, separator="|")
    encoded = feature.encode(_series(["b|zzz|a|b", None, "a|"]))
    assert encoded.tolist() == [[2, 1], [0, 0], [1, 0]]


def test_an_empty_vocabulary_knows_nothing() -> None:
    feature = Categorical(name="f", vocabulary=())
    raw = ["", "\0", "a"]
    assert feature.encode(_series([*raw])).tolist() == [0, 0, 0]
    assert feature.in_graph(tf)(_raw([*raw])).numpy().tolist() == [0, 0, 0]


def test_features_survive_json(prepared: Prepared) -> None:
    stored = json.loads(json.dumps(prepared.features.to_json()))
    assert FeatureSet.from_json(stored) == prepared.features


def test_request_time_features() -> None:
    monday = 1_700_438_400  # 2023-11-20 00:00 UTC.
    time = tf.constant([monday, monday + 6 * 3_600, monday], tf.int64)
    last = tf.constant([monday - 86_400, 0, monday], tf.int64)
    found = request_time_features(tf, time, last).numpy()
    assert found.shape == (3, NUM_REQUEST_TIME_FEATURES)
    np.testing.assert_allclose(found[:, 0], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(found[:, 2], [1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found[:, 4], [np.log(2) / 3, 0, 0], atol=1e-6)
    assert found[:, 5].tolist() == [1, 0, 1]
