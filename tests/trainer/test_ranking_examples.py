"""Where the ranking model's negatives come from, and what its examples know."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from data.events import TEST, TRAIN, VALIDATION, EventLog
from data.prepared import Prepared
from trainer.config import RankingConfig
from trainer.fitting.asked import later_events, slice_moments
from trainer.fitting.ranking_examples import (
    Examples,
    Source,
    build_examples,
    horizon_of,
)
from trainer.inputs.affinity import Affinity
from trainer.inputs.requests import RankingInputs, Requests

CONFIG = RankingConfig(
    candidates=12, index_negatives=6, random_negatives=2, affinity_dim=4
)
NEAR, FAR = slice(1, 7), slice(7, 9)
LENGTH = 10
HORIZON = 5 * 86_400


@dataclass(frozen=True)
class PlainScorer:
    """Scores that depend on who asks and how much the history holds."""

    num_items: int
    length: int = LENGTH

    def counting(self, prepared: Prepared, counted: EventLog) -> "PlainScorer":
        """Return itself: it knows no trend."""
        return self

    def scores(self, requests: Requests) -> np.ndarray:
        """Return scores. Out: float32 (b, items + 1)."""
        items = np.arange(self.num_items + 1)
        seed = requests.user[:, None] * 31 + requests.history.sum(1)[:, None]
        return np.sin(seed * 7.7 + items * 12.9).astype(np.float32)

    def both(self, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores and others, as if there were a trend."""
        scores = self.scores(requests)
        return scores, scores / 2


@pytest.fixture(scope="module")
def log(prepared: Prepared) -> EventLog:
    return prepared.events.through(TRAIN)


@pytest.fixture(scope="module")
def source(prepared: Prepared, log: EventLog) -> Source:
    cut = int(np.quantile(log.time, 0.7, method="higher"))
    affinity = Affinity.of(log.earlier_than(cut), prepared.num_items, 4)
    scorer = PlainScorer(prepared.num_items)
    return Source(scorer, affinity, cut, int(log.time.max()) + 1)


@pytest.fixture(scope="module")
def examples(prepared: Prepared, log: EventLog, source: Source) -> Examples:
    return build_examples(prepared, log, source, CONFIG, seed=3)


def requests_of(columns: dict[str, np.ndarray]) -> Requests:
    names = ("user", "history", "time", "last_time")
    count = np.zeros(len(columns["user"]), np.int64)
    return Requests(**{name: columns[name] for name in names}, count=count)


def allowed_items(prepared: Prepared, log: EventLog, user: int) -> np.ndarray:
    met = log.item[log.user == user]
    return np.setdiff1d(np.flatnonzero(prepared.servable), met)


def test_near_negatives_are_first_candidates(
    prepared: Prepared, log: EventLog, source: Source, examples: Examples
) -> None:
    columns = examples.columns
    scores = source.scorer.scores(requests_of(columns))
    places = []
    for row, user in enumerate(columns["user"]):
        allowed = allowed_items(prepared, log, user)
        best = allowed[np.argsort(-scores[row, allowed])][: CONFIG.candidates]
        near = columns["item"][row, NEAR]
        assert len(set(near)) == CONFIG.index_negatives
        assert set(near) <= set(best)  # A tenth of the catalogue: chance fails at once.
        places += [np.flatnonzero(best == item)[0] for item in near]
    # Drawn from all candidates alike, not the first six of them.
    assert np.bincount(places, minlength=CONFIG.candidates).min() > 0
    assert abs(np.mean(places) - (CONFIG.candidates - 1) / 2) < 0.3


def test_no_negative_was_ever_met(
    prepared: Prepared, log: EventLog, examples: Examples
) -> None:
    columns = examples.columns
    for user, item in zip(columns["user"], columns["item"], strict=True):
        negatives = item[1:][item[1:] > 0]
        assert set(negatives) <= set(allowed_items(prepared, log, user))
    far = columns["item"][:, FAR]
    assert 0.5 < (far > 0).mean() < 1  # Those that hit a met item are left out.
    assert len(np.unique(far)) > 0.8 * prepared.servable.sum()


