"""The served graph on every kind of index: what each of its answers must be."""

import functools
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from data.prepared import Prepared
from tests.trainer.served import HISTORY, RECALL, Served, served
from tests.trainer.small_data import make_log
from trainer.config import ExportConfig, IndexKind
from trainer.export.export import liked_shares
from trainer.models.index.base import PADDING_SCORE
from trainer.models.index.truth import exact_answers, recall

ITEMS = 70
MANY = 6_000
KINDS = pytest.mark.parametrize("kind", get_args(IndexKind))
PADDING = np.float32(PADDING_SCORE)
STRANGERS = ["", "nobody", "user 5"]
USERS = [*(f"user {n}" for n in range(1, 5)), *STRANGERS]
ID = st.one_of(
    st.integers(1, ITEMS).map("item {}".format), st.sampled_from(["", "no item"])
)
IDS = st.lists(ID, max_size=12)


@functools.cache
def folder() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp())


@functools.cache
def small(kind: IndexKind) -> Served:
    return served(kind, folder(), items=ITEMS)


@functools.cache
def large(kind: IndexKind) -> Served:
    return served(kind, folder(), items=MANY, config=ExportConfig(max_k=5_000))


def row_of(identity: str) -> int:
    number = identity.rpartition(" ")[2]
    return int(number) if number.isdigit() else 0


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw requests of all users at once."""
    number = draw(st.integers(1, 4))
    users = draw(st.lists(st.sampled_from(USERS), min_size=number, max_size=number))
    everything = [f"item {n}" for n in range(1, ITEMS + 1)]
    histories = st.one_of(
        st.just([]),
        st.just(["no item"] * (HISTORY + 2)),
        st.lists(ID, min_size=HISTORY + 1, max_size=3 * HISTORY),
        IDS,
    )
    excludes = st.one_of(IDS, st.just(everything[3:]), st.just(everything))
    names = {"history": histories, "exclude": excludes, "boost": IDS, "bury": IDS}
    lists = {
        name: draw(st.lists(of, min_size=number, max_size=number))
        for name, of in names.items()
    }
    k = draw(st.lists(st.integers(1, ITEMS), min_size=number, max_size=number))
    return {"user_id": users, "k": k, "time": [0] * number, **lists}


def assert_lists_are_right(world: Served, inputs: dict[str, Any], found: Any) -> None:
    for at, user in enumerate(inputs["user_id"]):
        lists = {n: {row_of(i) for i in inputs[n][at]} for n in ("history", "exclude")}
        lists |= {n: {row_of(i) for i in inputs[n][at]} for n in ("boost", "bury")}
        out = lists["history"] | lists["exclude"] | lists["bury"]
        out |= world.seen[row_of(user) if user in world.users else 0]
        left = set(np.flatnonzero(world.servable).tolist()) - out
        count = min(inputs["k"][at], len(left))
        rows = world.rows(found["item_id"][at])
        scores = found["score"][at]
        assert (rows[count:] == 0).all()
        assert (scores[count:] == PADDING).all()
        rows, scores = rows[:count].tolist(), scores[:count]
        assert len(set(rows)) == len(rows)
        assert set(rows) <= left
        assert np.isfinite(scores).all()
        assert (scores > -100).all()
        first = len((lists["boost"] & left) - {0})
        first = min(first, count)
        assert set(rows[:first]) <= lists["boost"]
        assert not set(rows[first:]) & lists["boost"] or first == count
        assert (np.diff(scores[first:]) <= 0).all()


@KINDS
@pytest.mark.parametrize("servable", ["recommender", "retrieval"])
@settings(max_examples=12)
@given(inputs=requests())
def test_every_list(kind: IndexKind, servable: str, inputs: dict[str, Any]) -> None:
    world = small(kind)
    found = world.ask(servable, "with_context", **inputs)
    assert found["item_id"].shape == (len(inputs["k"]), max(inputs["k"]))
    assert_lists_are_right(world, inputs, found)
    # One alone is answered as among others.
    for at in range(len(inputs["user_id"])):
        one = {name: value[at : at + 1] for name, value in inputs.items()}
        alone = world.ask(servable, "with_context", **one)
        width = inputs["k"][at]
        ids, scores = found["item_id"][at, :width], found["score"][at, :width]
        np.testing.assert_allclose(alone["score"][0], scores, atol=1e-4)
        together = dict(zip(ids, scores, strict=True))
        last = scores.min()
        for item, score in zip(alone["item_id"][0], alone["score"][0], strict=True):
            assert abs(together.get(item, last) - score) < 1e-4


@pytest.mark.parametrize("servable", ["recommender", "retrieval"])
def test_signatures_agree(servable: str) -> None:
    world, empty = small("brute_force"), [[]] * len(USERS)
    default = world.ask(servable, "serving_default", user_id=USERS)
    inputs = {"user_id": USERS, "history": empty, "exclude": empty}
    inputs["k"] = [10] * len(USERS)
    found = world.ask(servable, "with_history", **inputs)
    rest = {"time": [0] * len(USERS), "boost": empty, "bury": empty}
    context = world.ask(servable, "with_context", **inputs, **rest)
    for other in (found, context):
        np.testing.assert_allclose(other["score"], default["score"], atol=1e-5)
        assert (other["item_id"] == default["item_id"]).mean() > 0.95
    # Who is unknown gets the most popular, all alike.
    assert (default["item_id"][-3] == default["item_id"][-2]).all()


@KINDS
def test_the_best_thousand_excluded(kind: IndexKind) -> None:
    world, users, k = large(kind), ["user 1", "user 3", "user 6"], 50
    asked = {"user_id": users, "history": [[]] * 3}
    graph = world.retrieval
    request = graph.request(graph.users.lookup(tf.constant(users)))
    queries = graph.queries(request).numpy()
    vectors = graph.index_vectors.whole().numpy()[: MANY + 1]
    seen = np.zeros((3, MANY + 1), bool)
    for at, user in enumerate((1, 3, 6)):
        seen[at, list(world.seen[user])] = True
    # What brute force finds of each, unrestricted, and of what that leaves.
    for at in range(3):
        free = world.servable & ~seen[at]
        first, _ = exact_answers(vectors, free, queries[at : at + 1], 1_000)
        free[first[0]] = False
        _, truth = exact_answers(vectors, free, queries[at : at + 1], k)
        one = {name: value[at : at + 1] for name, value in asked.items()}
        out = [[str(world.items[row]) for row in first[0]]]
        found = world.ask("retrieval", "with_history", exclude=out, k=[k], **one)
        rows = world.rows(found["item_id"])
        assert free[rows].all()
        assert recall(rows, found["score"], truth) >= RECALL


@KINDS
def test_all_but_k_excluded(kind: IndexKind) -> None:
    world, k = large(kind), 40
    rng = np.random.default_rng(1)
    left = rng.choice(np.flatnonzero(world.servable), k, replace=False)
    out = [str(i) for row, i in enumerate(world.items) if row and row not in left]
    inputs = {"user_id": ["user 6", ""], "history": [[], []], "exclude": [out, out]}
    found = world.ask("retrieval", "with_history", **inputs, k=[k, k + 7])
    for rows in world.rows(found["item_id"]):
        assert set(rows[:k].tolist()) == set(left.tolist())
        assert not rows[k:].any()


def test_who_likes_an_item_again_and_again_likes_it_once(prepared: Prepared) -> None:
    user, item = np.repeat([1, 2, 3, 4], 5), np.repeat([1, 2, 2, 3], 5)
    log = make_log(user, item, np.arange(20), np.repeat([1, 1, 1, 0], 5))
    shares = liked_shares(prepared, log)
    assert shares[:4].tolist() == [0, 0.25, 0.5, 0]
    assert not shares[4:].any()
