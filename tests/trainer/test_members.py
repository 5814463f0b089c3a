"""Several pairs of towers: their mean is the score, and each learns as if alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from data.events import TRAIN, EventLog
from data.pipelines import sequence_batches
from data.prepared import Prepared
from trainer.config import RetrievalConfig, TrainConfig
from trainer.models.members import unit, unit_rows
from trainer.models.retrieval import RetrievalModel
from trainer.models.seeded import Step
from trainer.models.towers import Texts

LENGTH, DIM = 12, 8
CERTAIN = {"dropout": 0.0, "item_id_dropout": 0.0, "user_id_dropout": 0.0}


def model_of(prepared: Prepared, log: EventLog, **fields: Any) -> RetrievalModel:
    tf.keras.utils.set_random_seed(1)
    vectors = np.random.default_rng(0).normal(size=(prepared.num_items + 1, 6))
    config = {"dim": DIM, "history_length": LENGTH, "blocks": 1, **fields}
    model = RetrievalModel(
        prepared=prepared,
        log=log,
        texts=Texts(vectors=vectors.astype(np.float32)),
        config=RetrievalConfig(**config),
        train=TrainConfig(),
    )
    row, time = tf.zeros([1], tf.int32), tf.zeros([1], tf.int64)
    history = tf.zeros([1, LENGTH], tf.int32)
    model.queries(model.item_tower(row), row, history, time, time)
    for n, variable in enumerate(model.trainable_variables):
        noise = 0.1 * tf.random.stateless_normal(variable.shape, (n, 3))
        variable.assign_add(noise)
    return model


@pytest.fixture(scope="module", autouse=True)
def eagerly() -> Iterator[None]:
    """Each graph would be called once or twice, in less time than it is traced."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def log(prepared: Prepared) -> EventLog:
    return prepared.events.through(TRAIN)


@pytest.fixture(scope="module")
def batch(log: EventLog) -> dict[str, tf.Tensor]:
    batches = sequence_batches(log, max_length=LENGTH, batch_size=4, seed=0)
    return dict(batches.gather(tf.constant([0, 1, 2, 3], tf.int64)))


def alone(several: RetrievalModel, number: int) -> list[tf.Variable]:
    """Return a member's own weights, in the order of a model that has no others."""
    return [
        *several.item_tower.members[number].trainable_variables,
        *several.query_tower.members[number].trainable_variables,
    ]


def towers_of(model: RetrievalModel) -> list[tf.Variable]:
    tower, queries = model.item_tower, model.query_tower
    return [*tower.trainable_variables, *queries.trainable_variables]


def taken_apart(
    several: RetrievalModel, prepared: Prepared, log: EventLog, **fields: Any
) -> list[RetrievalModel]:
    """Return a model of its own for each member, with the member's weights."""
    models = []
    for number in range(several.config.members):
        model = model_of(prepared, log, **fields)
        own, theirs = towers_of(model), alone(several, number)
        assert [v.shape for v in own] == [v.shape for v in theirs]
        for variable, value in zip(own, theirs, strict=True):
            variable.assign(value)
        models.append(model)
    return models


def scores(model: RetrievalModel, prepared: Prepared) -> np.ndarray:
    """Score all items for three requests, at a moment with some trend."""
    vectors = model.item_vectors(prepared.num_items)
    history = np.zeros((3, LENGTH), np.int32)
    history[0, :2], history[1, :LENGTH] = (3, 5), range(1, LENGTH + 1)
    times = (np.array([90_000, 90_000, 500_000]), np.array([9, 80_000, 0]))
    user = tf.constant([1, 2, 0])
    queries = model.encode_queries(
        tf.constant(vectors), user, tf.constant(history), *map(tf.constant, times)
    )
    trend = np.random.default_rng(1).random((prepared.num_items + 1, 2), np.float32)
    return np.asarray(queries @ model.index_vectors(vectors, trend).T)


@pytest.mark.parametrize(
    "fields",
    [{}, {"use_trend": False, "use_time": False, "use_user_id": False}],
    ids=["all", "histories alone"],
)
def test_the_score_is_the_mean_of_the_members(
    prepared: Prepared, log: EventLog, fields: dict[str, Any]
) -> None:
    several = model_of(prepared, log, members=3, block="mean", **fields)
    if not fields:
        several.boost_trend(0.5)
    singles = taken_apart(several, prepared, log, block="mean", **fields)
    for model in singles:
        model.boost_trend(0.5)
    each = [scores(model, prepared) for model in singles]
    assert np.abs(each[0] - each[1]).max() > 0.1
    np.testing.assert_allclose(
        scores(several, prepared), np.mean(each, axis=0), atol=1e-5
    )


@pytest.mark.parametrize("loss", ["in_batch", "full_softmax", "gbce"])
def test_a_member_learns_as_if_alone(
    prepared: Prepared, log: EventLog, batch: dict[str, tf.Tensor], loss: str
) -> None:
    fields = {**CERTAIN, "loss": loss, "negatives": 16}
    several = model_of(prepared, log, members=2, **fields)
    singles = taken_apart(several, prepared, log, **fields)
    with tf.GradientTape() as tape:
        together = several.compute_loss(batch, training=True)
    found = tape.gradient(together, [alone(several, n) for n in range(2)])
    losses = []
    for number, model in enumerate(singles):
        with tf.GradientTape() as tape:
            losses.append(model.compute_loss(batch, training=True))
        own = tape.gradient(losses[-1], towers_of(model))
        for theirs, gradient in zip(found[number], own, strict=True):
            assert (theirs is None) == (gradient is None)
            if theirs is not None:
                np.testing.assert_allclose(
                    2 * tf.convert_to_tensor(theirs),
                    tf.convert_to_tensor(gradient),
                    atol=1e-5,
                )
    assert abs(float(losses[0]) - float(losses[1])) > 1e-3
    np.testing.assert_allclose(together, np.mean(losses), rtol=1e-5)


def test_members_draw_for_themselves() -> None:
    step = Step(1)
    other = step.of_member(1)
    assert step.of_member(0) is step
    x = tf.ones([1_000])
    kept = [s.dropout(x, 0.5, "a").numpy() > 0 for s in (step, other)]
    assert (kept[0] != kept[1]).any()
    step.value.assign_add(1)
    assert other.value.numpy() == 1
    assert (other.dropout(x, 0.5, "a").numpy() > 0).tolist() != kept[1].tolist()


def test_every_part_of_a_vector_counts_the_same() -> None:
    vectors = np.array([[3.0, 4.0, 0.0, 0.1], [0, 0, 0, 0]], np.float32)
    expected = np.array([[0.6, 0.8, 0, 1], [0, 0, 0, 0]]) / np.sqrt(2)
    np.testing.assert_allclose(unit_rows(vectors, 2), expected, atol=1e-6)
    np.testing.assert_allclose(unit(tf.constant(vectors), 2), expected, atol=1e-6)
