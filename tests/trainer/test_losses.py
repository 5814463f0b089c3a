"""Each loss against its definition, written out slowly."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from trainer.models import losses
from trainer.models.losses import (
    Asked,
    FullSoftmax,
    Gbce,
    InBatch,
    Negatives,
    SampledSoftmax,
)
from trainer.models.met import NEVER, Met
from trainer.models.retrieval import nearest_items
from trainer.models.seeded import Step

ITEMS, DIM = 12, 5
KNOWN = np.array([1, 2, 3, 5, 6, 7, 9, 10, 11, 12], np.int32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ITEMS + 1, DIM)).astype(np.float32)


def asked(
    target: list[int], others: list[int] | None = None, near: list[list[int]] = ()
) -> Asked:
    rng = np.random.default_rng(len(target))
    count = len(target)
    hard = np.array(near, np.int32).reshape(count, -1)
    return Asked(
        query=tf.constant(rng.normal(size=(count, DIM)).astype(np.float32)),
        target=tf.constant(target, tf.int32),
        weight=tf.constant(rng.random(count).astype(np.float32)),
        others=tf.constant(others or [], tf.int32),
        near=tf.constant(hard),
    )


# Two histories; what each target's request had met is the first events of one.
HISTORY = [[5, 9, 5, 4, 0], [12, 1, 7, 3, 10]]


def met(owner: list[int], known: list[int]) -> tuple[Met, list[set[int]]]:
    each = [set(HISTORY[o][:k]) - {0} for o, k in zip(owner, known, strict=True)]
    columns = [tf.constant(x, tf.int32) for x in (HISTORY, owner, known)]
    return Met(**dict(zip(("history", "owner", "known"), columns, strict=True))), each


def softmax_loss(own: float, rivals: np.ndarray) -> float:
    return float(np.log(np.exp(np.r_[own, rivals] - own).sum()))


def negatives(*, number: int = 8, mixed: bool = False) -> Negatives:
    share = np.zeros(ITEMS + 1, np.float32)
    share[KNOWN] = np.arange(1, len(KNOWN) + 1) / 55
    return Negatives(
        tf.constant(KNOWN),
        tf.constant(share),
        number=number,
        mixed=mixed,
        step=Step(3),
    )


def test_full_softmax_takes_all_known_items(vectors: np.ndarray) -> None:
    found = asked([3, 12, 3])
    logits = found.query.numpy() @ vectors.T
    expected = sum(
        weight * softmax_loss(row[t], np.delete(row[KNOWN], np.searchsorted(KNOWN, t)))
        for row, t, weight in zip(logits, [3, 12, 3], found.weight.numpy(), strict=True)
    )
    loss = FullSoftmax(tf.constant(KNOWN), ITEMS)
    value = loss(found, lambda rows: tf.gather(vectors, rows))
    assert float(value) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("unseen_only", [False, True])
@pytest.mark.parametrize("chunk", [1, 4, 5, 9, 10])
def test_full_softmax_in_chunks_has_the_gradient_of_the_whole(
    vectors: np.ndarray,
    chunk: int,
    unseen_only: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(losses, "CHUNK_QUERIES", chunk)
    found = asked([3, 12, 3, 1, 2, 5, 12, 7, 9])
    hidden = np.zeros((9, len(KNOWN)), np.float32)
    if unseen_only:  # 12 and 5 are asked for where they had been met.
        given, each = met([0, 1, 1, 0, 1, 0, 1, 1, 0], [0, 1, 5, 2, 4, 3, 1, 2, 5])
        found = replace(found, met=given)
        pairs = zip(hidden, each, found.target.numpy(), strict=True)
        for row, rows, target in pairs:
            row[np.isin(KNOWN, list(rows - {target}))] = -1e9
        assert (hidden < 0).any()
    query, items = tf.Variable(100 * found.query), tf.Variable(vectors)
    loss = FullSoftmax(tf.constant(KNOWN), ITEMS)
    with tf.GradientTape() as tape:
        value = 3 * loss(replace(found, query=query), lambda r: tf.gather(items, r))
    with tf.GradientTape() as whole:
        logits = tf.matmul(query, tf.gather(items, KNOWN), transpose_b=True)
        logits += hidden
        labels = np.searchsorted(KNOWN, found.target)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        expected = 3 * tf.reduce_sum(entropy * found.weight)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    pairs = zip(
        tape.gradient(value, [query, items]),
        whole.gradient(expected, [query, items]),
        strict=True,
    )
    for ours, theirs in pairs:
        theirs = tf.convert_to_tensor(theirs)
        np.testing.assert_allclose(tf.convert_to_tensor(ours), theirs, atol=1e-3)


def test_full_softmax_of_no_target_is_nothing(vectors: np.ndarray) -> None:
    one = asked([3])
    none = replace(
        one, query=one.query[:0], target=one.target[:0], weight=one.weight[:0]
    )
    items = tf.Variable(vectors)
    loss = FullSoftmax(tf.constant(KNOWN), ITEMS)
    with tf.GradientTape() as tape:
        tape.watch(none.query)
        value = loss(none, lambda rows: tf.gather(items, rows))
    of_query, of_items = tape.gradient(value, [none.query, items])
    assert float(value) == 0
    assert of_query.shape == (0, DIM)
    assert not tf.convert_to_tensor(of_items).numpy().any()


NOTHING: list[set[int]] = [set()] * 4


@pytest.mark.parametrize("unseen_only", [False, True])
def test_in_batch_is_corrected_and_leaves_hits_out(
    vectors: np.ndarray, unseen_only: bool
) -> None:
    targets = [3, 7, 3, 9]
    given, each = met([1, 0, 1, 0], [3, 2, 5, 5])
    assert each == [{12, 1, 7}, {5, 9}, {12, 1, 7, 3, 10}, {5, 9, 4}]
    found = replace(asked(targets), met=given if unseen_only else None)
    hidden = each if unseen_only else NOTHING
    odds = np.linspace(0.1, 1, ITEMS + 1).astype(np.float32)
    logits = found.query.numpy() @ vectors[targets].T - np.log(odds[targets])
    expected = 0.0
    for i, target in enumerate(targets):
        rivals = [
            logits[i, j]
            for j, other in enumerate(targets)
            if other != target and other not in hidden[i]
        ]
        weight = float(found.weight[i])
        expected += weight * softmax_loss(logits[i, i], np.array(rivals))
    loss = InBatch(tf.constant(odds))
    value = loss(found, lambda rows: tf.gather(vectors, rows))
    assert float(value) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("log_q", [False, True])
@pytest.mark.parametrize("unseen_only", [False, True])
def test_sampled_softmax_is_corrected_for_the_odds(
    vectors: np.ndarray, mixed: bool, log_q: bool, unseen_only: bool
) -> None:
    drawn = negatives(mixed=mixed)
    others = [5, 9, 3, 12]
    given, each = met([0, 1], [1, 3])
    assert each == [{5}, {12, 1, 7}]
    found = asked([3, 7], others, near=[[5, 0], [1, 2]])
    found = replace(found, met=given if unseen_only else None)
    hidden = each if unseen_only else NOTHING
    share = drawn.share.numpy()
    odds = np.log(drawn.evenly / len(KNOWN) + drawn.from_batch * share) * log_q
    expected = 0.0
    for i, (target, near) in enumerate(((3, [5]), (7, [1, 2]))):
        logits = found.query.numpy()[i] @ vectors.T
        competing = [j for j in others if j != target and j not in hidden[i]]
        rivals = [logits[j] - odds[j] for j in competing]
        rivals += [logits[j] for j in near if j not in hidden[i]]
        loss = softmax_loss(logits[target], np.array(rivals))
        expected += float(found.weight[i]) * loss
    value = SampledSoftmax(drawn, log_q=log_q)(
        found, lambda rows: tf.gather(vectors, rows)
    )
    assert float(value) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("unseen_only", [False, True])
@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_weighs_the_positive(
    vectors: np.ndarray, calibration: float, unseen_only: bool
) -> None:
    drawn = negatives(number=3)
    others = [5, 7, 3]
    given, each = met([0, 1], [1, 3])
    found = replace(asked([3, 7], others), met=given if unseen_only else None)
    hidden = each if unseen_only else NOTHING
    rate = 3 / (len(KNOWN) - 1)
    power = rate * (calibration * (1 - 1 / rate) + 1 / rate)
    assert power == pytest.approx(1 - calibration * (1 - rate))
    expected = 0.0
    for i, target in enumerate((3, 7)):
        logits = found.query.numpy()[i] @ vectors.T
        loss = power * np.log1p(np.exp(-logits[target]))
        competing = [j for j in others if j != target and j not in hidden[i]]
        loss += sum(np.log1p(np.exp(logits[j])) for j in competing)
        expected += float(found.weight[i]) * loss
    loss = Gbce(drawn, calibration=calibration)
    value = loss(found, lambda rows: tf.gather(vectors, rows))
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_what_was_met_is_told_by_places_and_by_columns_alike() -> None:
    given, each = met([0, 1, 0, 1, 1], [0, 2, 5, 5, 3])
    rows = np.arange(1, ITEMS + 1)
    by_row = given.since(tf.constant(rows, tf.int32))
    columns = tf.constant(np.array(HISTORY) - 1, tf.int32)
    np.testing.assert_array_equal(by_row, given.since_columns(columns, ITEMS))
    assert by_row.numpy()[0, 4] == 0  # 5 is there from its first place on.
    assert by_row.numpy()[0, 0] == NEVER
    expected = [[int(row) in one for row in rows] for one in each]
    np.testing.assert_array_equal(given.by(by_row), expected)
    np.testing.assert_array_equal(given.by(by_row, slice(1, 3)), expected[1:3])
    wide = tf.constant(np.tile(rows, (5, 1)), tf.int32)
    np.testing.assert_array_equal(given.holds(wide), expected)


def test_draws_are_of_known_items_and_repeat_with_the_step() -> None:
    drawn = negatives(number=400, mixed=True)
    target = tf.constant([2, 12], tf.int32)
    first = drawn.draw(target).numpy()
    assert len(first) == 400
    assert set(first[:200]) == set(KNOWN.tolist())
    assert set(first[200:]) == {2, 12}
    np.testing.assert_array_equal(drawn.draw(target).numpy(), first)
    drawn.step.value.assign_add(1)
    assert (drawn.draw(target).numpy() != first).any()


def test_a_sampled_loss_is_the_full_one_in_the_mean(vectors: np.ndarray) -> None:
    # So many draws that each item stands there as often as its odds say.
    drawn = negatives(number=20_000, mixed=True)
    share = drawn.share.numpy()
    rng = np.random.default_rng(0)
    own = rng.choice(ITEMS + 1, 10_000, p=share / share.sum())
    even = drawn.draw(tf.constant([1], tf.int32)).numpy()[: drawn.evenly]
    found = asked([6, 11], [*even.tolist(), *own.tolist()])

    def encode(rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(vectors, rows)

    sampled = float(SampledSoftmax(drawn)(found, encode))
    full = float(FullSoftmax(tf.constant(KNOWN), ITEMS)(found, encode))
    assert sampled == pytest.approx(full, rel=0.03)


def test_nearest_items_are_others_that_are_known() -> None:
    vectors = np.zeros((6, 2), np.float32)
    vectors[1:] = [[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [1, 0.05]]
    found = nearest_items(vectors, np.array([1, 2, 3, 4]), 1)
    assert found[:, 0].tolist() == [0, 2, 1, 4, 3, 0]
    wide = nearest_items(vectors, np.array([1, 2]), 3)
    assert wide[1].tolist() == [2, 0, 0]
