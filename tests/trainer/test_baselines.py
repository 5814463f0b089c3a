"""Baselines against their definitions, and blind to the test part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from data.events import TEST, TRAIN, VALIDATION
from tests.trainer.small_data import (
    DAY,
    SmallData,
    make_log,
    random_data,
    with_other_test_events,
)
from trainer.baselines import tune as baselines
from trainer.baselines.item_knn import neighbour_weights
from trainer.baselines.sizes import GIB, Sizes, memory_limit
from trainer.baselines.tune import (
    FEW,
    GRIDS,
    Baseline,
    Ease,
    Ials,
    ItemKnn,
    Popularity,
    grids_for,
    tune,
    without_too_large,
)
from trainer.config import BASELINES
from trainer.evaluation.evaluate import measure

GRIDS_SMALL: dict[str, tuple[Baseline, ...]] = {
    "popularity": (Popularity(None), Popularity(7), Popularity(30, True)),
    "ease": (Ease(1.0), Ease(30.0), Ease(30.0, True)),
    "item_knn": (ItemKnn(3, 1.0), ItemKnn(9, 0.0, True)),
    "ials": (Ials(4, 1.0, 2.0, iterations=3), Ials(6, 1.0, 9.0, True, iterations=3)),
}


def tiny(rows: list[tuple[int, int, int, int]], num_items: int) -> SmallData:
    """Build events of (user, item, day, positive)."""
    user, item, day, positive = np.array(rows).T
    log = make_log(user, item, day * DAY, positive.astype(bool))
    return SmallData(log, num_items, np.r_[False, np.ones(num_items, bool)])


def popularity_order(baseline: Popularity, data: SmallData) -> list[int]:
    scores = baseline.fit(data.events.through(TRAIN), data).scores
    return [int(place) for place in np.argsort(-scores[1:], kind="stable")]


def test_popularity_counts_the_window_and_breaks_ties_by_all_time() -> None:
    rows = [(1, 1, 1, 1), (2, 1, 2, 1), (3, 1, 3, 1), (1, 2, 4, 1), (2, 2, 5, 0)]
    rows += [(1, 4, 40, 1), (1, 3, 50, 0), (2, 3, 51, 0), (3, 2, 52, 1)]
    data = tiny(rows, 4)
    assert popularity_order(Popularity(None), data) == [0, 1, 2, 3]
    assert popularity_order(Popularity(10), data) == [2, 1, 0, 3]
    assert popularity_order(Popularity(30), data) == [2, 1, 3, 0]
    assert popularity_order(Popularity(10, positives_only=True), data) == [1, 0, 3, 2]


def test_popularity_items_that_are_level_are_tied() -> None:
    data = tiny([(1, 1, 1, 1), (1, 2, 1, 1), (2, 3, 1, 1), (2, 1, 2, 1)], 4)
    scores = Popularity().fit(data.events, data).scores
    assert scores[2] == scores[3]
    assert scores[1] > scores[2] > scores[4]


def brute_force_ease(x: np.ndarray, l2: float) -> np.ndarray:
    """Minimise |X - XB|^2 + l2 |B|^2 with diag(B) = 0, a column at a time."""
    num = x.shape[1]
    b = np.zeros((num, num))
    for j in range(num):
        others = np.delete(np.arange(num), j)
        a = x[:, others]
        gram = a.T @ a + l2 * np.eye(num - 1)
        b[others, j] = np.linalg.solve(gram, a.T @ x[:, j])
    return b


@pytest.mark.parametrize("positives_only", [False, True])
@pytest.mark.parametrize("block", [4, 1_024])
def test_ease_is_the_ridge_regression_of_each_item_on_the_others(
    positives_only: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.baselines.ease.GRAM_BLOCK", block)
    data = random_data(3, users=25, items=12, events=300)
    log, num = data.events, data.num_items
    x = np.zeros((log.num_users + 1, num + 1))
    train = (log.part == TRAIN) & (log.positive | (not positives_only))
    x[log.user[train], log.item[train]] = 1
    expected = brute_force_ease(x, 5.0)
    queries = data.queries(TEST)
    rows = np.arange(len(queries))
    scorer = Ease(5.0, positives_only).fit(log.through(TRAIN), data)
    found = scorer(queries, rows)
    assert found.dtype == np.float32
    for row in rows:
        met = slice(None, int(queries.counts[row]))
        own = slice(log.start[queries.users[row]], log.start[queries.users[row] + 1])
        kept = log.positive[own][met] | (not positives_only)
        history = np.zeros(num + 1)
        history[log.item[own][met][kept]] = 1
        if history.any():
            np.testing.assert_allclose(found[row], history @ expected, atol=1e-4)


def test_ease_answers_a_user_without_usable_history_by_popularity() -> None:
    rows = [(1, 1, 1, 1), (2, 1, 2, 1), (2, 2, 3, 1), (3, 3, 4, 0), (3, 1, 70, 1)]
    data = tiny([*rows, (1, 3, 90, 1)], 3)
    log = data.events.through(TRAIN)
    scorer = Ease(1.0, positives_only=True).fit(log, data)
    queries = data.queries(VALIDATION)
    assert queries.users.tolist() == [3]
    assert scorer(queries, np.array([0]))[0].tolist() == [0, 2, 1, 1]


BINARY = st.integers(1, 9).flatmap(
    lambda width: st.lists(
        st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=12
    )
)


@given(
    BINARY, st.integers(1, 5), st.sampled_from([0, 0.5, 10]), st.sampled_from([1, 7])
)
def test_neighbours_are_their_definition(
    rows: list[list[bool]], number: int, shrink: float, block: int
) -> None:
    x = np.array(rows, np.float64)
    x = x[:, x.any(axis=0)]  # Items that nobody met are never fitted.
    num = x.shape[1]
    expected = np.zeros((num, num))
    for j in range(num):
        like = []
        for i in range(num):
            length = np.sqrt(x[:, i].sum() * x[:, j].sum()) + shrink
            like.append(
                0.0 if i == j else float(np.float32(x[:, i] @ x[:, j] / length))
            )
        best = sorted(range(num), key=lambda i: (-like[i], i))[:number]
        expected[best, j] = np.array(like)[best]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.baselines.item_knn.BLOCK_BYTES", 4 * max(num, 1) * block)
        found = neighbour_weights(
            sparse.csr_matrix(x.astype(np.float32)), ItemKnn(number, shrink)
        )
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-5)
    assert (np.diff(found.tocsc().indptr) <= number).all()


def test_item_knn_sums_the_likeness_to_the_history() -> None:
    data = random_data(3, users=25, items=12, events=300)
    log = data.events.through(TRAIN)
    scorer = ItemKnn(4, 2.0).fit(log, data)
    queries = data.queries(TEST)
    found = scorer(queries, np.arange(len(queries)))
    weights = scorer.weights.toarray()
    for row in range(len(queries)):
        start = data.events.start[queries.users[row]]
        met = set(data.events.item[start : start + queries.counts[row]].tolist())
        columns = [c for c, i in enumerate(scorer.histories.items) if i in met]
        expected = weights[columns].sum(axis=0)
        np.testing.assert_allclose(
            found[row, scorer.histories.items], expected, rtol=1e-5
        )


def test_ials_solves_for_the_history_at_the_request() -> None:
    data = random_data(3, users=25, items=12, events=300)
    settings = Ials(4, 2.0, 5.0, iterations=4)
    scorer = settings.fit(data.events.through(TRAIN), data)
    queries = data.queries(TEST)
    found = scorer(queries, np.arange(len(queries)))
    y = scorer.model.item_factors.astype(np.float64)
    met = scorer.histories.at(queries, np.arange(len(queries))).toarray()
    for row in range(len(queries)):
        confidence = np.where(met[row] > 0, settings.alpha, 1.0)
        a = (y.T * confidence) @ y + settings.regularization * np.eye(4)
        user = np.linalg.solve(a, y.T @ (confidence * met[row]))
        np.testing.assert_allclose(
            found[row, scorer.histories.items], y @ user, rtol=1e-3, atol=1e-4
        )


def test_ials_is_the_same_bit_by_bit_on_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = random_data()
    log = data.events.through(TRAIN)
    factors = []
    for few in (10**9, 10**9, 0):
        monkeypatch.setattr("trainer.baselines.ials.FEW_EVENTS", few)
        factors.append(Ials(8, 1.0, 3.0).fit(log, data).model.item_factors.tobytes())
    assert len(set(factors)) == 1
    other = Ials(8, 1.0, 3.0, seed=1).fit(log, data).model.item_factors.tobytes()
    assert other != factors[0]


def test_what_parities_like_is_learnt_by_all_that_learn() -> None:
    data = random_data()
    queries = data.queries(TEST)
    rows = np.arange(len(queries))
    own_parity = np.add.outer(queries.users, np.arange(31)) % 2 == 0
    for settings in (ItemKnn(20, 5.0), Ials(8, 1.0, 5.0), Ease(10.0)):
        scores = settings.fit(data.events.through(TRAIN), data)(queries, rows)
        popular = np.arange(31) <= 8
        own = scores[own_parity & popular & (np.arange(31) > 0)]
        other = scores[~own_parity & popular & (np.arange(31) > 0)]
        assert own.mean() > 1.3 * other.mean()


def test_a_baseline_too_large_is_left_out_before_any_is_fitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("fitted")

    sizes = Sizes(items=60_000, users=10, events=100)
    monkeypatch.setattr(Ease, "fit", fail)
    kept, skipped = without_too_large(GRIDS_SMALL, sizes, 8 * GIB)
    assert set(kept) == set(GRIDS_SMALL) - {"ease"}
    assert "60,000 items" in skipped["ease"]
    assert "need 40 GiB, and one fit may take 8 GiB" in skipped["ease"]
    assert 0 < memory_limit() <= 8 * GIB


def test_settings_that_fit_are_tried_where_others_do_not() -> None:
    sizes = Sizes(items=1_000, users=1_000_000, events=10)
    grid = (Ials(10, 1.0, 1.0), Ials(1_000, 1.0, 1.0))
    kept, skipped = without_too_large({"ials": grid}, sizes, GIB)
    assert kept == {"ials": grid[:1]}
    assert not skipped


def test_a_skipped_baseline_is_told_with_its_reason() -> None:
    grids = {"popularity": (Popularity(),), "ease": (Ease(1.0),)}
    tuned = tune(random_data(), grids, limit=10_000)
    assert list(tuned.scorers) == []
    tuned = tune(random_data(users=9, events=90), grids, limit=1_200)
    assert list(tuned.scorers) == ["popularity"]
    assert "GiB" in tuned.skipped["ease"]


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.integers(1, 10**9))
def test_more_data_never_needs_less(items: int, users: int, events: int) -> None:
    small = Sizes(items=items, users=users, events=events)
    large = Sizes(items=2 * items, users=2 * users, events=2 * events)
    for grid in GRIDS.values():
        assert all(0 < b.needs(small) <= b.needs(large) for b in grid)


def test_tune_takes_what_validation_likes_best() -> None:
    data = random_data()
    tuned = tune(data, GRIDS_SMALL)
    for name, grid in GRIDS_SMALL.items():
        trials = [trial["ndcg@10"] for trial in tuned.trials[name]]
        assert len(trials) == len(grid)
        best = grid[int(np.argmax(trials))]
        assert tuned.chosen[name] == vars(best)
        scorer = best.fit(data.events.through(TRAIN), data)
        queries = data.queries(VALIDATION)
        found = measure(data, queries, scorer, ks=(10,)).per_query["ndcg@10"].mean()
        assert found == pytest.approx(max(trials))


def test_another_future_changes_no_tuned_baseline() -> None:
    data = random_data()
    changed = with_other_test_events(data)
    assert not np.array_equal(data.events.item, changed.events.item)
    before, after = tune(data, GRIDS_SMALL), tune(changed, GRIDS_SMALL)
    assert before.trials == after.trials
    assert before.chosen == after.chosen
    queries = data.queries(TEST)
    rows = np.arange(len(queries))
    for name, scorer in before.scorers.items():
        same = after.scorers[name](queries, rows)
        assert scorer(queries, rows).tobytes() == same.tobytes()


def test_a_popularity_that_reads_the_test_part_would_be_seen() -> None:
    data = random_data()
    changed = with_other_test_events(data)
    honest = Popularity().fit(data.events.through(TRAIN), data)
    leaking = Popularity().fit(data.events, data).scores
    other = Popularity().fit(changed.events, changed).scores
    assert not np.array_equal(leaking, other)
    assert not np.array_equal(leaking, honest.scores)


def test_many_queries_are_judged_by_a_choice_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = random_data()
    whole = tune(data, GRIDS_SMALL).trials
    monkeypatch.setattr(baselines, "TUNED_QUERIES", 7)
    few, again = tune(data, GRIDS_SMALL).trials, tune(data, GRIDS_SMALL).trials
    assert few == again != whole


def test_every_baseline_has_its_grid() -> None:
    assert tuple(GRIDS) == BASELINES
    assert set(FEW) <= set(GRIDS)


def test_only_the_named_are_tried_and_days_need_a_time() -> None:
    log = random_data().events
    named = grids_for(log, 50, time_is_known=True, names=("ease", "popularity_7d"))
    assert set(named) == {"ease", "popularity_7d"}
    timeless = grids_for(log, 50, time_is_known=False)
    assert set(timeless) == set(GRIDS) - {"popularity_7d", "popularity_30d"}


def test_settings_that_say_the_same_are_tried_once() -> None:
    log = random_data(3).events
    both = grids_for(log, 50, time_is_known=True)
    assert both == GRIDS
    liked = log.replace(positive=np.ones(len(log), bool))
    once = grids_for(liked, 50, time_is_known=True)
    assert [2 * len(once[name]) for name in once] == [len(both[n]) for n in both]
    assert len(grids_for(log, 10_000, time_is_known=True)["ease"]) == 3
    timeless = grids_for(log, 50, time_is_known=False)["popularity"]
    assert {one.window_days for one in timeless} == {None}
