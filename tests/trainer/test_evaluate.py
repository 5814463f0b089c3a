"""The evaluation: what it masks, counts, compares and says."""

import dataclasses
import json

import numpy as np
import pytest

from data.errors import DataError
from data.events import TEST
from data.queries import Queries
from tests.trainer.small_data import SmallData, TableScorer, random_data
from trainer.evaluation import evaluate as module
from trainer.evaluation.bootstrap import Interval
from trainer.evaluation.evaluate import evaluate, pooled
from trainer.evaluation.heads import HeadAnswers
from trainer.evaluation.metrics import Scorer
from trainer.evaluation.results import CHOSEN, Comparison


class Oracle:
    """Knows the answers."""

    def __call__(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(rows), 31), np.float32)
        for place, row in enumerate(rows):
            scores[place, queries.relevant[row]] = 1
        return scores


def constant() -> TableScorer:
    return TableScorer(np.zeros(31))


def descending() -> TableScorer:
    return TableScorer(-np.arange(31.0))


@pytest.fixture(scope="module")
def data() -> SmallData:
    return random_data()


def test_an_oracle_is_perfect_and_a_constant_pays_for_its_ties(
    data: SmallData,
) -> None:
    found = evaluate(data, TEST, {"oracle": Oracle(), "constant": constant()})
    oracle, tied = (found.models[name].intervals for name in ("oracle", "constant"))
    assert oracle["ndcg@10"] == Interval(1, 1, 1)
    assert oracle["recall@100"].mean == oracle["map@5"].mean == 1
    # Row order would have given the constant the most popular items.
    assert tied["hit_rate@5"].mean == 0
    assert found.models["constant"].exposure[1:11].sum() > 0


def test_seen_and_unservable_items_are_never_recommended(data: SmallData) -> None:
    servable = data.servable.copy()
    servable[2] = False
    queries = data.queries(TEST)
    exposure = evaluate(
        dataclasses.replace(data, servable=servable), TEST, {"x": descending()}
    )
    assert exposure.models["x"].exposure[2] == 0
    assert exposure.counts["servable"] == 29
    met_1 = sum(1 in seen for seen in queries.seen)
    found = evaluate(data, TEST, {"x": descending()})
    assert found.models["x"].exposure[1] == len(queries) - met_1
    assert found.models["x"].exposure[0] == 0


