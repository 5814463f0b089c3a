"""What is served is what Python computes, list by list."""

import numpy as np
import pytest
from scipy.special import expit

from data.events import TEST
from tests.integration.calls import list_of, ordinary_user, users_of_the_test_part
from tests.integration.support import Calls, EvaluatedJob

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def python_scores(evaluated: EvaluatedJob) -> dict[str, np.ndarray]:
    """Score the test part's queries in Python, -inf for what must not be answered."""
    prepared, parts = evaluated.prepared, evaluated.experiment.fitted
    queries = prepared.queries(TEST)
    rows = np.arange(len(queries))
    now = prepared.cut(TEST)  # The moment of the export.
    scorers = {
        "retrieval": parts.retrieval.at(now),
        "recommender": parts.ranking.at(now),
    }
    found = {}
    for name, scorer in scorers.items():
        scores = scorer(queries, rows)
        scores[:, ~prepared.servable] = -np.inf
        for row in rows:
            scores[row, queries.seen[row]] = -np.inf
        found[name] = scores
    return found


def assert_same_list(
    items: list[str],
    served: np.ndarray,
    expected: np.ndarray,
    shown: np.ndarray,
    row_of: dict[str, int],
) -> None:
    """Compare a list with the scores of all items; near ties may change places.

    In: `expected`: what Python orders by, `shown`: what it would answer, (items + 1,).
    """
    rows = np.array([row_of[item] for item in items])
    order = expected[rows]
    assert len(set(items)) == len(items)
    np.testing.assert_allclose(served[: len(items)], shown[rows], atol=TOLERANCE)
    assert (order[:-1] >= order[1:] - TOLERANCE).all()
    left_out = np.delete(expected, rows)
    assert left_out.max() <= order.min() + TOLERANCE


@pytest.mark.parametrize("servable", ["retrieval", "recommender"])
@pytest.mark.parametrize(("name", "k"), [("default", 10), ("k 50", 50)])
def test_served_equals_python(
    evaluated: EvaluatedJob,
    calls: Calls,
    python_scores: dict[str, np.ndarray],
    servable: str,
    name: str,
    k: int,
) -> None:
    prepared = evaluated.prepared
    row_of = {item: row for row, item in enumerate(prepared.item_ids)}
    answer, expected = calls[f"{servable}/{name}"], python_scores[servable]
    shown = expected
    if servable == "recommender":
        slope, offset = evaluated.experiment.fitted.calibration
        assert slope > 0
        shown = expit(slope * expected + offset)
    for row in range(len(expected)):
        items = list_of(answer, row)
        assert len(items) == min(k, int(np.isfinite(expected[row]).sum()))
        assert_same_list(items, answer["score"][row], expected[row], shown[row], row_of)


def test_comparison_finds_a_wrong_list() -> None:
    scores = np.array([-np.inf, 0.9, 0.8, 0.80005, 0.1])
    row_of = {"a": 1, "b": 2, "c": 3, "d": 4}
    assert_same_list(["a", "b", "c"], scores[[1, 2, 3]], scores, scores, row_of)
    for wrong in (["a", "b", "d"], ["b", "a", "c"], ["a", "b", "b"]):
        rows = [row_of[item] for item in wrong]
        with pytest.raises(AssertionError):
            assert_same_list(wrong, scores[rows], scores, scores, row_of)


def test_ranking_equals_python(evaluated: EvaluatedJob, calls: Calls) -> None:
    prepared, parts = evaluated.prepared, evaluated.experiment.fitted
    queries = prepared.queries(TEST)
    retrieval = parts.retrieval.at(prepared.cut(TEST))
    requests = retrieval.requests(queries, np.arange(len(queries)))
    scores, cosines = retrieval.both(requests)
    row_of = {item: row for row, item in enumerate(prepared.item_ids)}
    warm = [row_of[i] for i in sorted(evaluated.planted.successor)]
    item = np.tile(np.array(warm, np.int32), (len(queries), 1))
    heads = parts.ranking.outputs(requests, item, scores, cosines)
    slope, offset = parts.calibration
    answer = calls["ranking"]
    like = expit(slope * heads["like"] + offset)
    np.testing.assert_allclose(answer["like"], like, atol=TOLERANCE)
    np.testing.assert_allclose(answer["score"], like, atol=TOLERANCE)
    np.testing.assert_allclose(answer["rating"], heads["rating"], atol=10 * TOLERANCE)


def test_embed_user_equals_python(evaluated: EvaluatedJob, calls: Calls) -> None:
    queries = evaluated.prepared.queries(TEST)
    scorer = evaluated.experiment.fitted.retrieval
    expected = scorer.embed(scorer.requests(queries, np.arange(len(queries))))
    vectors = calls["embed_user"]["embedding"][:-1]
    np.testing.assert_allclose(vectors, expected, atol=TOLERANCE)


@pytest.mark.parametrize("servable", ["retrieval", "recommender"])
@pytest.mark.parametrize(("many", "one"), [("default", "one"), ("k 50", "k 50 of one")])
def test_one_user_or_many(
    evaluated: EvaluatedJob, calls: Calls, servable: str, many: str, one: str
) -> None:
    place = users_of_the_test_part(evaluated).index(ordinary_user(evaluated))
    alone, together = calls[f"{servable}/{one}"], calls[f"{servable}/{many}"]
    scores = together["score"][place]
    np.testing.assert_allclose(alone["score"][0], scores, atol=TOLERANCE)
    by_item = dict(zip(list_of(together, place), scores.tolist(), strict=True))
    for item, score in zip(list_of(alone), alone["score"][0], strict=True):
        assert abs(by_item[item] - score) < TOLERANCE


def test_ranking_one_user_or_many(calls: Calls) -> None:
    alone, together = calls["ranking one"], calls["ranking"]
    for name in ("score", "like", "rating"):
        np.testing.assert_allclose(alone[name][0], together[name][0], atol=TOLERANCE)
