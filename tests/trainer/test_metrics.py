"""Ranks and metrics against numbers worked out by hand, and what always holds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trainer.evaluation import metrics
from trainer.evaluation.ranks import Ranks, mask, ranks_of_relevant, top_k

NO_ITEM = -np.inf


def rank(scores: list[list[float]], relevant: list[list[int]]) -> Ranks:
    items = [np.array(some, np.int32) for some in relevant]
    return ranks_of_relevant(np.array(scores, np.float32), items)


def test_ranks_count_the_candidates_with_higher_scores() -> None:
    found = rank([[NO_ITEM, 0.1, 0.9, 0.5, 0.3]], [[1, 3]])
    assert found.rank.tolist() == [2, 4]
    assert found.place.tolist() == [1, 2]
    assert found.num_relevant.tolist() == [2]


def test_a_tied_item_ranks_ahead_of_the_relevant_one() -> None:
    found = rank([[NO_ITEM, 0.5, 0.5, 0.5, 0.1]], [[1]])
    assert found.rank.tolist() == [3]


def test_relevant_items_tied_with_each_other_take_successive_ranks() -> None:
    found = rank([[NO_ITEM, 0.5, 0.5, 0.5, 0.9]], [[1, 2]])
    assert found.rank.tolist() == [3, 4]


def test_constant_scores_put_the_relevant_item_last() -> None:
    found = rank([[NO_ITEM, 0, 0, 0, 0]], [[2]])
    assert found.rank.tolist() == [4]


def test_ranks_keep_the_queries_apart() -> None:
    scores = [[NO_ITEM, 3, 2, 1], [NO_ITEM, 1, 2, 3]]
    found = rank(scores, [[3], [2, 3]])
    assert found.query.tolist() == [0, 1, 1]
    assert found.rank.tolist() == [3, 1, 2]


def test_mask_removes_what_is_seen_or_not_servable() -> None:
    scores = np.array([[9, 1, 2, 3], [9, 1, 2, 3]], np.float32)
    servable = np.array([False, True, True, False])
    out = mask(scores, servable, [np.array([1]), np.array([], np.int32)])
    assert np.isneginf(out).tolist() == [
        [True, True, False, True],
        [True, False, False, True],
    ]
    assert scores[0, 1] == 1


def test_an_infinite_score_of_a_candidate_is_no_mask() -> None:
    scores = np.array([[0, -np.inf, np.inf]], np.float32)
    out = mask(scores, np.array([False, True, True]), [np.array([], np.int32)])
    assert np.isfinite(out[0, 1:]).all()


def test_accuracy_by_hand() -> None:
    # Three relevant items at ranks 1, 3 and 6 of one query.
    scores = [[NO_ITEM, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]]
    out = metrics.accuracy(rank(scores, [[1, 3, 6]]), [2, 5])
    assert out["hit_rate@2"][0] == 1
    assert out["recall@2"][0] == pytest.approx(1 / 3)
    assert out["recall@5"][0] == pytest.approx(2 / 3)
    assert out["precision@2"][0] == pytest.approx(1 / 2)
    assert out["precision@5"][0] == pytest.approx(2 / 5)
    # ideal of 2 within k = 2: 1 + 1 / log2(3); of 3 within k = 5: + 1 / 2.
    ideal = 1 + 1 / math.log2(3)
    assert out["ndcg@2"][0] == pytest.approx(1 / ideal)
    assert out["ndcg@5"][0] == pytest.approx((1 + 1 / 2) / (ideal + 1 / 2))
    assert out["mrr@5"][0] == 1
    assert out["map@2"][0] == pytest.approx(1 / 2)
    assert out["map@5"][0] == pytest.approx((1 + 2 / 3) / 3)


def test_nothing_found_within_k_is_zero_in_every_metric() -> None:
    out = metrics.accuracy(rank([[NO_ITEM, 3, 2, 1]], [[3]]), [2])
    assert {values[0] for values in out.values()} == {0.0}


scores_of_8 = arrays(np.float32, (3, 8), elements=st.integers(0, 4).map(float))
relevant_of_8 = st.lists(
    st.lists(st.integers(1, 7), min_size=1, unique=True), min_size=3, max_size=3
)


@given(scores_of_8, relevant_of_8)
def test_metrics_stay_in_range_and_grow_with_k(
    scores: np.ndarray, relevant: list[list[int]]
) -> None:
    scores[:, 0] = NO_ITEM
    out = metrics.accuracy(rank(scores.tolist(), relevant), [1, 3, 5])
    assert all(((v >= 0) & (v <= 1 + 1e-12)).all() for v in out.values())
    for name in ("hit_rate", "recall", "mrr"):
        assert (out[f"{name}@1"] <= out[f"{name}@3"]).all()
        assert (out[f"{name}@3"] <= out[f"{name}@5"]).all()


@given(scores_of_8, relevant_of_8, st.integers(0, 99))
def test_ranks_are_those_of_the_worst_order_among_ties(
    scores: np.ndarray, relevant: list[list[int]], seed: int
) -> None:
    scores[:, 0] = NO_ITEM
    found = rank(scores.tolist(), relevant)
    for query, items in enumerate(relevant):
        is_relevant = np.isin(np.arange(8), items)
        worst = np.lexsort((is_relevant, -scores[query]))
        expected = 1 + np.flatnonzero(np.isin(worst, items))
        assert found.rank[found.query == query].tolist() == expected.tolist()
        # No other order of tied items is worse for any relevant one.
        shuffled = np.random.default_rng(seed).permutation(8)
        other = shuffled[np.argsort(-scores[query][shuffled], kind="stable")]
        assert (1 + np.flatnonzero(np.isin(other, items)) <= expected).all()


@given(scores_of_8, relevant_of_8, st.integers(0, 99))
def test_renaming_the_items_changes_no_metric(
    scores: np.ndarray, relevant: list[list[int]], seed: int
) -> None:
    scores[:, 0] = NO_ITEM
    order = np.r_[0, 1 + np.random.default_rng(seed).permutation(7)]
    moved = [np.flatnonzero(np.isin(order, items)).tolist() for items in relevant]
    before = metrics.accuracy(rank(scores.tolist(), relevant), [3])
    after = metrics.accuracy(rank(scores[:, order].tolist(), moved), [3])
    for name in before:
        np.testing.assert_allclose(before[name], after[name])


@given(arrays(np.float32, (2, 9), elements=st.integers(-3, 3).map(float)))
def test_top_k_is_a_stable_sort(scores: np.ndarray) -> None:
    scores[scores == 3] = NO_ITEM
    scores[:, 0] = NO_ITEM
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    there = ~np.isneginf(np.take_along_axis(scores, expected, axis=1))
    assert top_k(scores, 4).tolist() == np.where(there, expected, 0).tolist()


def test_top_k_ties_go_to_the_lower_row_and_the_rest_is_padding() -> None:
    scores = np.array([[NO_ITEM, -0.0, 1, 0.0]], np.float32)
    assert top_k(scores, 5).tolist() == [[2, 1, 3, 0, 0]]


def test_novelty_is_the_mean_of_bits() -> None:
    information = metrics.self_information(np.array([0, 8, 4, 1]), 8)
    assert information.tolist() == [3, 0, 1, 3]
    lists = np.array([[1, 2], [3, 0]])
    assert metrics.novelty(lists, information).tolist() == [0.5, 3]


def test_diversity_by_hand() -> None:
    vectors = np.array([[0, 0], [2, 0], [0, 1], [1, 1]], np.float32)
    lists = np.array([[1, 2, 0], [1, 1, 0], [1, 2, 3], [1, 0, 0]])
    third = 1 - (0 + 2 * math.sqrt(0.5)) / 3
    expected = [1, 0, third, 0]
    np.testing.assert_allclose(metrics.diversity(lists, vectors), expected, atol=1e-6)


def test_gini_of_equal_and_of_single_exposure() -> None:
    assert metrics.gini(np.full(10, 3)) == pytest.approx(0)
    assert metrics.gini(np.eye(10)[0]) == pytest.approx(0.9)
    assert metrics.gini(np.array([1, 3])) == pytest.approx(0.25)


def test_shares_by_popularity_put_the_most_popular_first() -> None:
    popularity = np.arange(20)
    counts = np.where(popularity >= 18, 3, 0) + np.where(popularity < 2, 1, 0)
    shares = metrics.share_by_popularity(counts, popularity)
    assert shares.tolist() == [0.75, *[0] * 8, 0.25]


def test_auc_counts_ties_by_half() -> None:
    labels = np.array([1, 0, 1, 0])
    assert metrics.auc(labels, np.array([0.9, 0.1, 0.5, 0.5])) == 0.875
    assert metrics.auc(labels, np.array([0.1, 0.9, 0.2, 0.8])) == 0
    assert math.isnan(metrics.auc(np.ones(3), np.ones(3)))


def test_log_loss_and_its_bound() -> None:
    labels = np.array([1, 0])
    found = metrics.log_loss(labels, np.array([0.8, 0.4]))
    assert found == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    certain = metrics.log_loss(labels, np.array([0, 1], np.float32))
    assert certain == pytest.approx(-math.log(metrics.LOWEST_PROBABILITY), rel=1e-3)


def test_calibration_error_by_hand() -> None:
    # Two bins: half of 0.9 instead of all, and none of 0.1.
    labels = np.array([1, 0, 0, 0])
    probabilities = np.array([0.9, 0.9, 0.1, 0.1])
    found = metrics.calibration_error(labels, probabilities)
    assert found == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    assert metrics.calibration_error(np.ones(2), np.ones(2)) == 0


def test_rmse_leaves_out_missing_ratings() -> None:
    ratings = np.array([1, 4, np.nan], np.float32)
    assert metrics.rmse(ratings, np.array([4, 4, 0])) == pytest.approx(math.sqrt(4.5))
