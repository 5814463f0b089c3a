"""The towers: causal, blind to ties, seeded, and able to do without ids."""

from collections import Counter
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

from data.events import TRAIN, EventLog
from data.pipelines import plan_windows, sequence_batches
from data.prepared import Prepared
from trainer.config import Encoder, RetrievalConfig, TrainConfig
from trainer.models.retrieval import RetrievalModel
from trainer.models.seeded import Step
from trainer.models.sequence_encoder import SequenceEncoder
from trainer.models.towers import Texts

LENGTH, DIM = 12, 8
STEPS, ROWS = 4, 100
Batch = dict[str, tf.Tensor]


def encoder(
    seed: int = 1, rate: float = 0.5, block: Encoder = "transformer"
) -> SequenceEncoder:
    tf.keras.utils.set_random_seed(0)
    layer = SequenceEncoder(
        dim=DIM,
        blocks=2,
        heads=2,
        length=LENGTH,
        rate=rate,
        step=Step(seed),
        block=block,
    )
    layer(tf.zeros([1, LENGTH, DIM]))
    for variable in layer.trainable_variables:  # Biases begin at zero and hide faults.
        noise = tf.random.stateless_normal(variable.shape, [seed, 1], stddev=0.3)
        variable.assign_add(noise)
    return layer


def histories(seed: int = 0, rows: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, LENGTH, DIM)).astype(np.float32)


@pytest.mark.parametrize("block", get_args(Encoder))
@pytest.mark.parametrize("place", [0, 5, LENGTH - 1])
def test_a_state_sees_earlier_events_only(place: int, block: Encoder) -> None:
    layer, x = encoder(block=block), histories()
    states = layer(tf.constant(x)).numpy()
    assert states.shape == (3, LENGTH + 1, DIM)
    changed = x.copy()
    changed[:, place] += histories(seed=1)[:, 0]  # A norm would undo a constant.
    others = layer(tf.constant(changed)).numpy()
    np.testing.assert_array_equal(states[:, : place + 1], others[:, : place + 1])
    moved = np.abs(states - others).max(axis=2)[:, place + 1 :]
    assert (moved > 1e-4).all()  # The state after the event, and every later one.


@pytest.mark.parametrize("block", get_args(Encoder))
def test_states_do_not_depend_on_padding_or_neighbours(block: Encoder) -> None:
    layer, x = encoder(block=block), histories()
    states = layer(tf.constant(x)).numpy()
    alone = layer(tf.constant(x[1:2, :7])).numpy()
    np.testing.assert_allclose(alone[0], states[1, :8], atol=1e-5)


