"""What no client should send: a defined answer or a refusal that names the input."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.served import Served, served
from trainer.models.index.base import PADDING_SCORE

ITEMS = 40
LISTS = ["recommender", "retrieval"]
ODD = ["user 1\0", "\0", "\0user 1", "user 1 ", " user 1", "x" * 10_240, "\udcff", "🎬"]
PADDING = np.float32(PADDING_SCORE)
lists = pytest.mark.parametrize("servable", LISTS)


@functools.cache
def world() -> Served:
    return served("brute_force", Path(tempfile.mkdtemp()), items=ITEMS)


def encoded(ids: list[str]) -> list[bytes]:
    return [identity.encode("utf-8", "surrogateescape") for identity in ids]


def requests(users: list[Any], k: Any = 5, **other: Any) -> dict[str, Any]:
    nothing: list[list[str]] = [[] for _ in users]
    inputs = {"user_id": users, "history": nothing, "exclude": nothing}
    return {**inputs, "k": [k] * len(users), **other}


@lists
@pytest.mark.parametrize("k", [0, -1, ITEMS + 11, 2_000_000_000])
def test_a_k_out_of_range_is_refused(servable: str, k: int) -> None:
    inputs = requests(["user 1", "user 2"]) | {"k": [3, k]}
    with pytest.raises(tf.errors.InvalidArgumentError, match="k: expected from 1 to"):
        world().ask(servable, "with_history", **inputs)


@lists
def test_a_k_beyond_the_catalogue_is_padded(servable: str) -> None:
    k = ITEMS + 10  # As many as are allowed.
    found = world().ask(servable, "with_history", **requests(["user 6"], k))
    assert found["item_id"].shape == (1, k)
    left = int(world().servable.sum())
    assert (found["item_id"][0, :left] != b"").all()
    assert (found["item_id"][0, left:] == b"").all()
    assert (found["score"][0, left:] == PADDING).all()


@lists
def test_odd_ids_are_unknown_ones(servable: str) -> None:
    nobody = world().ask(servable, "with_history", **requests(["nobody"]))
    found = world().ask(servable, "with_history", **requests(encoded(ODD)))
    for row in range(len(ODD)):
        assert (found["item_id"][row] == nobody["item_id"][0]).all()
    ids = [encoded([f"item{i[4:]}" for i in ODD])]
    for name in ("history", "exclude"):
        inputs = requests(["user 1"], **{name: ids})
        plain = world().ask(servable, "with_history", **requests(["user 1"]))
        found = world().ask(servable, "with_history", **inputs)
        assert (found["item_id"] == plain["item_id"]).all()
    similar = world().ask(servable, "similar_items", item_id=ids[0])
    assert (similar["item_id"] == b"").all()
    assert (similar["score"] == PADDING).all()


def test_odd_items_are_not_ranked() -> None:
    ids = encoded(["item 1", "item 1\0", "i" * 10_240, "", "item 2"])
    users = encoded(["user 1", "user 1\0"])
    inputs = {"user_id": users, "item_id": [ids, ids]}
    found = world().ask("ranking", "serving_default", **inputs)["score"]
    assert (found[:, 1:4] == PADDING).all()
    assert (found[:, [0, 4]] > -100).all()
    nobody = inputs | {"user_id": ["user 1", "nobody"]}
    expected = world().ask("ranking", "serving_default", **nobody)["score"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@lists
def test_nobody_asks(servable: str) -> None:
    for signature, inputs in (
        ("serving_default", {"user_id": []}),
        ("with_history", requests([])),
        ("similar_items", {"item_id": []}),
    ):
        found = world().ask(servable, signature, **inputs)
        assert found["item_id"].shape[0] == found["score"].shape[0] == 0


@pytest.mark.parametrize("ids", [np.zeros((0, 3), "S"), np.zeros((2, 0), "S")])
def test_nothing_to_rank(ids: np.ndarray) -> None:
    users = ["user 1", "user 2"][: len(ids)]
    for signature, more in (("serving_default", {}), ("with_history", {"history": 0})):
        inputs = {"user_id": users, "item_id": ids, **dict.fromkeys(more, ids)}
        found = world().ask("ranking", signature, **inputs)
        assert found["score"].shape == ids.shape


@pytest.mark.parametrize(
    ("servable", "signature", "wrong"),
    [
        ("recommender", "serving_default", {"user_id": [["user 1"]]}),
        ("retrieval", "serving_default", {"user_id": "user 1"}),
        ("recommender", "with_history", {"history": np.array(["item 1"])}),
        ("recommender", "with_history", {"exclude": np.array([[["item 1"]]])}),
        ("recommender", "with_history", {"k": 5}),
        ("retrieval", "with_history", {"k": [[5]]}),
        ("ranking", "serving_default", {"item_id": np.array(["item 1"])}),
        ("ranking", "serving_default", {"user_id": [["user 1"]]}),
        ("ranking", "with_history", {"history": np.array(["item 1"])}),
    ],
)
def test_a_wrong_rank_names_the_input(
    servable: str, signature: str, wrong: dict[str, Any]
) -> None:
    call = world().call(servable, signature)
    right = requests(["user 1"]) | {"item_id": [["item 1"]]}
    names = call.structured_input_signature[1]
    inputs = {name: (right | wrong)[name] for name in names}
    message = f"Shape of tensor {next(iter(wrong))} .* is not compatible"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        world().ask(servable, signature, **inputs)


@pytest.mark.parametrize(
    ("servable", "name"),
    [
        *(("recommender", n) for n in ("history", "exclude", "k")),
        *(("ranking", n) for n in ("item_id", "history")),
    ],
)
@pytest.mark.parametrize("rows", [0, 1])
def test_a_wrong_batch_names_the_input(servable: str, name: str, rows: int) -> None:
    inputs = requests(["user 1", "user 2"]) | {"item_id": [["item 1"]] * 2}
    inputs[name] = [5] * rows if name == "k" else np.full((rows, 2), "item 3")
    names = world().call(servable, "with_history").structured_input_signature[1]
    inputs = {name: inputs[name] for name in names}
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=f"{name}: expected as many rows"
    ):
        world().ask(servable, "with_history", **inputs)


@lists
def test_lists_far_beyond_what_clients_send(servable: str) -> None:
    many = [[f"item {n % ITEMS + 1}" for n in range(20_000)]]
    nothing = [["no item"] * 20_000]
    rest = {"time": [0], "boost": many, "bury": nothing}
    found = world().ask(servable, "with_context", **requests(["user 6"]), **rest)
    assert (found["item_id"] != b"").all()
    found = world().ask(servable, "with_history", **requests(["user 6"], exclude=many))
    assert (found["item_id"] == b"").all()
    assert np.isfinite(found["score"]).all()
