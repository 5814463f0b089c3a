"""Tables of half the bytes: what is lost with them, and that each is stored once."""

import hashlib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.served import Served, served
from trainer.config import ExportConfig, IndexKind, TableDtype
from trainer.models.index.measure import measure
from trainer.models.stored import Stored

ITEMS, USERS = 2_000, 100
LARGE = 20_000  # Bytes.


def exported(kind: IndexKind, dtype: TableDtype, folder: Path) -> tuple[Served, Any]:
    """Save the recommender with one signature and load it again."""
    config = ExportConfig(max_k=100, table_dtype=dtype)
    world = served(kind, folder, items=ITEMS, users=USERS, config=config)
    place = str(folder / dtype)
    call = world.call("recommender", "serving_default")
    tf.saved_model.save(world.servables["recommender"], place, call)
    return world, tf.saved_model.load(place).signatures["serving_default"]


def variables(folder: Path) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    names = reader.get_variable_to_shape_map()
    found = {name: np.asarray(reader.get_tensor(name)) for name in names}
    return {name: value for name, value in found.items() if value.dtype != object}


def test_half_the_bytes_and_the_same_answers(tmp_path: Path) -> None:
    users = [f"user {n}" for n in range(1, USERS + 1)]
    found, sizes = {}, {}
    for dtype in get_args(TableDtype):
        world, loaded = exported("brute_force", dtype, tmp_path)
        found[dtype] = {n: v.numpy() for n, v in loaded(tf.constant(users)).items()}
        plain = world.ask("recommender", "serving_default", user_id=users)
        # What is served is what Python answers with the same tables.
        np.testing.assert_allclose(found[dtype]["score"], plain["score"], atol=1e-4)
        stored = variables(tmp_path / dtype)
        sizes[dtype] = sum(value.nbytes for value in stored.values())
        large = [v.tobytes() for v in stored.values() if v.nbytes > LARGE]
        assert len(large) > 2
        assert len({hashlib.sha256(v).digest() for v in large}) == len(large)
    assert sizes["float16"] < 0.65 * sizes["float32"]
    half, full = found["float16"], found["float32"]
    same = 0
    for row in range(USERS):
        one, other = (
            dict(zip(x["item_id"][row], x["score"][row], strict=True))
            for x in (half, full)
        )
        both = one.keys() & other.keys()
        same += len(both)
        # Of the very last candidates another one may be ranked.
        assert all(abs(one[item] - other[item]) < 5e-3 for item in both)
    assert same > 0.98 * full["item_id"].size


@pytest.mark.parametrize("kind", ["brute_force", "partitioned"])
def test_the_gate_measures_what_is_stored(kind: IndexKind, tmp_path: Path) -> None:
    config = ExportConfig(max_k=100, table_dtype="float16")
    world = served(kind, tmp_path, items=ITEMS, config=config)
    graph = world.retrieval
    vectors = graph.index_vectors.whole().numpy()[: ITEMS + 1]
    rng = np.random.default_rng(0)
    queries = vectors[rng.choice(np.flatnonzero(world.servable), 60)]
    exact = vectors + rng.normal(0, 1e-5, vectors.shape).astype(np.float32)
    found = measure(graph.index, exact, world.servable, queries, k=50, calls=2)
    assert 0.97 < found.recall <= 1


@given(scale=st.sampled_from([1e-20, 1e-6, 1.0, 3e4, 1e20]), seed=st.integers(0, 1_000))
def test_half_precision_of_any_unit(scale: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(9, 4)).astype(np.float32)
    values *= np.float32(scale)
    table = Stored(values, "float16", name="table")
    assert table.values.dtype == tf.float16
    found = table(tf.constant([[1, 8]])).numpy()[0]
    np.testing.assert_allclose(found, values[[1, 8]], rtol=1e-3, atol=1e-6 * scale)
    np.testing.assert_allclose(table.whole(), values, rtol=1e-3, atol=1e-6 * scale)


@pytest.mark.parametrize("values", [np.zeros((3, 2)), np.zeros((3, 0))])
def test_nothing_in_half_precision(values: np.ndarray) -> None:
    table = Stored(values.astype(np.float32), "float16", name="table")
    assert table.whole().shape == values.shape
    assert not table(tf.constant([0])).numpy().any()