@pytest.mark.parametrize("block", get_args(Encoder))
def test_one_place_alone_is_what_all_places_have_there(block: Encoder) -> None:
    layer, x = encoder(block=block), histories()
    places = np.array([0, 4, LENGTH], np.int32)
    expected = layer(tf.constant(x)).numpy()[np.arange(3), places]
    found = layer.at(tf.constant(x), tf.constant(places)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_dropout_depends_on_seed_and_step_alone() -> None:
    x = tf.constant(histories())

    def run(layer: SequenceEncoder, step: int) -> np.ndarray:
        layer.step.value.assign(step)
        return layer(x, training=True).numpy()

    one, twin, other = encoder(), encoder(), encoder()
    other.step.seed = 2
    first = run(one, 3)
    tf.random.set_seed(99)  # The global seed plays no part.
    np.testing.assert_array_equal(first, run(one, 3))
    np.testing.assert_array_equal(first, run(twin, 3))
    assert np.abs(first - run(one, 4)).max() > 0.1
    assert np.abs(first - run(other, 3)).max() > 0.1
    still = one(x).numpy()
    assert np.abs(first - still).max() > 0.1


def test_draws_of_different_places_differ() -> None:
    step, x = Step(5), tf.ones([1_000])
    one, same, other = (step.dropout(x, 0.5, n).numpy() for n in ("a", "a", "b"))
    np.testing.assert_array_equal(one, same)
    assert 300 < (one != other).sum() < 700
    assert abs(one.mean() - 1) < 0.15
    slots = step.drop_ids(tf.range(1, 1_001), 0.3, "ids").numpy()
    assert 200 < (slots == 0).sum() < 400
    kept = slots > 0
    assert (slots[kept] == np.arange(1, 1_001)[kept]).all()
    assert step.dropout(x, 0.0, "a") is x


def retrieval_model(
    prepared: Prepared, log: EventLog, *, texts: bool = False, **fields: object
) -> RetrievalModel:
    tf.keras.utils.set_random_seed(1)
    vectors = np.random.default_rng(0).normal(size=(prepared.num_items + 1, 6))
    config = {"dim": DIM, "history_length": LENGTH, "blocks": 1, **fields}
    return RetrievalModel(
        prepared=prepared,
        log=log,
        texts=Texts(vectors=vectors.astype(np.float32)) if texts else None,
        config=RetrievalConfig(**config),
        train=TrainConfig(),
    )


@pytest.fixture(scope="module")
def log(prepared: Prepared) -> EventLog:
    return prepared.events.through(TRAIN)


@pytest.fixture(scope="module")
def gather(log: EventLog) -> Callable[..., Batch]:
    batches = sequence_batches(log, max_length=LENGTH, batch_size=4, seed=0)
    return lambda *rows: batches.gather(tf.constant(rows, tf.int64))


def tied_window(log: EventLog, gather: Callable[..., Batch]) -> tuple[int, int, int]:
    """Find a window, a target in it and an event of the target's own time before it."""
    for row in range(len(plan_windows(log, LENGTH))):
        one = {name: value.numpy()[0] for name, value in gather(row).items()}
        for place in range(2, LENGTH - 1):
            tied = one["time"][place - 1] == one["time"][place]
            if tied and one["target"][place] and one["slot"][place] >= 1:
                if one["history"][place + 1]:
                    return row, place, int(one["slot"][place])
    raise AssertionError("no window has a tie")


def test_ties_never_see_each_other(
    prepared: Prepared, log: EventLog, gather: Callable[..., Batch]
) -> None:
    row, place, slot = tied_window(log, gather)
    assert slot <= place - 1
    batch = {name: value.numpy() for name, value in gather(row, 0).items()}
    wanted = np.zeros_like(batch["target"])
    wanted[0, place] = batch["target"][0, place]
    first = int(np.flatnonzero(batch["target"][1])[0])
    wanted[1, first] = batch["target"][1, first]
    batch["target"] = wanted
    model = retrieval_model(prepared, log)
    (spare,) = np.setdiff1d(log.item, np.r_[batch["history"].ravel(), wanted.ravel()])[
        :1
    ]

    def loss(at: int | None) -> float:
        history = batch["history"].copy()
        if at is not None:
            history[0, at] = spare
        tensors = {k: tf.constant(v) for k, v in {**batch, "history": history}.items()}
        return float(model.compute_loss(tensors))

    model.compute_loss({k: tf.constant(v) for k, v in batch.items()})
    for variable in model.query_tower.trainable_variables:
        noise = tf.random.stateless_normal(variable.shape, [4, 2], stddev=0.3)
        variable.assign_add(noise)
    undisturbed = loss(None)
    for tied_or_later in range(slot, LENGTH):
        assert abs(loss(tied_or_later) - undisturbed) < 1e-6
    assert abs(loss(slot - 1) - undisturbed) > 1e-4


def test_the_loss_weighs_events(
    prepared: Prepared, log: EventLog, gather: Callable[..., Batch]
) -> None:
    model, batch = retrieval_model(prepared, log), gather(0, 1, 2, 3)
    plain = float(model.compute_loss(batch))
    doubled = {**batch, "weight": 2 * batch["weight"]}
    assert abs(float(model.compute_loss(doubled)) - plain) < 1e-4  # A mean.
    some = batch["weight"].numpy()
    some[0] = 0
    assert abs(float(model.compute_loss({**batch, "weight": some})) - plain) > 1e-4


@pytest.mark.parametrize("horizon", [0, 3, 10_000])
def test_targets_lie_within_the_horizon(
    prepared: Prepared, log: EventLog, gather: Callable[..., Batch], horizon: int
) -> None:
    """`slot` and `time` of the place that asks tell how far back it stands."""
    model = retrieval_model(prepared, log, horizon=horizon)
    batch = gather(0, 1, 2, 3)
    places = tf.tile(tf.range(LENGTH)[None], [ROWS, 1])
    back: Counter[tuple[int, int]] = Counter()
    for step in range(STEPS):
        model.query_tower.step.value.assign(step)
        slot, time = model.asked_from(places, tf.cast(places, tf.int64) * 10, True)
        np.testing.assert_array_equal(time, 10 * slot.numpy())
        back.update((p, p - s) for row in slot.numpy() for p, s in enumerate(row))
    for p in range(LENGTH):
        farthest = min(p, horizon)
        odds = np.diff(np.log(np.arange(1, farthest + 3))) / np.log(farthest + 2)
        shares = [back.pop((p, d), 0) / (STEPS * ROWS) for d in range(farthest + 1)]
        np.testing.assert_allclose(shares, odds, atol=0.08)
        assert min(shares) > 0
    assert not back  # Nothing lies beyond.
    untold = model.asked_from(batch["slot"], batch["time"], False)
    np.testing.assert_array_equal(untold[0], batch["slot"])
    assert np.isfinite(float(model.compute_loss(batch, training=True)))


def test_what_the_request_had_met_does_not_compete(
    prepared: Prepared, log: EventLog, gather: Callable[..., Batch]
) -> None:
    """Nor does it where the request lies before the target's own place."""
    model = retrieval_model(
        prepared, log, loss="full_softmax", horizon=5, unseen_only=True
    )
    batch, given = gather(0, 1, 2, 3), []
    model.loss_of = lambda asked, _: given.append(asked) or tf.constant(0.0)
    model.compute_loss(batch, training=True)
    (asked,) = given
    since = asked.met.since(tf.range(1, prepared.num_items + 1))
    found = [set(np.flatnonzero(row) + 1) for row in asked.met.by(since).numpy()]
    slots, _ = model.asked_from(batch["slot"], batch["time"], True)
    places = np.argwhere(batch["target"].numpy() > 0)
    history = batch["history"].numpy()
    expected = [set(history[r, : int(slots[r, t])]) for r, t in places]
    assert found == expected
    assert sum(map(len, found)) > 0
    assert not (slots.numpy() == batch["slot"].numpy()).all()


def test_with_ids_dropped_items_are_their_content(
    prepared: Prepared, log: EventLog
) -> None:
    model = retrieval_model(prepared, log, texts=True, item_id_dropout=0.5)
    tower, rows = model.item_tower, tf.range(1, prepared.num_items + 1)
    full = tower(rows).numpy()
    content = tower.unseen(tower.codes(rows), tower.texts(rows)).numpy()
    dropped = tower(rows, training=True).numpy()
    is_content = np.isclose(dropped, content, atol=1e-6).all(axis=1)
    is_full = np.isclose(dropped, full, atol=1e-6).all(axis=1)
    assert (is_content | is_full).all()
    known = log.item_counts(prepared.num_items)[1:] > 0
    assert 0.3 < is_content[known].mean() < 0.7
    # Items without an event have nothing to drop.
    assert is_content[~known].all()
    assert (~known).sum() >= 10


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_texts_are_dropped_in_training_alone(
    prepared: Prepared, log: EventLog, rate: float
) -> None:
    model = retrieval_model(
        prepared, log, texts=True, item_id_dropout=0.0, text_dropout=rate
    )
    tower, rows = model.item_tower, tf.range(1, prepared.num_items + 1)
    served, trained = tower(rows).numpy(), tower(rows, training=True).numpy()
    np.testing.assert_array_equal(tower(rows), served)
    changed = np.abs(trained - served).max(axis=1) > 1e-6
    assert changed.mean() > 0.9 if rate else not changed.any()
    model.query_tower.step.value.assign_add(1)
    other = tower(rows, training=True).numpy()
    assert (np.abs(trained - other).max() > 1e-3) == bool(rate)


def test_no_later_event_changes_a_model(prepared: Prepared, log: EventLog) -> None:
    """Sizes, initial weights and tables come from the log of the fit alone."""
    cut = int(np.quantile(log.time, 0.5))
    earlier = log.earlier_than(cut)
    rng = np.random.default_rng(0)
    late = log.time >= cut
    other = log.replace(item=np.where(late, rng.permutation(log.item), log.item))
    models = []
    for one in (log, other):
        models.append(retrieval_model(prepared, one.earlier_than(cut)))
        models[-1].item_vectors(prepared.num_items)  # Creates what there is.
    first, second = (m.get_weights() for m in models)
    assert len(first) == len(second) > 5
    for one, another in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, another)
    slots = models[0].item_tower.slots
    known = earlier.item_counts(prepared.num_items) > 0
    assert slots.num_slots == known.sum() + 1 < prepared.num_items + 1


