"""Parameter servers, as far as one process can show it; see also `test_workers`."""

import os
import signal
import socket
import threading
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from data.pipelines import sequence_batches
from data.prepared import Prepared
from trainer.config import RetrievalConfig, TrainConfig
from trainer.distributed import helper
from trainer.distributed.helper import Helper
from trainer.distributed.partition import Tables
from trainer.distributed.twin import Sharded, joined, opened
from trainer.errors import WorkerLost
from trainer.models.embeddings import look_up
from trainer.models.retrieval import RetrievalModel
from trainer.models.share import Share, taking


@pytest.mark.parametrize(
    ("name", "trainable", "shape", "parts"),
    [
        ("item_id/embeddings", None, [1_000, 8], [3, 1]),
        ("item_id/embeddings", True, [100, 8], [1, 1]),  # No part would hold enough.
        ("texts", False, [1_000, 8], [3, 1]),
        ("item_slots", False, [8_000], [3]),
        ("trend_table", False, [100, 1_000, 2], [1, 1, 1]),
        ("dense/kernel", True, [1_000, 8], [1, 1]),
        ("dense/kernel", None, [1_000, 8], [1, 1]),
    ],
)
def test_tables_are_divided_and_nothing_else(
    name: str, trainable: bool | None, shape: list[int], parts: list[int]
) -> None:
    tables = Tables(shard_bytes=3_000, servers=3)
    made = tables.creator(lambda **_: "made", name=name, trainable=trainable)
    assert made == "made"
    assert list(tables(tf.TensorShape(shape), tf.float32)) == parts


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 40),
    parts=st.integers(1, 5),
    width=st.sampled_from([(), (3,)]),
    asked=st.lists(st.integers(0, 39), min_size=0, max_size=12),
)
def test_rows_of_a_divided_table_are_those_of_the_whole(
    rows: int, parts: int, width: tuple[int, ...], asked: list[int]
) -> None:
    whole = np.arange(rows * int(np.prod(width)), dtype=np.int32)
    whole = whole.reshape(rows, *width)
    pieces = np.array_split(whole, min(parts, rows))  # As TensorFlow divides.
    table = Sharded([tf.Variable(piece) for piece in pieces])
    wanted = np.array(asked, np.int32)[:, None] % rows
    np.testing.assert_array_equal(look_up(table, tf.constant(wanted)), whole[wanted])


@pytest.fixture(scope="module")
def made(prepared: Prepared) -> tuple[RetrievalModel, dict[str, tf.Tensor]]:
    """Make a model that draws whatever can be drawn, and a batch of examples."""
    log = prepared.training().of(prepared.events)
    config = RetrievalConfig(
        loss="sampled_softmax",
        negatives=16,
        horizon=2,
        use_user_id=True,
        dim=8,
        dropout=0.2,
        item_id_dropout=0.3,
        user_id_dropout=0.3,
        block="mean",
        history_length=20,
    )
    model = RetrievalModel(
        prepared=prepared, log=log, texts=None, config=config, train=TrainConfig()
    )
    batches = sequence_batches(log.read, max_length=20, batch_size=33, seed=1)
    batch = next(iter(batches.epoch(0)))
    model.compute_loss(batch, training=False)
    return model, batch


def found(model: RetrievalModel, batch: dict[str, tf.Tensor]) -> tuple[float, Any]:
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    return float(loss), tape.gradient(loss, model.own_variables())


@pytest.mark.parametrize("number", [1, 2, 5])
def test_parts_of_a_batch_make_the_step_of_the_whole(made: Any, number: int) -> None:
    model, batch = made
    loss, expected = found(model, batch)
    parts = []
    for place in range(number):
        with taking(Share(number, tf.constant(place), meets=False)):
            parts.append(found(model, batch))
    assert sum(loss for loss, _ in parts) == pytest.approx(loss, rel=1e-5)
    whole = {v.ref() for v in model.encoded_whole.trainable_variables}
    own = [
        joined([opened(gradients[i]) for _, gradients in parts], v.ref() in whole)
        for i, v in enumerate(model.own_variables())
    ]
    # What a step is clipped by: rows that occur twice count twice in it.
    norms = [float(tf.linalg.global_norm(g)) for g in (own, expected)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    for one, other in zip(own, expected, strict=True):
        assert isinstance(one, tf.IndexedSlices) == isinstance(other, tf.IndexedSlices)
        values = [
            tf.math.unsorted_segment_sum(g.values, g.indices, 1_000)
            if isinstance(g, tf.IndexedSlices)
            else g
            for g in (one, other)
        ]
        np.testing.assert_allclose(*values, rtol=1e-4, atol=2e-5)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return one that serves a leader, and the leader, who listens."""
    monkeypatch.setattr(helper, "POLL_S", 0.02)
    monkeypatch.setattr(helper, "AWAY_S", 0.1)
    one = Helper.__new__(Helper)
    with socket.create_server(("127.0.0.1", 0)) as leader:
        one.leader = f"127.0.0.1:{leader.getsockname()[1]}"
        yield one, leader


def test_one_that_serves_ends_when_its_leader_is_away_for_long(served: Any) -> None:
    one, leader = served
    threading.Timer(0.3, leader.close).start()
    with pytest.raises(WorkerLost, match=r"127\.0\.0\.1.* has ended or is lost"):
        one.serve()


def test_one_that_serves_lets_its_leader_end_a_step_first(served: Any) -> None:
    one, leader = served
    ended = threading.Event()
    before = signal.getsignal(signal.SIGTERM)

    def end() -> None:
        ended.set()
        leader.close()

    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    threading.Timer(0.9, end).start()
    with pytest.raises(SystemExit, match="130"):
        one.serve()
    assert ended.is_set()
    assert signal.getsignal(signal.SIGTERM) is before