def test_an_event_makes_one_example(
    log: EventLog, source: Source, examples: Examples
) -> None:
    columns = examples.columns
    late = log.time >= source.cut
    assert 0.2 < late.mean() < 0.4
    np.testing.assert_array_equal(columns["user"], log.user[late])
    np.testing.assert_array_equal(columns["item"][:, 0], log.item[late])
    np.testing.assert_array_equal(columns["time"], log.time[late])
    np.testing.assert_array_equal(columns["like"][:, 0], log.positive[late])
    np.testing.assert_array_equal(columns["rating"][:, 0], log.label[late])
    assert not columns["like"][:, 1:].any()
    assert not columns["rating_weight"][:, 1:].any()
    assert (columns["rating_weight"][:, 0] == 1).all()
    used = columns["item"] > 0
    np.testing.assert_array_equal(columns["weight"] > 0, used)


def test_examples_know_strictly_earlier_events(
    prepared: Prepared, log: EventLog, examples: Examples
) -> None:
    columns = examples.columns
    for row in range(0, len(columns["user"]), 7):
        user, time = columns["user"][row], columns["time"][row]
        past = (log.user == user) & (log.time < time)
        expected = log.item[past][-LENGTH:].tolist()
        padding = [0] * (LENGTH - len(expected))
        assert columns["history"][row].tolist() == expected + padding
        last = int(log.time[past].max()) if past.any() else 0
        assert columns["last_time"][row] == last
        counts = np.bincount(
            log.item[log.time < time], minlength=len(prepared.servable)
        )
        found = columns["item_statistics"][row, :, 0]
        expected = np.log1p(counts[columns["item"][row]]) / 5
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_no_later_event_changes_an_example(
    prepared: Prepared, log: EventLog, source: Source, examples: Examples
) -> None:
    """What is known at a request's time is the same under another future."""
    middle = int(np.quantile(log.time, 0.85))
    rng = np.random.default_rng(0)
    later = log.time >= middle
    items = np.where(later, rng.permutation(log.item), log.item)
    positive = np.where(later, ~log.positive, log.positive)
    other = log.replace(item=items, positive=positive)
    changed = build_examples(prepared, other, source, CONFIG, seed=3).columns
    early = examples.columns["time"] < middle
    assert 0.3 < early.mean() < 0.7
    for name in ("user", "history", "time", "last_time", "user_statistics"):
        np.testing.assert_array_equal(
            changed[name][early], examples.columns[name][early]
        )
    own = (slice(None), 0)
    for name in ("item", "like", "rating", "item_statistics", "affinity"):
        np.testing.assert_array_equal(
            changed[name][early][own], examples.columns[name][early][own]
        )


def test_without_times_no_answer_is_counted(
    prepared: Prepared, log: EventLog, source: Source
) -> None:
    """What was liked is told by no share of it: of an item, or of who is asked."""
    manifest = {**prepared.manifest, "time": {"known": False}}
    timeless = Prepared(prepared.folder, manifest)
    late = log.time >= source.cut
    other = log.replace(positive=np.where(late, ~log.positive, log.positive))
    first, second = (
        build_examples(timeless, one, source, CONFIG, seed=3).columns
        for one in (log, other)
    )
    np.testing.assert_array_equal(first["item_statistics"], second["item_statistics"])
    assert (first["item_statistics"][..., 0] > 0).mean() > 0.5
    assert (first["like"][:, 0] != second["like"][:, 0]).all()
    oldest = np.unique(first["user"], return_index=True)[1]  # Of each user's requests.
    np.testing.assert_array_equal(
        first["user_statistics"][oldest], second["user_statistics"][oldest]
    )
    assert len(oldest) > 20


