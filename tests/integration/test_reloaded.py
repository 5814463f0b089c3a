"""The SavedModels on their own: every signature, with nothing of ours installed."""

from pathlib import Path

import numpy as np
import pytest

from tests.integration.calls import (
    MANY,
    list_of,
    open_items,
    ordinary_user,
    seen_items,
    warm_items,
)
from tests.integration.support import Calls, EvaluatedJob, Job

PADDING = -1e30
both = pytest.mark.parametrize("servable", ["recommender", "retrieval"])


def scores_of(answer: dict[str, np.ndarray], row: int = 0) -> dict[str, float]:
    """Return one answered list as scores by item."""
    items = list_of(answer, row)
    return dict(zip(items, answer["score"][row].tolist(), strict=False))


def assert_equal_lists(
    one: dict[str, np.ndarray], other: dict[str, np.ndarray], row: int = 0
) -> None:
    """Compare two lists; near ties may change places."""
    first, second = scores_of(one, row), scores_of(other, row)
    assert len(first) == len(second) > 0
    np.testing.assert_allclose(
        one["score"][row][: len(first)], other["score"][row][: len(first)], atol=1e-4
    )
    last = min(first.values())
    for item, score in first.items():
        assert abs(second.get(item, last) - score) < 1e-4


def test_nothing_of_ours_was_there(calls: Calls) -> None:
    assert calls.facts["ours"] == []
    lists = ["search", "serving_default", "similar_items"]
    lists += ["with_context", "with_history"]
    assert calls.facts["signatures"] == {
        "recommender": sorted([*lists, "describe"]),
        "refitted": sorted([*lists, "describe"]),
        "retrieval": sorted([*lists, "embed_item", "embed_text", "embed_user"]),
        "ranking": ["serving_default", "with_history"],
    }


def test_answers_hold_numbers_only(calls: Calls) -> None:
    """The process turns inf and NaN into text, which no array of floats survives."""
    checked = 0
    for name, answer in calls.answers.items():
        for key, value in answer.get("outputs", {}).items():
            array = np.array(value)
            if key in ("score", "like", "rating", "embedding") and array.size:
                assert array.dtype.kind == "f", (name, key)
                checked += 1
    assert checked > 60


@both
def test_lists_are_complete_distinct_and_in_order(
    evaluated: EvaluatedJob, calls: Calls, servable: str
) -> None:
    answer = calls[f"{servable}/everything"]
    assert answer["item_id"].shape == answer["score"].shape
    assert answer["item_id"].shape[1] == MANY
    everyone = [*evaluated.prepared.user_ids[1:], "", ""]
    for row, user in enumerate(everyone):
        items, scores = list_of(answer, row), answer["score"][row]
        # Exactly the servable items that the user had not met: none else, all of them.
        assert sorted(items) == sorted(open_items(evaluated, user))
        assert list(answer["item_id"][row][: len(items)]) == items
        assert (scores[len(items) :] == np.float32(PADDING)).all()
        assert (scores[: len(items)] > -100).all()
        if servable == "retrieval" or user == "":
            assert (np.diff(scores[: len(items)]) <= 0).all()


@both
def test_default_lists(evaluated: EvaluatedJob, calls: Calls, servable: str) -> None:
    answer = calls[f"{servable}/default"]
    assert answer["item_id"].shape[1] == evaluated.manifest(servable)["limits"]["k"]
    assert (answer["item_id"] != "").all()
    assert (np.diff(answer["score"], axis=1) <= 0).all()
    assert calls[f"{servable}/nobody"]["item_id"].shape[0] == 0


def test_the_refitted_models_know_every_event(
    evaluated: EvaluatedJob, job: Job, calls: Calls
) -> None:
    answer = calls["refitted/all"]
    tested = set()
    for row, user in enumerate(evaluated.prepared.user_ids[1:]):
        met = set(seen_items(evaluated, user, ever=True))
        tested |= met - set(seen_items(evaluated, user))
        assert not met & set(list_of(answer, row))
    assert len(tested) > 20
    known = job.manifest("recommender")["data"]["events_known"]
    assert known == len(evaluated.prepared.events)
    assert evaluated.manifest("recommender")["data"]["events_known"] < known


