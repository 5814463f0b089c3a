"""What the heads are asked about: candidates and rated events, each once."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from data.events import TEST
from data.queries import Queries, num_known
from data.schema import Split
from tests.trainer.small_data import CUTS, SmallData, random_data
from trainer.stages import answers as module
from trainer.stages.answers import likes, ratings
from trainer.stages.measure import split_sentence


class FakeStages:
    """Rates item i of user u by u + i / 100, and shows each user items 1 to 5."""

    model: Any = SimpleNamespace(config=SimpleNamespace(candidates=5), ratings=True)

    def __init__(self) -> None:
        self.retrieval: Any = SimpleNamespace(
            requests=self._requests, both=lambda requests: (None, None)
        )
        self.asked: list[tuple[int, int, int]] = []

    def _requests(self, queries: Queries, rows: np.ndarray) -> np.ndarray:
        columns = (queries.users[rows], queries.counts[rows], queries.times[rows])
        self.asked += [
            (int(u), int(c), int(t)) for u, c, t in zip(*columns, strict=True)
        ]
        return queries.users[rows]

    def outputs(
        self, requests: np.ndarray, item: np.ndarray, *_: object
    ) -> dict[str, np.ndarray]:
        return {"rating": (requests[:, None] + item / 100).astype(np.float32)}

    def candidates(self, queries: Queries, rows: np.ndarray) -> tuple[Any, ...]:
        item = np.tile(np.arange(1, 6), (len(rows), 1))
        there = np.broadcast_to(queries.users[rows, None] % 2 == 0, item.shape)
        logits = {"like": item.astype(np.float32)}
        return item, there, np.zeros((len(rows), 31), np.float32), logits


class Cut(SmallData):
    """Small data that tell when their parts begin."""

    def cut(self, part: int) -> int:
        """Return when a part begins."""
        return CUTS[part - 1]


@pytest.fixture
def data() -> Cut:
    found = random_data()
    log = found.events
    label = np.where(np.arange(len(log)) % 3 == 0, np.nan, log.item).astype(np.float32)
    return Cut(log.replace(label=label), found.num_items, found.servable)


@pytest.mark.parametrize(("width", "chunk"), [(2, 3), (32, 256)])
def test_every_rated_test_event_is_asked_once(
    data: Cut, width: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WIDTH", width)
    monkeypatch.setattr(module, "CHUNK", chunk)
    both: Any = FakeStages()
    found = ratings(data, both)  # type: ignore[arg-type]
    log, known = data.events, num_known(data.events, TEST)
    places = [
        p
        for p in np.flatnonzero(log.part == TEST)
        if np.isfinite(log.label[p]) and known[log.user[p]]
    ]
    assert found.users.tolist() == log.user[places].tolist()
    assert found.labels.tolist() == log.label[places].tolist()
    np.testing.assert_allclose(
        found.values, log.user[places] + log.item[places] / 100, rtol=1e-5
    )
    assert {(c, t) for _, c, t in both.asked} == {
        (int(known[u]), CUTS[1]) for u in log.user[places]
    }


def test_very_many_ratings_are_a_choice(
    data: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_RATINGS", 10)
    assert len(ratings(data, FakeStages())) == 10  # type: ignore[arg-type]


def test_likes_are_of_the_candidates_that_are_there(data: Cut) -> None:
    found = likes(data, FakeStages(), (2.0, -1.0))  # type: ignore[arg-type]
    queries = data.queries(TEST)
    asked = [q for q, user in enumerate(queries.users) if user % 2 == 0]
    assert found.users.tolist() == np.repeat(queries.users[asked], 5).tolist()
    expected = expit(2 * np.arange(1, 6) - 1.0)
    np.testing.assert_allclose(found.values.reshape(-1, 5), [expected] * len(asked))
    labels = [[i in queries.relevant[q] for i in range(1, 6)] for q in asked]
    assert found.labels.reshape(-1, 5).tolist() == np.array(labels, float).tolist()


def test_the_protocol_says_when_requests_are_made_and_how_ties_are_broken() -> None:
    once = split_sentence(Split(kind="leave_one_out"))
    assert "time of what is asked for is not used" in once
    assert "ordered by their order in the file" not in once
    assert "stand in the order of the file" in once
    assert "the rows of their items" in split_sentence(Split(ties="item"))
    assert "asked at the cut" in split_sentence(Split())
