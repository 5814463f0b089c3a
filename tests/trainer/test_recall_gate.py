"""The recall gate: passes what finds enough, and says what is missing otherwise."""

import numpy as np
import pytest
import tensorflow as tf

from data.events import TRAIN
from data.prepared import Prepared
from trainer.config import ExportConfig, RetrievalConfig, TrainConfig
from trainer.errors import GateRefused
from trainer.evaluation.scorers import RetrievalScorer
from trainer.export.recall_gate import IndexQueries, checked, index_queries
from trainer.models.index.brute_force import BruteForce
from trainer.models.retrieval import RetrievalModel

ITEMS, DIM = 60, 4


class HalfBlind(BruteForce):
    """Finds nothing among the rows of even number."""

    kind = "half_blind"

    def search(
        self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        even = tf.range(0, ITEMS + 1, 2)[None]
        even = tf.repeat(even, tf.shape(queries)[0], axis=0)
        return super().search(queries, k, tf.concat([excluded, even], axis=1))


@pytest.fixture(scope="module")
def tables() -> tuple[np.ndarray, np.ndarray]:
    vectors = np.random.default_rng(0).normal(size=(ITEMS + 1, DIM))
    return vectors.astype(np.float32), np.r_[False, np.ones(ITEMS, bool)]


@pytest.fixture(scope="module")
def queries() -> IndexQueries:
    found = np.random.default_rng(1).normal(size=(16, DIM)).astype(np.float32)
    return IndexQueries(found[:8], found[8:], "users")


def test_what_finds_all_passes_with_its_figures(
    tables: tuple[np.ndarray, np.ndarray], queries: IndexQueries
) -> None:
    config = ExportConfig(recall_k=20)
    found = checked(BruteForce(*tables), *tables, queries, config)
    assert found["recall"] == 1
    assert (found["k"], found["queries"], found["queries_of"]) == (20, 8, "users")
    assert 0 < found["single"]["median_ms"] <= found["single"]["p99_ms"]


def test_what_finds_half_is_refused(
    tables: tuple[np.ndarray, np.ndarray], queries: IndexQueries
) -> None:
    config = ExportConfig(recall_k=20, recall_floor=0.9)
    with pytest.raises(GateRefused) as caught:
        checked(HalfBlind(*tables), *tables, queries, config)
    message = str(caught.value)
    for part in ("half_blind", "best 20", "8 queries", "0.9", "recall_floor"):
        assert part in message
    # The kind is none of the configuration's: it may stand in for either.
    assert '[export] retrieval_index = "brute_force"' in message
    assert '[export] recommender_index = "brute_force"' in message
    share = float(message.split("finds ")[1].split(" of")[0])
    assert 0.2 < share < 0.8


def test_a_refusal_names_the_key_to_change(
    tables: tuple[np.ndarray, np.ndarray],
    queries: IndexQueries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(HalfBlind, "kind", "partitioned")
    config = ExportConfig(recall_k=20, retrieval_index="scann")
    with pytest.raises(GateRefused, match="Nothing was published") as caught:
        checked(HalfBlind(*tables), *tables, queries, config)
    assert 'Set [export] recommender_index = "brute_force", or' in str(caught.value)
    assert "retrieval_index" not in str(caught.value)


def test_a_k_above_the_catalogue_asks_for_all_of_it(
    tables: tuple[np.ndarray, np.ndarray], queries: IndexQueries
) -> None:
    found = checked(BruteForce(*tables), *tables, queries, ExportConfig())
    assert (found["k"], found["recall"]) == (ITEMS, 1)


def test_users_ask_and_others_measure(prepared: Prepared) -> None:
    log = prepared.events.through(TRAIN)
    config = RetrievalConfig(dim=8, blocks=1, heads=1, history_length=10)
    model = RetrievalModel(
        prepared=prepared, log=log, texts=None, config=config, train=TrainConfig()
    )
    scorer = RetrievalScorer(model, prepared, log)
    width = 8 + model.query_tower.trend_width
    vectors = np.zeros((prepared.num_items + 1, width), np.float32)
    found = index_queries(scorer, log, 10**9, vectors, prepared.servable)
    assert found.of == "users"
    number = min(int((log.user_counts() > 0).sum()), 1_024)
    assert len(found.tuning) == number // 2
    assert len(found.measuring) == number - number // 2
    assert found.tuning.shape[1] == width
    empty = log.earlier_than(int(log.time.min()))
    assert index_queries(scorer, empty, 0, vectors, prepared.servable).of == "items"