@both
def test_each_row_has_its_own_k(calls: Calls, servable: str) -> None:
    answer, ten = calls[f"{servable}/two widths"], calls[f"{servable}/one"]
    assert answer["item_id"].shape == (2, 7)
    assert len(list_of(answer, 0)) == 3
    assert list_of(answer, 1) == list_of(ten)[:7]
    assert (answer["score"][0][3:] == np.float32(PADDING)).all()


@both
@pytest.mark.parametrize("name", ["unknown ids", "empty"])
def test_a_history_of_nothing_is_the_known_one(
    calls: Calls, servable: str, name: str
) -> None:
    answer = calls[f"{servable}/history {name}"]
    assert_equal_lists(answer, calls[f"{servable}/one"])
    assert list_of(answer, 1) == list_of(calls[f"{servable}/strangers"], 0)


@both
def test_a_history_counts(evaluated: EvaluatedJob, calls: Calls, servable: str) -> None:
    known = calls[f"{servable}/history known"]
    for row in (0, 1):
        given = warm_items(evaluated)[:2]
        assert not set(given) & set(list_of(known, row))
        assert_equal_lists(known, calls[f"{servable}/history padded"], row)
        assert_equal_lists(known, calls[f"{servable}/history with unknown"], row)
        assert_equal_lists(known, calls[f"{servable}/history once"], row)
    stranger = calls[f"{servable}/strangers"]
    assert list_of(known, 1) != list_of(stranger, 0)
    assert not set(seen_items(evaluated, ordinary_user(evaluated))) & set(
        list_of(known, 0)
    )
    repeated = calls[f"{servable}/history repeated"]
    assert not set(given) & set(list_of(repeated, 1))


@both
def test_only_the_newest_of_a_long_history_is_read(
    evaluated: EvaluatedJob, calls: Calls, servable: str
) -> None:
    long, end = calls[f"{servable}/history long"], calls[f"{servable}/history its end"]
    dropped = set(warm_items(evaluated)[2:12])
    assert not dropped & set(list_of(long, 1))  # Met all the same.
    read = [item for item in list_of(end, 1) if item not in dropped]
    assert list_of(long, 1)[: len(read)] == read


@both
def test_exclusions(evaluated: EvaluatedJob, calls: Calls, servable: str) -> None:
    answer = calls[f"{servable}/exclude"]
    out = set(evaluated.prepared.item_ids[1::2])
    for row, user in enumerate([ordinary_user(evaluated), ""]):
        left = set(open_items(evaluated, user)) - out
        assert sorted(list_of(answer, row)) == sorted(left)
    empty = calls[f"{servable}/exclude all"]
    assert (empty["item_id"] == "").all()
    assert (empty["score"] == np.float32(PADDING)).all()
    assert empty["item_id"].shape == (2, 10)


@both
@pytest.mark.parametrize("name", ["k 0", "k -1", "k 151"])
def test_k_out_of_range(
    evaluated: EvaluatedJob, calls: Calls, servable: str, name: str
) -> None:
    kind, message = calls.error(f"{servable}/{name}")
    assert kind == "InvalidArgumentError"
    assert "k: expected from 1 to 150" in message
    assert evaluated.manifest(servable)["limits"]["max_k"] == 150


@both
@pytest.mark.parametrize(
    "name", ["history", "exclude", "k", "time", "device", "boost", "bury"]
)
def test_a_wrong_batch_size_names_the_input(
    calls: Calls, servable: str, name: str
) -> None:
    kind, message = calls.error(f"{servable}/rows of {name}")
    assert kind == "InvalidArgumentError"
    assert f"{name}: expected as many rows as user_id." in message