def test_standings_are_of_the_source_s_scores(
    prepared: Prepared, source: Source, examples: Examples
) -> None:
    columns = examples.columns
    scores = source.scorer.scores(requests_of(columns))
    own = np.take_along_axis(scores, columns["item"], axis=1)
    all_ = scores[:, 1:][:, prepared.servable[1:]]
    mean, deviation = all_.mean(1, keepdims=True), all_.std(1, keepdims=True)
    expected = (own - mean) / deviation
    np.testing.assert_allclose(columns["standing"][..., 0], expected, atol=1e-4)
    np.testing.assert_allclose(columns["standing"][..., 2], own / 2, atol=1e-6)


def test_negatives_stand_for_all_that_were_not_met(
    prepared: Prepared, log: EventLog, examples: Examples
) -> None:
    """Weighted by what they stand for, the negatives are as many as there are."""
    columns = examples.columns
    for row in range(0, len(columns["user"]), 11):
        number = len(allowed_items(prepared, log, columns["user"][row]))
        share, there = columns["stands_for"][row], columns["item"][row] > 0
        of_near = 1 / share[0]
        assert share[NEAR][there[NEAR]].sum() * of_near == pytest.approx(12, rel=1e-4)
        if there[FAR].any():
            far = share[FAR][there[FAR]].sum() * of_near
            assert far == pytest.approx(number - 12, rel=1e-4)


def test_facts(log: EventLog, source: Source, examples: Examples) -> None:
    facts, items = examples.facts, examples.columns["item"]
    assert facts["examples"] == len(items)
    assert facts["retrieval_cut"] == source.cut <= facts["first_example_time"]
    assert facts["negatives_from_index"] == (items[:, NEAR] > 0).sum()
    assert facts["negatives_at_random"] == (items[:, FAR] > 0).sum()
    both = facts["negatives_from_index"] + facts["negatives_at_random"]
    assert facts["share_from_index"] == facts["negatives_from_index"] / both >= 0.5


