"""What was planted was learned, by each part on its own."""

from collections import Counter

import numpy as np

from data.events import TEST
from tests.integration.calls import (
    NOBODY,
    SERVABLES,
    items_table,
    list_of,
    seen_items,
    users_of_the_test_part,
    warm_items,
)
from tests.integration.support import Calls, EvaluatedJob, Job

NEAREST = 10


def units_of(job: EvaluatedJob) -> np.ndarray:
    """Return the items' vectors as the first stage compares them, row 0 left out."""
    table: np.ndarray = job.experiment.fitted.retrieval.vectors[1:]
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def test_both_stages_beat_popularity(job: Job) -> None:
    models = job.report["models"]
    for metric in ("ndcg@10", "recall@5"):
        popularity = models["popularity"]["metrics"][metric]
        for name in ("retrieval", "two_stage"):
            assert models[name]["metrics"][metric]["low"] > 2 * popularity["high"]


def test_the_sequence_rule_nears_its_ceiling(evaluated: EvaluatedJob) -> None:
    models = evaluated.report["models"]
    for k in (5, 10):
        ceiling = evaluated.planted.best_recall(evaluated.prepared, TEST, k)
        for name in ("retrieval", "two_stage"):
            assert models[name]["metrics"][f"recall@{k}"]["mean"] > 0.7 * ceiling


def test_the_successor_follows(evaluated: EvaluatedJob, calls: Calls) -> None:
    planted = evaluated.planted
    for servable in ("retrieval", "recommender"):
        answer, hits, back = calls[f"{servable}/after one"], [], []
        for row, item in enumerate(warm_items(evaluated)):
            first = list_of(answer, row)[:3]
            (before,) = (i for i, after in planted.successor.items() if after == item)
            if planted.successor[item] not in planted.unavailable:
                hits.append(planted.successor[item] in first)
            back.append(before in first)
        # A taste has 27 warm items: one who knows the taste alone hits one in nine.
        assert np.mean(hits) > 0.5
        assert np.mean(hits) > 2 * np.mean(back)


def test_cold_items_lie_beside_their_taste(
    evaluated: EvaluatedJob, calls: Calls
) -> None:
    planted, ids = evaluated.planted, list(evaluated.prepared.item_ids[1:])
    table = units_of(evaluated)
    given = calls["embed_item of text"]["embedding"][:, : table.shape[1]]
    vectors = dict(zip(ids, given, strict=True))
    warm = np.array([i in planted.successor for i in ids])
    tastes = np.array([planted.item_taste[i] for i in ids])
    shares = []
    for item in sorted(planted.cold_items):
        near = np.argsort(-np.where(warm, table @ vectors[item], -np.inf))[:NEAREST]
        shares.append(np.mean(tastes[near] == planted.item_taste[item]))
    assert np.mean(shares) > 0.45  # A quarter by chance.


def test_the_item_vectors_of_cold_items_come_from_their_content(
    evaluated: EvaluatedJob, calls: Calls
) -> None:
    planted, ids = evaluated.planted, list(evaluated.prepared.item_ids[1:])
    units = units_of(evaluated)
    given = calls["embed_item"]["embedding"][:, : units.shape[1]]
    close = np.einsum("nd,nd->n", units, given) > 1 - 1e-5
    cold = np.array([item in planted.cold_items for item in ids])
    assert close[cold].all()
    assert not close[~cold].any()  # They have an embedding of their own besides.


def test_words_of_a_taste_find_it(evaluated: EvaluatedJob, calls: Calls) -> None:
    planted, ids = evaluated.planted, list(evaluated.prepared.item_ids[1:])
    units = units_of(evaluated)
    tastes = np.array([planted.item_taste[i] for i in ids])
    texts = calls["embed_text"]["embedding"][: len(planted.words), : units.shape[1]]
    shares = [
        np.mean(tastes[np.argsort(-units @ vector)[:NEAREST]] == taste)
        for taste, vector in enumerate(texts)
    ]
    assert np.mean(shares) > 0.45  # A quarter by chance.


def test_a_search_for_words_of_a_taste_finds_it(
    evaluated: EvaluatedJob, calls: Calls
) -> None:
    planted = evaluated.planted
    for servable in SERVABLES:
        answer = calls[f"{servable}/search"]
        shares = [
            np.mean([planted.item_taste[i] == taste for i in list_of(answer, taste)])
            for taste in range(len(planted.words))
        ]
        assert np.mean(shares) > 0.45  # A quarter by chance.


def test_ranking_alone_parts_the_tastes(evaluated: EvaluatedJob, calls: Calls) -> None:
    planted, items = evaluated.planted, warm_items(evaluated)
    areas = []
    for user, scores in zip(
        users_of_the_test_part(evaluated), calls["ranking"]["score"], strict=True
    ):
        met = set(seen_items(evaluated, user))
        open_ = np.array([item not in met for item in items])
        own = np.array([planted.same_taste(user, item) for item in items])
        above = scores[own & open_][:, None] > scores[~own & open_]
        areas.append(above.mean())
    assert np.mean(areas) > 0.9


def test_the_rating_head_knows_the_better_items(
    evaluated: EvaluatedJob, calls: Calls
) -> None:
    planted, items = evaluated.planted, warm_items(evaluated)
    better = np.array([item in planted.better_items for item in items])
    areas = []
    for user, ratings in zip(
        users_of_the_test_part(evaluated), calls["ranking"]["rating"], strict=True
    ):
        own = np.array([planted.same_taste(user, item) for item in items])
        above = ratings[own & better][:, None] > ratings[own & ~better]
        areas.append(above.mean())
    assert np.mean(areas) > 0.65


def test_nobody_gets_what_is_popular(evaluated: EvaluatedJob, calls: Calls) -> None:
    from data.events import VALIDATION

    prepared = evaluated.prepared
    log = prepared.events.through(VALIDATION)
    pairs = set(zip(log.user[log.positive], log.item[log.positive], strict=True))
    likes = Counter(item for _, item in pairs)  # Of each user once.
    order = sorted(
        np.flatnonzero(prepared.servable), key=lambda row: (-likes[row], row)
    )
    expected = [str(prepared.item_ids[row]) for row in order]
    for servable in ("retrieval", "recommender"):
        strangers = calls[f"{servable}/strangers"]
        assert list_of(strangers, 0) == list_of(strangers, 1) == expected[:10]
        everyone = list_of(calls[f"{servable}/everything"], -1)
        assert everyone == expected


def test_cold_items_are_recommended_by_taste(
    evaluated: EvaluatedJob, calls: Calls
) -> None:
    planted, answer = evaluated.planted, calls["retrieval/k 50"]
    same = [
        planted.same_taste(user, item)
        for row, user in enumerate(users_of_the_test_part(evaluated))
        for item in list_of(answer, row)[:20]
        if item in planted.cold_items
    ]
    assert len(same) > 50
    assert np.mean(same) > 0.33  # A quarter by chance.


def test_the_table_is_the_raw_one(evaluated: EvaluatedJob) -> None:
    """The test's own reading of the raw rows is the one the rest relies on."""
    assert set(items_table(evaluated).index) == set(evaluated.planted.item_taste)
    assert NOBODY not in evaluated.planted.user_taste