@pytest.mark.parametrize(
    ("call", "name"),
    [("ranking rows", "item_id"), ("ranking rows of history", "history")],
)
def test_a_wrong_batch_size_of_ranking(calls: Calls, call: str, name: str) -> None:
    kind, message = calls.error(call)
    assert kind == "InvalidArgumentError"
    assert f"{name}: expected as many rows as user_id." in message


@both
def test_context_that_is_not_given_is_unknown(calls: Calls, servable: str) -> None:
    for row in (0, 1):
        with_context, without = (
            calls[f"{servable}/{name}"] for name in ("context", "no context")
        )
        assert_equal_lists(with_context, without, row)


def test_context_reaches_the_ranking_as_far_as_it_is_trusted(
    evaluated: EvaluatedJob, calls: Calls
) -> None:
    given, unknown = calls["recommender/tv"], calls["recommender/unknown device"]
    moved = np.abs(given["score"] - unknown["score"]).max() > 1e-6
    trust = evaluated.metrics("evaluation")["stages"]["ranking"]["trust"]
    assert moved == (trust > 0)
    first, second = calls["retrieval/tv"], calls["retrieval/unknown device"]
    np.testing.assert_allclose(first["score"], second["score"], atol=1e-6)


@both
def test_boosted_items_come_first(
    evaluated: EvaluatedJob, calls: Calls, servable: str
) -> None:
    unseen = open_items(evaluated, ordinary_user(evaluated))
    wanted, plain = {unseen[-1], unseen[5]}, calls[f"{servable}/everything"]
    answer = calls[f"{servable}/boost"]
    everyone = list(evaluated.prepared.user_ids[1:])
    places = (everyone.index(ordinary_user(evaluated)), len(everyone))
    for row, place in enumerate(places):
        items = list_of(answer, row)
        assert set(items[:2]) == wanted
        assert sorted(items) == sorted(list_of(plain, place))
        rest = [item for item in list_of(plain, place) if item not in wanted]
        before, after = scores_of(plain, place), scores_of(answer, row)
        assert all(abs(before[i] - after[i]) < 1e-4 for i in rest)
        order = [before[item] for item in items[2:]]
        assert (np.diff(order) <= 1e-4).all()


@both
def test_boosting_cannot_show_what_is_forbidden(calls: Calls, servable: str) -> None:
    answer = calls[f"{servable}/boost the forbidden"]
    assert_equal_lists(answer, calls[f"{servable}/one"])


@both
def test_buried_items_never_come(
    evaluated: EvaluatedJob, calls: Calls, servable: str
) -> None:
    unseen = open_items(evaluated, ordinary_user(evaluated))
    answer = calls[f"{servable}/bury"]
    left = set(unseen) - set(unseen[:2])
    assert sorted(list_of(answer, 0)) == sorted(left)
    assert not set(unseen[:2]) & set(list_of(answer, 1))
    first = list_of(calls[f"{servable}/boost and bury"])
    assert first[0] == unseen[1]
    assert unseen[0] not in first


@both
def test_similar_items(evaluated: EvaluatedJob, calls: Calls, servable: str) -> None:
    answer, planted = calls[f"{servable}/similar"], evaluated.planted
    ids, same = list(evaluated.prepared.item_ids[1:]), []
    for row, item in enumerate(ids):
        similar = list_of(answer, row)
        assert len(set(similar)) == 10
        assert item not in similar
        assert not set(similar) & planted.unavailable
        assert (np.diff(answer["score"][row]) <= 0).all()
        same += [planted.item_taste[i] == planted.item_taste[item] for i in similar]
    assert np.mean(same) > 0.6
    for row in (len(ids), len(ids) + 1):
        assert list_of(answer, row) == []
        assert (answer["score"][row] == np.float32(PADDING)).all()


