"""Where the ranking model's negatives come from, and what its examples know."""

from dataclasses import dataclass

import numpy as np
import pytest

from data.events import TRAIN, EventLog
from data.prepared import Prepared
from trainer.config import RankingConfig
from trainer.ranking_examples import Examples, Source, build_examples
from trainer.ranking_inputs import Requests

CONFIG = RankingConfig(candidates=12, index_negatives=6, random_negatives=2)
NEAR, FAR = slice(1, 7), slice(7, 9)
LENGTH = 10


@dataclass(frozen=True)
class PlainScorer:
    """Scores that depend on who asks and how much the history holds."""

    num_items: int
    length: int = LENGTH

    def scores(self, requests: Requests) -> np.ndarray:
        """Return scores. Out: float32 (b, items + 1)."""
        items = np.arange(self.num_items + 1)
        seed = requests.user[:, None] * 31 + requests.history.sum(1)[:, None]
        return np.sin(seed * 7.7 + items * 12.9).astype(np.float32)


@pytest.fixture(scope="module")
def log(prepared: Prepared) -> EventLog:
    return prepared.events.through(TRAIN)


@pytest.fixture(scope="module")
def source(prepared: Prepared, log: EventLog) -> Source:
    cut = int(np.quantile(log.time, 0.7, method="higher"))
    return Source(PlainScorer(prepared.num_items), cut, int(log.time.max()) + 1)


@pytest.fixture(scope="module")
def examples(prepared: Prepared, log: EventLog, source: Source) -> Examples:
    return build_examples(prepared, log, source, CONFIG, seed=3)


def requests_of(columns: dict[str, np.ndarray]) -> Requests:
    names = ("user", "history", "time", "last_time")
    return Requests(**{name: columns[name] for name in names})


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
    for name in ("item", "like", "rating", "item_statistics", "retrieval_score"):
        np.testing.assert_array_equal(
            changed[name][early][own], examples.columns[name][early][own]
        )


def test_scores_are_the_source_s_own(source: Source, examples: Examples) -> None:
    columns = examples.columns
    scores = source.scorer.scores(requests_of(columns))
    expected = np.take_along_axis(scores, columns["item"], axis=1)
    np.testing.assert_array_equal(columns["retrieval_score"], expected)


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
    scorer = PlainScorer(prepared.num_items)
    source = Source(scorer, int(log.time[own[-1]]), int(log.time[own[-1]]) + 1)
    found = build_examples(few, log, source, CONFIG, seed=1).columns
    row = int(np.flatnonzero(found["user"] == user)[0])
    near = found["item"][row, NEAR]
    assert sorted(near[near > 0]) == sorted(left)
    assert (found["weight"][row, NEAR][near == 0] == 0).all()


def test_sources_are_joined(prepared: Prepared, log: EventLog, source: Source) -> None:
    middle = (source.cut + source.end) // 2
    parts = [
        build_examples(prepared, log, Source(source.scorer, *span), CONFIG, 3)
        for span in ((source.cut, middle), (middle, source.end))
    ]
    joined = Examples.joined(parts)
    late = np.sort(log.time[log.time >= source.cut])
    np.testing.assert_array_equal(np.sort(joined.columns["time"]), late)
    assert [f["retrieval_cut"] for f in joined.facts["sources"]] == [source.cut, middle]
