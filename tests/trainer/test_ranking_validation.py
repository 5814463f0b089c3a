"""What validation asks of the ranking model, and what it chooses."""

from dataclasses import dataclass

import numpy as np
import pytest

from data.events import TEST, TRAIN, VALIDATION
from data.prepared import Prepared
from trainer.fitting.questions import MOMENTS, Questions
from trainer.fitting.ranking_validation import (
    RankingValidation,
    best_trust,
    best_weight,
)
from trainer.inputs.affinity import Affinity
from trainer.inputs.requests import RankingInputs, Requests

LIMIT = 10_000


@dataclass(frozen=True)
class FixedScorer:
    """The same scores for everyone."""

    row: np.ndarray
    length: int = 10

    def both(self, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and cosines. Out: float32 (b, items + 1)."""
        scores = np.tile(self.row, (len(requests.user), 1)).astype(np.float32)
        return scores, scores


@pytest.fixture(scope="module")
def questions(prepared: Prepared) -> Questions:
    return Questions.of(prepared, LIMIT, seed=0)


def test_the_first_questions_are_the_evaluation_s(
    prepared: Prepared, questions: Questions
) -> None:
    queries, begin = prepared.queries(VALIDATION), prepared.cut(VALIDATION)
    first = np.flatnonzero(questions.time == begin)
    np.testing.assert_array_equal(questions.user[first], queries.users)
    np.testing.assert_array_equal(questions.count[first], queries.counts)
    for row, relevant in zip(first, queries.relevant, strict=True):
        liked = questions.liked[questions.liked[:, 0] == row, 1]
        np.testing.assert_array_equal(np.sort(liked), relevant)
    assert len(np.unique(questions.time)) == MOMENTS


def test_questions_are_asked_as_queries(
    prepared: Prepared, questions: Questions
) -> None:
    queries, log = questions.queries(prepared.events), prepared.events
    assert len(queries) == len(questions) > 50
    for row, (user, count) in enumerate(
        zip(questions.user, questions.count, strict=True)
    ):
        met = log.item[log.start[user] : log.start[user] + count]
        assert queries.seen[row].tolist() == sorted(set(met.tolist()))
        liked = questions.liked[questions.liked[:, 0] == row, 1]
        assert queries.relevant[row].tolist() == sorted(liked.tolist())
        assert not set(liked.tolist()) & set(met.tolist())


def test_questions_know_nothing_of_the_test_part(prepared: Prepared) -> None:
    log, end = prepared.events, prepared.cut(TEST)
    late = log.time >= end
    changed = Prepared(prepared.folder, prepared.manifest)
    items = np.where(late, np.random.default_rng(0).permutation(log.item), log.item)
    changed.__dict__["events"] = log.replace(item=items, positive=late | log.positive)
    for limit in (LIMIT, 30):
        one, other = (Questions.of(p, limit, seed=1) for p in (prepared, changed))
        for name, values in vars(one).items():
            np.testing.assert_array_equal(values, getattr(other, name))
        assert len(one) <= limit


def test_fewer_questions_keep_their_likes(
    prepared: Prepared, questions: Questions
) -> None:
    some = Questions.of(prepared, 25, seed=3)
    everything = _likes(questions)
    assert len(some) == 25
    for key, liked in _likes(some).items():
        assert everything[key] == liked


def _likes(asked: Questions) -> dict[tuple[int, int], set[int]]:
    return {
        (int(asked.user[row]), int(asked.time[row])): set(
            asked.liked[asked.liked[:, 0] == row, 1].tolist()
        )
        for row in range(len(asked))
    }


def test_ndcg_of_retrieval_s_own_order(
    prepared: Prepared, questions: Questions
) -> None:
    """Without the affinity the figure is that of retrieval's list, done by hand."""
    log = prepared.events
    training = log.through(TRAIN)
    row = training.item_counts(prepared.num_items) + np.linspace(
        0, 0.5, prepared.num_items + 1
    )
    affinity = Affinity.of(training, prepared.num_items, 4)
    inputs = RankingInputs.of(prepared, log, affinity)
    validation = RankingValidation(FixedScorer(row), inputs, questions, 20)
    expected = []
    for place, (key, liked) in enumerate(_likes(questions).items()):
        own = slice(log.start[key[0]], log.start[key[0]] + int(questions.count[place]))
        scores = np.where(prepared.servable, row, -np.inf)
        scores[log.item[own]] = -np.inf
        best = np.argsort(-scores)[:10]
        gains = 1 / np.log2(np.arange(2, 12))
        hit = np.array([item in liked for item in best])
        expected.append((gains * hit).sum() / gains[: len(liked)].sum())
    found = validation.try_affinity()
    assert found["0.0"] == pytest.approx(np.mean(expected), rel=1e-6)
    assert found[str(best_weight(found))] == max(found.values())


def test_the_least_wins_a_tie() -> None:
    assert best_weight({"0.0": 0.2, "0.1": 0.2, "0.3": 0.1}) == 0.0
    assert best_trust({"0.0": 0.1, "0.5": 0.3, "1.0": 0.3}) == 0.5
    assert (best_weight({}), best_trust({})) == (0.0, 1.0)