@pytest.mark.parametrize("use_trend", [True, False])
def test_vectors_of_items_and_queries(
    prepared: Prepared, log: EventLog, use_trend: bool
) -> None:
    """Without a trend a graph of no width ended processes with oneDNN."""
    model = retrieval_model(prepared, log, use_trend=use_trend)
    vectors = model.item_vectors(prepared.num_items)
    assert vectors.shape == (prepared.num_items + 1, DIM)
    assert not vectors[0].any()
    assert np.isfinite(vectors).all()

    def query(history: list[int]) -> np.ndarray:
        rows = tf.constant([history + [0] * (LENGTH - len(history))])
        values = (tf.constant([1]), rows, *(tf.constant([t], tf.int64) for t in (9, 5)))
        return model.encode_queries(tf.constant(vectors), *values).numpy()[0, :DIM]

    one, swapped, none = query([3, 5]), query([5, 3]), query([])
    for found in (one, swapped, none):
        np.testing.assert_allclose(np.linalg.norm(found), 1, atol=1e-5)
    assert np.abs(one - swapped).max() > 1e-3
    assert np.abs(one - none).max() > 1e-3


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": "full_softmax"},
        {"loss": "sampled_softmax", "hard_negatives": 3, "block": "gated"},
        {"loss": "gbce", "use_trend": False},
    ],
    ids=lambda fields: fields["loss"],
)
def test_every_loss_trains_both_towers(
    prepared: Prepared,
    log: EventLog,
    gather: Callable[..., Batch],
    fields: dict[str, object],
) -> None:
    model = retrieval_model(prepared, log, texts=True, negatives=16, **fields)
    batch = gather(0, 1, 2, 3)
    model.start_epoch()
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    gradients = tape.gradient(loss, model.trainable_variables)
    moved = {
        variable.name: float(tf.norm(tf.convert_to_tensor(gradient)))
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is not None
    }
    for part in ("item_id", "content/hidden", "block_0", "norm"):
        assert any(part in name and size > 0 for name, size in moved.items()), part
    if fields.get("hard_negatives"):
        near = model.neighbours.numpy()
        trained = log.item_counts(prepared.num_items, positives_only=True) > 0
        assert (near[trained] > 0).all()
        assert not near[~trained].any()
