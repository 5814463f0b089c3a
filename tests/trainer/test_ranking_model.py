"""The ranking model: where it starts from, what does not matter to it, its losses."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from data.events import TRAIN
from data.prepared import Prepared
from tests.trainer.small_data import make_log
from trainer.config import RankingConfig, TrainConfig
from trainer.inputs.affinity import Affinity, affinities
from trainer.inputs.standing import MOST_REFERENCES, reference_rows, standings
from trainer.models.norm import LayerNorm
from trainer.models.ranking import Head, RankingModel, softmax_loss
from trainer.models.target_attention import TargetAttention

BATCH, CANDIDATES, LENGTH = 3, 7, 6
SMALL = {"dim": 8, "mlp": (8,), "cross_rank": 4, "affinity_dim": 4}
Make = Callable[..., RankingModel]


@pytest.fixture(scope="module")
def make(prepared: Prepared) -> Make:
    """Return a function that builds a model, with a head that does something."""
    log = prepared.events.through(TRAIN)

    def build(trained: bool = True, weight: float = 0.0, **settings: object) -> object:
        tf.keras.utils.set_random_seed(1)
        model = RankingModel(
            prepared=prepared,
            log=log,
            texts=None,
            config=RankingConfig(**{**SMALL, **settings}),
            train=TrainConfig(),
            affinity_weight=weight,
        )
        model.compute_loss(batch(prepared))
        if trained:
            kernel = model.like_head.kernel
            kernel.assign(tf.random.stateless_normal(kernel.shape, (1, 2)))
        return model

    return build


def batch(prepared: Prepared, seed: int = 0) -> dict[str, tf.Tensor]:
    """Make a batch of examples of numbers drawn at random."""
    rng = np.random.default_rng(seed)
    shape = (BATCH, CANDIDATES)

    def normal(*size: int) -> np.ndarray:
        return rng.normal(size=size).astype(np.float32)

    item = np.stack(
        [rng.permutation(prepared.num_items)[:CANDIDATES] + 1 for _ in range(BATCH)]
    )
    history = rng.integers(1, prepared.num_items, (BATCH, LENGTH))
    history[:, 4:] = 0
    columns = {
        "user": rng.integers(1, prepared.num_users, BATCH).astype(np.int32),
        "item": item.astype(np.int32),
        "history": history.astype(np.int32),
        "time": np.full(BATCH, 10**9),
        "last_time": np.full(BATCH, 10**9 - 86_400),
        "user_statistics": normal(BATCH, 4),
        "item_statistics": normal(*shape, 4),
        "standing": normal(*shape, 3),
        "affinity": normal(*shape),
        "like": (rng.random(shape) < 0.4).astype(np.float32),
        "weight": (rng.random(shape) < 0.8).astype(np.float32),
        "stands_for": np.exp(normal(*shape)),
        "rating": rng.integers(1, 6, shape).astype(np.float32),
        "rating_weight": np.ones(shape, np.float32),
    }
    for f in prepared.features.context:
        size = (BATCH, 2) if f.kind == "numeric" else (BATCH,)
        dtype = np.float32 if f.kind == "numeric" else np.int32
        columns[f"context.{f.name}"] = np.zeros(size, dtype)
    return {name: tf.constant(value) for name, value in columns.items()}


def heads(
    model: RankingModel, request: dict[str, tf.Tensor], num_items: int
) -> dict[str, np.ndarray]:
    parts = tf.constant(model.item_parts(num_items))
    found = model.rank_rows(request, parts)
    return {name: values.numpy() for name, values in found.items()}


def test_an_untrained_model_keeps_retrieval_s_order(
    make: Make, prepared: Prepared
) -> None:
    request = batch(prepared)
    like = heads(make(trained=False), request, prepared.num_items)["like"]
    np.testing.assert_allclose(like, request["standing"][..., 0], rtol=1e-6)


def test_without_trust_the_network_adds_nothing(make: Make, prepared: Prepared) -> None:
    model, request = make(weight=0.5), batch(prepared)
    expected = request["standing"][..., 0] + 0.5 * request["affinity"]
    before = heads(model, request, prepared.num_items)["like"]
    model.trust.assign(0.5)
    half = heads(model, request, prepared.num_items)["like"]
    model.trust.assign(0.0)
    like = heads(model, request, prepared.num_items)["like"]
    np.testing.assert_allclose(like, expected, rtol=1e-5)
    np.testing.assert_allclose(half, (before + like) / 2, rtol=1e-4, atol=1e-5)
    assert np.abs(before - like).max() > 0.1


def test_the_context_moves_each_candidate_in_its_own_way(
    make: Make, prepared: Prepared
) -> None:
    model, request = make(), batch(prepared)
    assert [f.name for f in prepared.features.context] == ["device"]
    first = heads(model, request, prepared.num_items)["like"]
    device = tf.ones_like(request["context.device"])
    other = {**request, "context.device": device}
    moved = heads(model, other, prepared.num_items)["like"] - first
    assert np.ptp(moved, axis=1).min() > 1e-3  # One amount for all would move none.


@pytest.mark.parametrize("attention_heads", [0, 2])
def test_permuted_candidates_have_permuted_scores(
    make: Make, prepared: Prepared, attention_heads: int
) -> None:
    model, request = make(attention_heads=attention_heads), batch(prepared)
    order = np.random.default_rng(2).permutation(CANDIDATES)
    moved = {
        name: tf.gather(v, order, axis=1)
        if name in ("item", "item_statistics", "standing", "affinity")
        else v
        for name, v in request.items()
    }
    first = heads(model, request, prepared.num_items)
    second = heads(model, moved, prepared.num_items)
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values[:, order], atol=1e-5)


def test_padding_changes_nothing(make: Make, prepared: Prepared) -> None:
    model, request = make(), batch(prepared)
    longer = dict(request)
    longer["history"] = tf.pad(request["history"], [[0, 0], [0, 5]])
    first = heads(model, request, prepared.num_items)
    second = heads(model, longer, prepared.num_items)
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, atol=1e-5)


def test_candidates_attend_each_for_itself() -> None:
    """A candidate's sum comes from the history's item that is like it."""
    layer = TargetAttention(4, 1)
    eye = 20 * np.eye(4, dtype=np.float32)[None]
    rows = tf.constant([[1, 2, 3, 4]])
    layer(eye, eye, rows)
    for part in (layer.query, layer.key, layer.value):
        part.kernel.assign(np.eye(4))
    found = layer(eye, eye, rows).numpy()
    np.testing.assert_allclose(found[..., :4], eye, atol=1e-3)
    np.testing.assert_allclose(found[..., -1], 1, atol=1e-3)
    empty = layer(eye, eye, tf.zeros_like(rows)).numpy()
    np.testing.assert_allclose(empty, 0, atol=1e-6)


def test_the_order_of_the_history_counts() -> None:
    layer = TargetAttention(4, 2)
    rng = np.random.default_rng(0)
    candidates, history = (
        tf.constant(rng.normal(size=(1, n, 4)), tf.float32) for n in (3, 5)
    )
    rows = tf.constant([[1, 2, 3, 4, 5]])
    layer(candidates, history, rows)
    turned = tf.reverse(history, [1])
    same = layer(candidates, turned, rows) - layer(candidates, history, rows)
    np.testing.assert_allclose(same, 0, atol=1e-5)  # No bias learned yet.
    layer.bias.assign(rng.normal(size=layer.bias.shape))
    other = layer(candidates, turned, rows) - layer(candidates, history, rows)
    assert np.abs(other).max() > 0.01


def test_softmax_loss_by_hand() -> None:
    logits = np.array([[2.0, 1.0, 0.0, 9.0], [0.5, 0.1, 0.2, 0.3]])
    like = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    weight = np.array([[1.0, 3.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    share = np.log([[1.0, 1.0, 4.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    total = logsumexp(logits[0, :3] + share[0, :3])
    expected = (1 * (total - 2) + 3 * (total - 1)) / 4
    args = [tf.constant(x, tf.float32) for x in (logits, share, like, weight)]
    assert softmax_loss(*args).numpy() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("listwise", [0.0, 0.3, 1.0])
def test_losses_mix(make: Make, prepared: Prepared, listwise: float) -> None:
    request = batch(prepared)
    alone, among, mixed = (
        float(make(listwise=s, rating_weight=0.0).compute_loss(request))
        for s in (0.0, 1.0, listwise)
    )
    assert alone != pytest.approx(among)
    assert mixed == pytest.approx((1 - listwise) * alone + listwise * among, rel=1e-5)


@pytest.mark.parametrize("listwise", [0.0, 1.0])
def test_candidates_without_weight_do_not_count(
    make: Make, prepared: Prepared, listwise: float
) -> None:
    model, request = make(listwise=listwise, rating_weight=0.0), batch(prepared)
    changed = dict(request)
    off = request["weight"] == 0
    changed["standing"] = tf.where(off[..., None], 50.0, request["standing"])
    changed["like"] = tf.where(off, 1 - request["like"], request["like"])
    losses = [float(model.compute_loss(one)) for one in (request, changed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_rating_s_head_can_be_left_out(make: Make, prepared: Prepared) -> None:
    request = batch(prepared)
    assert set(heads(make(), request, prepared.num_items)) == {"like", "rating"}
    without = make(rating_weight=0.0)
    assert set(heads(without, request, prepared.num_items)) == {"like"}


def test_a_standing_is_the_same_whoever_else_is_asked() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2, 50)).astype(np.float32)
    everything = standings(scores, scores, scores, 50).numpy()
    some = standings(scores[:, :9], scores[:, :9], scores, 50).numpy()
    np.testing.assert_allclose(everything[:, :9], some, atol=1e-6)
    order = np.argsort(-scores, axis=1)
    ranked = np.take_along_axis(everything[..., 1], order, axis=1)
    expected = np.log1p(np.arange(50)) / np.log1p(50)
    # What lies within a twentieth of a deviation is counted in part.
    np.testing.assert_allclose(ranked, [expected, expected], atol=0.2)
    assert (np.diff(ranked) > 0).all()
    moved = standings(3 * scores + 7, scores, 3 * scores + 7, 50).numpy()
    np.testing.assert_allclose(moved[..., :2], everything[..., :2], atol=1e-3)


def test_a_standing_hardly_moves_with_a_score_s_last_bit() -> None:
    scores = np.random.default_rng(1).normal(size=(1, 80)).astype(np.float32)
    exact = standings(scores, scores, scores, 80).numpy()
    for step in (-1e-6, 1e-6):
        moved = standings(scores + np.float32(step), scores, scores, 80).numpy()
        assert np.abs(moved - exact).max() < 1e-4


@pytest.mark.parametrize("number", [0, 1, 5, MOST_REFERENCES, 3 * MOST_REFERENCES])
def test_reference_rows(number: int) -> None:
    servable = np.zeros(4 * MOST_REFERENCES, bool)
    servable[1 : number + 1] = True
    rows = reference_rows(servable)
    assert len(rows) == max(min(number, MOST_REFERENCES), 1)
    assert (np.diff(rows) > 0).all()
    if number:
        assert (rows[0], rows[-1]) == (1, number)


def test_affinity_finds_what_is_liked_together(prepared: Prepared) -> None:
    log = prepared.events.through(TRAIN)
    affinity = Affinity.of(log, prepared.num_items, 6)
    users = np.flatnonzero(log.user_counts() > 5).astype(np.int32)
    counts = log.user_counts()[users] // 2
    profiles = affinity.profiles(log, users, counts)
    for row in (0, len(users) // 2, len(users) - 1):
        places = log.start[users[row]] + np.arange(counts[row])
        liked = np.unique(log.item[places][log.positive[places]])
        expected = affinity.given[liked].sum(axis=0)
        np.testing.assert_allclose(profiles[row], expected, atol=1e-5)
    scores = profiles @ affinity.asked.T
    ahead = []
    for row, user in enumerate(users):
        later = slice(log.start[user] + counts[row], log.start[user + 1])
        liked = log.item[later][log.positive[later]]
        ahead += list((scores[row, liked, None] > scores[row, 1:]).mean(axis=1))
    assert np.mean(ahead) > 0.65


def test_affinity_is_the_same_again_and_may_be_nothing(prepared: Prepared) -> None:
    log = prepared.events.through(TRAIN)
    first, second = (Affinity.of(log, prepared.num_items, 3) for _ in range(2))
    np.testing.assert_array_equal(first.given, second.given)
    for nothing in (Affinity.of(log, prepared.num_items, 0), _of_no_event(prepared)):
        assert nothing.asked.shape == (prepared.num_items + 1, 0)
        found = affinities(
            np.zeros((2, 0), np.float32),
            nothing.given[np.zeros((2, 3), int)],
            nothing.asked[np.ones((2, 4), int)],
            nothing.asked[1:5],
        )
        np.testing.assert_array_equal(found, np.zeros((2, 4)))


def test_affinity_is_the_same_by_both_ways(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = prepared.events.through(TRAIN)
    swapped = make_log(log.item, log.user, log.time, log.positive)
    for one, number in ((log, prepared.num_items), (swapped, log.num_users)):
        found = Affinity.of(one, number, 6)
        monkeypatch.setattr("trainer.inputs.affinity.FEW", 0)
        searched = Affinity.of(one, number, 6)
        monkeypatch.undo()
        np.testing.assert_allclose(
            found.given @ found.asked.T, searched.given @ searched.asked.T, atol=1e-5
        )


def test_affinity_of_few_likes_is_the_same_again() -> None:
    """Two kinds of users span two directions; whatever else is found is drawn."""
    user = np.repeat(np.arange(1, 31), 10)
    item = np.where(user % 2, 0, 10) + np.tile(np.arange(1, 11), 30)
    log = make_log(user, item, np.arange(300), np.ones(300))
    first, second = (Affinity.of(log, 20, 16) for _ in range(2))
    np.testing.assert_array_equal(first.asked, second.asked)
    told = np.abs(first.asked).sum(axis=0) > 0
    assert told.sum() == 2
    scores = first.given @ first.asked.T
    assert (scores[1:11, 1:11] > 0.05).all()
    np.testing.assert_allclose(scores[1:11, 11:], 0, atol=1e-6)


def _of_no_event(prepared: Prepared) -> Affinity:
    return Affinity.of(prepared.events.earlier_than(0), prepared.num_items, 4)


def test_the_norm_is_keras_own() -> None:
    x = np.random.default_rng(0).normal(2.0, 3.0, (7, 12)).astype(np.float32)
    expected, found = tf.keras.layers.LayerNormalization(), LayerNorm()
    expected(x), found(x)
    for weight in ("gamma", "beta"):
        values = np.random.default_rng(1).normal(size=12)
        getattr(expected, weight).assign(values)
        getattr(found, weight).assign(values)
    np.testing.assert_allclose(found(x), expected(x), atol=1e-5)


def test_a_head_is_a_dense_layer_of_its_parts_joined() -> None:
    rng = np.random.default_rng(0)
    parts = [tf.constant(rng.normal(size=(4, n)), tf.float32) for n in (3, 2)]
    head, dense = Head("glorot_uniform", name="head"), tf.keras.layers.Dense(1)
    head(parts), dense(tf.concat(parts, 1))
    dense.set_weights(head.get_weights())
    np.testing.assert_allclose(head(parts), dense(tf.concat(parts, 1)), atol=1e-6)


def test_no_affinity_is_none_for_anyone() -> None:
    found = affinities(
        tf.zeros([2, 0]), tf.zeros([2, 3, 0]), tf.zeros([2, 5, 0]), tf.zeros([4, 0])
    )
    assert found.numpy().tolist() == [[0.0] * 5] * 2


def test_attention_is_the_formula() -> None:
    rng = np.random.default_rng(3)
    candidates, history = rng.normal(size=(2, 5, 6)), rng.normal(size=(2, 4, 6))
    rows = np.array([[3, 1, 2, 0], [0, 0, 0, 0]], np.int32)
    layer = TargetAttention(4, 2)
    inputs = [tf.constant(x, tf.float32) for x in (candidates, history)]
    found = layer(*inputs, tf.constant(rows)).numpy()
    layer.bias.assign(rng.normal(size=layer.bias.shape))
    found = layer(*inputs, tf.constant(rows)).numpy()
    weights = [dense.get_weights() for dense in (layer.query, layer.key, layer.value)]
    sources = (candidates, history, history)
    query, key, value = (
        (x @ kernel + bias).reshape(2, -1, 2, 2)
        for x, (kernel, bias) in zip(sources, weights, strict=True)
    )
    newer = np.array([[2, 1, 0, 0]] * 2)  # Of three events; none in the other row.
    bias = layer.bias.numpy()[np.log2(newer + 1).astype(int)]
    logits = np.einsum("bchd,blhd->bclh", query, key) / 2**0.5 + bias[:, None]
    share = np.where(rows[:, None, :, None] > 0, np.exp(logits), 0)
    share /= 1 + share.sum(axis=2, keepdims=True)
    joined = np.einsum("bclh,blhd->bchd", share, value).reshape(2, 5, 4)
    asked = query.reshape(2, 5, 4)
    expected = [joined, joined * asked, share.sum(axis=2)]
    np.testing.assert_allclose(found, np.concatenate(expected, -1), atol=1e-5)