def test_seed_decides(prepared: Prepared, log: EventLog, source: Source) -> None:
    one, same, other = (
        build_examples(prepared, log, source, CONFIG, seed).columns["item"]
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_fewer_items_than_negatives(prepared: Prepared, log: EventLog) -> None:
    """Where nearly everything was met, what is missing is padding without weight."""
    user = int(np.argmax(log.user_counts()))
    own = np.flatnonzero(log.user == user)
    servable = np.zeros_like(prepared.servable)
    left = allowed_items(prepared, log, user)[:3]
    servable[np.r_[left, log.item[own]]] = True
    few = Prepared(prepared.folder, prepared.manifest)
    few.__dict__["servable"] = servable
    scorer, last = PlainScorer(prepared.num_items), int(log.time[own[-1]])
    source = Source(scorer, Affinity.of(log, prepared.num_items, 4), last, last + 1)
    found = build_examples(few, log, source, CONFIG, seed=1).columns
    row = int(np.flatnonzero(found["user"] == user)[0])
    near = found["item"][row, NEAR]
    assert sorted(near[near > 0]) == sorted(left)
    assert (found["weight"][row, NEAR][near == 0] == 0).all()


def test_sources_are_joined(prepared: Prepared, log: EventLog, source: Source) -> None:
    middle = (source.cut + source.end) // 2
    parts = [
        build_examples(prepared, log, replace(source, cut=a, end=b), CONFIG, 3)
        for a, b in ((source.cut, middle), (middle, source.end))
    ]
    joined = Examples.joined(parts)
    late = np.sort(log.time[log.time >= source.cut])
    np.testing.assert_array_equal(np.sort(joined.columns["time"]), late)
    assert [f["retrieval_cut"] for f in joined.facts["sources"]] == [source.cut, middle]


@pytest.fixture(scope="module")
def later(prepared: Prepared, log: EventLog, source: Source) -> Examples:
    asking = replace(source, horizon_s=HORIZON)
    return build_examples(prepared, log, asking, CONFIG, seed=3)


def test_likes_lie_within_the_horizon(
    log: EventLog, source: Source, later: Examples
) -> None:
    columns = later.columns
    met = slice(0, CONFIG.likes + CONFIG.dislikes)
    asked = range(0, len(columns["user"]), 3)
    for row in asked:
        user, time = columns["user"][row], columns["time"][row]
        assert source.cut <= time < source.end
        own = log.user == user
        past = log.item[own & (log.time < time)]
        after = own & (log.time >= time) & (log.time < time + HORIZON)
        items = columns["item"][row, met]
        liked = columns["like"][row, met] > 0
        assert liked.any()
        assert set(items[liked]) <= set(log.item[after & log.positive])
        assert set(items[~liked & (items > 0)]) <= set(log.item[after & ~log.positive])
        assert not set(items) & set(past)
        assert len(past) > 0
        assert columns["last_time"][row] < time
    assert len(asked) > 20
    assert not columns["like"][:, met.stop :].any()


def test_users_are_asked_at_slices_and_at_events(
    log: EventLog, source: Source, later: Examples
) -> None:
    moments = slice_moments(log, source.cut, source.end, CONFIG.slices)
    assert moments[0] == source.cut
    assert len(moments) == CONFIG.slices
    at_slice = np.isin(later.columns["time"], moments)
    assert at_slice.any()
    pairs = list(
        zip(
            later.columns["user"][~at_slice],
            later.columns["time"][~at_slice],
            strict=True,
        )
    )
    assert pairs
    most = max(Counter(user for user, _ in pairs).values())
    assert most <= CONFIG.requests_per_user
    events = set(zip(log.user, log.time, strict=True))
    assert set(pairs) <= events


def test_nothing_after_the_source_s_end_is_read(
    prepared: Prepared, log: EventLog, source: Source
) -> None:
    """A horizon that reaches beyond the end finds only what lies before it."""
    end = int(np.quantile(log.time, 0.85))
    asking = replace(source, end=end, horizon_s=HORIZON * 100)
    rng = np.random.default_rng(0)
    late = log.time >= end
    items = np.where(late, rng.permutation(log.item), log.item)
    changed = log.replace(item=items, positive=np.where(late, True, log.positive))
    asked = [
        later_events(one, source.cut, end, asking.horizon_s, CONFIG, _rng())
        for one in (log, changed)
    ]
    assert len(asked[0]) > 20
    for name in ("user", "time", "count", "item", "like", "label", "weight"):
        np.testing.assert_array_equal(getattr(asked[0], name), getattr(asked[1], name))


def test_later_features_know_the_past_alone(
    prepared: Prepared, log: EventLog, source: Source, later: Examples
) -> None:
    """Events from a request on change what is asked for, never what is known."""
    middle = int(np.quantile(log.time, 0.85))
    rng = np.random.default_rng(1)
    late = log.time >= middle
    positive = np.where(late, rng.random(len(log)) < 0.5, log.positive)
    other = log.replace(positive=positive)
    inputs = [RankingInputs.of(prepared, one, source.affinity) for one in (log, other)]
    rows = np.flatnonzero(later.columns["time"] <= middle)
    assert len(rows) > 20
    user, time = later.columns["user"][rows], later.columns["time"][rows]
    item = later.columns["item"][rows]
    found = []
    for one in inputs:
        count = one.log.counts_before(user, time)
        requests = Requests.of(one.log, user, count, time, LENGTH)
        found.append(one.columns(requests, item, *source.scorer.both(requests)))
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name], err_msg=name)
        expected = later.columns[name][rows]
        np.testing.assert_allclose(values, expected, atol=1e-5, err_msg=name)


def _rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_auto_asks_for_later_where_time_parts_the_events(prepared: Prepared) -> None:
    begin, end = prepared.cut(VALIDATION), prepared.cut(TEST)
    assert begin is not None
    assert end is not None
    assert horizon_of(prepared, RankingConfig()) == end - begin
    assert horizon_of(prepared, RankingConfig(answers="next")) == 0
    assert horizon_of(prepared, RankingConfig(horizon_days=2)) == 2 * 86_400