def test_batches_change_nothing(
    data: SmallData, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(data, TEST, {"x": descending()}).to_json()
    monkeypatch.setattr(module, "BATCH_SCORES", 31 * 3)
    assert evaluate(data, TEST, {"x": descending()}).to_json() == whole


def test_counts_are_those_of_the_queries(data: SmallData) -> None:
    queries = data.queries(TEST)
    counts = evaluate(data, TEST, {"x": constant()}).counts
    assert counts["queries"] == counts["users"] == len(queries)
    assert counts["cold_users"] == queries.num_cold_users
    assert counts["cold_items"] == queries.num_cold_items
    assert counts["relevant"] == sum(map(len, queries.relevant))


def with_cold_items(data: SmallData) -> SmallData:
    """Let items above 24 be met in the test part alone."""
    log = data.events
    early = (log.item > 24) & (log.part != TEST)
    return dataclasses.replace(
        data, events=log.replace(item=np.where(early, 1, log.item))
    )


def test_cold_items_are_reported_apart(data: SmallData) -> None:
    cold = with_cold_items(data)
    asked = cold.queries(TEST, "cold")
    assert all((items > 24).all() for items in asked.relevant)
    scorers: dict[str, Scorer] = {"oracle": Oracle(), "constant": constant()}
    found = evaluate(cold, TEST, scorers)
    assert len(found.apart) == len(asked) > 0
    assert (found.counts["cold_items"], found.apart.counts()["relevant"]) == (
        cold.queries(TEST).num_cold_items,
        sum(map(len, asked.relevant)),
    )
    said = found.to_json()
    assert said["headline_items"] == "warm"
    oracle = said["models"]["oracle"]
    assert oracle["cold_items"]["recall@50"] == {"mean": 1, "low": 1, "high": 1}
    assert oracle["warm_items"]["ndcg@10"] == oracle["metrics"]["ndcg@10"]
    assert "novelty@10" not in oracle["warm_items"]
    assert said["models"]["constant"]["cold_items"]["recall@10"]["mean"] == 0
    assert said["items"]["cold"]["queries"] == len(asked)
    assert any("reported apart, ranked among all" in s for s in said["protocol"])


def test_the_warm_headline_ignores_cold_relevant_items(data: SmallData) -> None:
    cold = with_cold_items(data)
    everything = evaluate(cold, TEST, {"x": descending()})
    servable = cold.servable & (np.arange(31) <= 24)
    without = evaluate(
        dataclasses.replace(cold, servable=servable), TEST, {"x": descending()}
    )
    # Cold items score lowest here, so that leaving them out moves no other.
    for metric in ("ndcg@10", "recall@20"):
        one, other = (e.models["x"].intervals[metric] for e in (everything, without))
        assert one == other
    assert len(without.apart) == 0
    assert without.to_json()["models"]["x"]["cold_items"] == {}


def test_a_later_stage_is_compared_with_the_earlier(data: SmallData) -> None:
    scorers: dict[str, Scorer] = {
        "retrieval": constant(),
        "two_stage": Oracle(),
        "popularity": descending(),
    }
    found = evaluate(data, TEST, scorers)
    pairs = {(c.model, c.baseline) for c in found.comparisons}
    assert ("two_stage", "retrieval") in pairs
    assert ("retrieval", "two_stage") not in pairs
    (one,) = (
        c
        for c in found.comparisons
        if (c.baseline, c.metric) == ("retrieval", "ndcg@10")
    )
    assert one.difference.sign == 1


def test_heads_are_measured_and_pooled(data: SmallData) -> None:
    rng = np.random.default_rng(0)
    like = HeadAnswers(
        users=rng.integers(1, 9, 90),
        values=rng.random(90),
        labels=(rng.random(90) < 0.5).astype(float),
        of_what="a toss",
    )
    found = evaluate(data, TEST, {"x": constant()}, heads={"like": like})
    said = found.to_json()["heads"]["like"]
    assert set(said["metrics"]) == {"auc", "log_loss", "calibration_error"}
    assert (said["answers"], said["users"], said["of"]) == (90, 8, "a toss")
    twice = pooled([found, found])
    assert len(twice.heads["like"]) == 180
    auc = found.head_intervals["like"]["auc"]
    assert twice.head_intervals["like"]["auc"].low == pytest.approx(auc.low)


def test_ours_are_compared_with_each_baseline(data: SmallData) -> None:
    scorers: dict[str, Scorer] = {
        "ours": Oracle(),
        "popularity": descending(),
        "ease": constant(),
    }
    found = evaluate(data, TEST, scorers, baselines=("popularity", "ease"))
    assert found.ours == ("ours",)
    assert found.best(tuple(scorers)) == "ours"
    pairs = [(c.metric, c.model, c.baseline) for c in found.comparisons]
    assert pairs == [
        ("ndcg@10", "ours", "popularity"),
        ("ndcg@10", "ours", "ease"),
        ("recall@100", "ours", "popularity"),
        ("recall@100", "ours", "ease"),
    ]
    first = found.comparisons[0]
    means = [found.models[n].intervals["ndcg@10"].mean for n in ("ours", "popularity")]
    assert first.difference.mean == pytest.approx(means[0] - means[1])
    assert first.sentence.startswith("ours beats popularity on NDCG@10 by ")


def test_a_copy_cannot_be_told_from_its_original(data: SmallData) -> None:
    scorers = {"ours": descending(), "popularity": descending()}
    found = evaluate(data, TEST, scorers)
    assert found.comparisons[0].difference == Interval(0, 0, 0)
    assert "no difference can be told" in found.comparisons[0].sentence


def test_sentences_name_the_winner_and_turn_the_interval() -> None:
    def say(*ends: float) -> str:
        return Comparison(
            metric="ndcg@10",
            model="retrieval",
            baseline="ease",
            difference=Interval(*ends),
        ).sentence

    assert say(-0.012, -0.023, -0.001) == (
        "ease beats retrieval on NDCG@10 by 0.012 [0.001, 0.023]"
    )
    assert say(0.1, 0.05, 0.15) == (
        "retrieval beats ease on NDCG@10 by 0.100 [0.050, 0.150]"
    )
    assert say(0.01, -0.01, 0.03) == (
        "no difference can be told between retrieval and ease on NDCG@10: +0.010, "
        "[-0.010, 0.030] includes 0"
    )
    assert "one user" in say(0.1, float("nan"), float("nan"))


def test_small_ks_move_the_headline(data: SmallData) -> None:
    scorers: dict[str, Scorer] = {"ours": Oracle(), "popularity": descending()}
    found = evaluate(data, TEST, scorers, ks=(3, 7))
    assert found.main_metric == "ndcg@3"
    assert [c.metric for c in found.comparisons] == ["ndcg@3", "recall@7"]
    assert found.models["ours"].exposure.sum() <= 3 * len(data.queries(TEST))


def test_lists_are_described(data: SmallData) -> None:
    vectors = np.eye(31, dtype=np.float32)
    found = evaluate(data, TEST, {"x": descending()}, item_vectors=vectors)
    x = found.models["x"]
    assert x.intervals["diversity@10"].mean == pytest.approx(1)
    assert 0 < x.totals["coverage@5"] < x.totals["coverage@10"] <= 1
    shares = found.popularity_shares()
    assert set(shares) == {"x", CHOSEN}
    assert sum(shares["x"]) == pytest.approx(1)


def test_json_is_strict_and_states_the_protocol(data: SmallData) -> None:
    found = evaluate(data, TEST, {"ours": Oracle(), "popularity": constant()})
    text = json.dumps(found.to_json(), allow_nan=False)
    again = json.loads(text)
    assert again["models"]["popularity"]["is_baseline"]
    assert again["comparisons"][0]["says"] == found.comparisons[0].sentence
    assert any("tied item ranks ahead" in line for line in again["protocol"])
    # Of cold items an event that is counted would be known.
    for headline, counted in (("warm", "go up to"), ("cold", "training part alone")):
        said = dataclasses.replace(found, headline=headline).to_json()["protocol"]
        (sentence,) = [line for line in said if line.startswith("Histories")]
        assert counted in sentence.partition("count")[2]
    said = dataclasses.replace(found, by_time=False).to_json()["protocol"]
    assert any("no time parts the events" in line for line in said)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (np.zeros(30), r"broken: scores of shape \(\d+, 30\), expected \(\d+, 31\)"),
        (np.full(31, np.nan), "broken: .* scores are NaN"),
    ],
)
def test_scores_that_are_none_are_refused(
    data: SmallData, row: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(data, TEST, {"broken": TableScorer(row)})


def test_a_part_without_queries_is_an_error_that_says_what_to_do(
    data: SmallData,
) -> None:
    log = data.events
    none = log.replace(positive=log.positive & (log.part != TEST))
    with pytest.raises(DataError, match=r"test: no user .* larger shares"):
        evaluate(dataclasses.replace(data, events=none), TEST, {"x": constant()})


def test_folds_are_pooled_by_query(data: SmallData) -> None:
    scorers = {"ours": descending(), "popularity": constant()}
    one = evaluate(data, TEST, scorers, baselines=("popularity",))
    other = evaluate(random_data(seed=1), TEST, scorers, baselines=("popularity",))
    whole = pooled([one, other])
    for name in scorers:
        parts = [e.models[name] for e in (one, other)]
        means = [m.intervals["ndcg@10"].mean for m in parts]
        found = whole.models[name]
        assert found.intervals["ndcg@10"].mean == pytest.approx(
            np.average(means, weights=[len(one.asked), len(other.asked)])
        )
        assert (found.exposure == parts[0].exposure + parts[1].exposure).all()
    assert whole.counts["queries"] == len(one.asked) + len(other.asked)
    assert whole.counts["users"] == len(set(one.asked.users) | set(other.asked.users))
    assert whole.counts["items"] == one.counts["items"]
    assert len(whole.comparisons) == len(one.comparisons)


def test_a_baseline_that_one_fold_lacks_is_left_out(data: SmallData) -> None:
    both = evaluate(data, TEST, {"ours": descending(), "ease": constant()})
    alone = evaluate(data, TEST, {"ours": descending()})
    assert set(pooled([both, alone]).models) == {"ours"}


def test_one_fold_stays_as_it_is(data: SmallData) -> None:
    found = evaluate(data, TEST, {"ours": descending()})
    assert pooled([found]) is found
