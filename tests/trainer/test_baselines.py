"""Baselines against their definitions, and blind to the test part."""

import numpy as np
import pytest

from data.errors import DataError
from data.events import TEST, TRAIN, VALIDATION
from tests.trainer.small_data import (
    DAY,
    SmallData,
    make_log,
    random_data,
    with_other_test_events,
)
from trainer.baselines import (
    GRIDS,
    Baseline,
    Ease,
    Popularity,
    grids_for,
    tune,
)
from trainer.evaluate import measure

GRIDS_SMALL: dict[str, tuple[Baseline, ...]] = {
    "popularity": (Popularity(None), Popularity(7), Popularity(30, True)),
    "ease": (Ease(1.0), Ease(30.0), Ease(30.0, True)),
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
    monkeypatch.setattr("trainer.ease.GRAM_BLOCK", block)
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


def test_ease_refuses_a_catalogue_too_large_and_says_the_size() -> None:
    data = random_data()
    with pytest.raises(DataError, match=r"ease: \d+ items .* need .* GiB, expected"):
        Ease(1.0, limit_gib=1e-9).fit(data.events, data)


def test_a_baseline_too_large_is_skipped_with_its_reason() -> None:
    tuned = tune(
        random_data(),
        {"popularity": (Popularity(),), "ease": (Ease(1.0, limit_gib=1e-9),)},
    )
    assert list(tuned.scorers) == ["popularity"]
    assert "GiB" in tuned.skipped["ease"]


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


def test_the_default_grids_hold_both_baselines() -> None:
    assert set(GRIDS) == {"popularity", "ease"}


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