@both
def test_search(evaluated: EvaluatedJob, calls: Calls, servable: str) -> None:
    answer, texts = calls[f"{servable}/search"], calls["embed_text"]["embedding"]
    assert len(answer["item_id"]) == len(texts) + 1
    for row in range(len(texts)):
        found = list_of(answer, row)
        if row == len(texts) - 2:  # "" asks for nothing.
            assert found == []
            continue
        assert len(set(found)) == 10
        assert not set(found) & evaluated.planted.unavailable
        assert (np.diff(answer["score"][row]) <= 0).all()
    assert list_of(answer, len(texts)) == []
    assert (answer["score"][-1] == np.float32(PADDING)).all()


def test_describe(evaluated: EvaluatedJob, calls: Calls) -> None:
    from tests.integration.calls import items_table

    answer, table = calls["describe"], items_table(evaluated)
    ids = list(evaluated.prepared.item_ids[1:4])
    assert sorted(answer) == ["genres", "title", "year"]
    for name, values in answer.items():
        expected = [*table.loc[ids, name], "", ""]
        assert values.tolist() == [expected, expected[::-1]]


def test_embeddings(calls: Calls) -> None:
    for name in ("embed_user", "embed_text", "embed_item", "embed_item of nothing"):
        vectors = calls[name]["embedding"][:, :32]
        lengths = np.linalg.norm(vectors, axis=1)
        np.testing.assert_allclose(lengths, 1, atol=1e-5)
    nothing = calls["embed_item of nothing"]["embedding"][0]
    np.testing.assert_allclose(calls["embed_text"]["embedding"][-2], nothing, atol=1e-5)


def test_ranking_of_unknown_items(calls: Calls) -> None:
    answer, one = calls["ranking unknown"], calls["ranking one"]
    assert (answer["score"][:, 1:3] == np.float32(PADDING)).all()
    assert (answer["score"][:, [0, 3]] > -100).all()
    assert (answer["like"] >= 0).all()
    assert (answer["like"] <= 1).all()
    first = answer["score"][0, [0, 3]]
    np.testing.assert_allclose(first, one["score"][0, :2], atol=1e-5)
    again = calls["ranking history of none"]
    np.testing.assert_allclose(again["score"], answer["score"], atol=1e-5)


def test_ranking_reads_the_history(evaluated: EvaluatedJob, calls: Calls) -> None:
    planted, items = evaluated.planted, warm_items(evaluated)
    own = np.array([planted.item_taste[i] == 0 for i in items])
    scores = calls["ranking history"]["score"][0]
    assert (scores[own][:, None] > scores[~own]).mean() > 0.75


def ops_of(folder: Path) -> set[str]:
    """List all ops of a SavedModel."""
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((folder / "saved_model.pb").read_bytes())
    graphs = [meta.graph_def for meta in proto.meta_graphs]
    ops = {node.op for graph in graphs for node in graph.node}
    functions = [f for graph in graphs for f in graph.library.function]
    return ops | {node.op for function in functions for node in function.node_def}


@pytest.mark.parametrize("servable", ["recommender", "ranking", "retrieval"])
def test_ops(evaluated: EvaluatedJob, calls: Calls, servable: str) -> None:
    stock = set(calls.facts["stock_ops"])
    assert any(op.startswith("TFText>") for op in stock)
    assert not any(op.startswith("Scann>") for op in stock)
    ops = ops_of(evaluated.models / servable / str(evaluated.version))
    beyond = sorted(ops - stock)
    assert evaluated.manifest(servable)["ops_beyond_stock"] == beyond
    if servable == "retrieval":
        assert beyond
        assert all(op.startswith("Scann>") for op in beyond)
    else:
        assert beyond == []


def test_manifest_tells_the_signatures(evaluated: EvaluatedJob, calls: Calls) -> None:
    for servable in ("recommender", "ranking", "retrieval"):
        found = evaluated.manifest(servable)["signatures"]
        assert sorted(found) == calls.facts["signatures"][servable]
    context = evaluated.manifest("recommender")["signatures"]["with_context"]
    assert context["inputs"]["device"] == ["string", [None]]
    assert context["inputs"]["time"] == ["int64", [None]]
    assert context["outputs"]["score"] == ["float32", [None, None]]
