"""The text tower: what it computes, and what fine-tuning changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from data.errors import ConfigError
from data.planted import Planted
from data.prepared import Prepared
from trainer.config import ExperimentConfig, TextConfig, read_experiment
from trainer.fitting.fitter import Fitter
from trainer.models.retrieval import RetrievalModel
from trainer.models.text_tower import TextTower

TOKENS = 16


@pytest.fixture(scope="module")
def tower(tiny_bert: Path) -> TextTower:
    return TextTower(TextConfig(preset=str(tiny_bert), max_tokens=TOKENS))


@pytest.fixture(scope="module")
def texts(planted: Planted) -> list[str]:
    words = planted.all_words
    long = " ".join(words[:40])
    return ["", words[0], " ".join(words[:5]).title(), "xyzzy, 12!", long, words[0]]


def test_mean_pooling(tower: TextTower, texts: list[str]) -> None:
    """The same sum, by NumPy, over what the backbone of Keras 3 says."""
    import keras

    tokens = tower.token_table(np.array(texts[1:]))
    assert tokens.shape == (len(texts) - 1, TOKENS)
    found = tower(tf.constant(tokens)).numpy()
    for row, ids in enumerate(tokens):
        ids = ids[ids != 0][None]  # Without the padding there is nothing to mask.
        inputs = {
            "token_ids": ids,
            "segment_ids": np.zeros_like(ids),
            "padding_mask": np.ones_like(ids),
        }
        output = tower._backbone(inputs)["sequence_output"]
        mean = keras.ops.convert_to_numpy(output)[0].mean(axis=0)
        np.testing.assert_allclose(found[row], mean / np.linalg.norm(mean), atol=1e-5)


def test_tokens_are_framed_and_cut(tower: TextTower, texts: list[str]) -> None:
    tokens = tower.token_table(np.array(texts))
    vocabulary = tower._tokenizer.get_vocabulary()
    words = [[vocabulary[i] for i in row if i] for row in tokens]
    assert words[0] == ["[CLS]", "[SEP]"]
    assert words[1] == ["[CLS]", texts[1], "[SEP]"]
    assert words[2] == ["[CLS]", *texts[2].lower().split(), "[SEP]"]
    assert len(words[4]) == TOKENS
    assert words[4][-1] == "[SEP]"


def test_one_many_and_in_graph(tower: TextTower, texts: list[str]) -> None:
    many = tower.encode(np.array(texts))
    # Each call of encode traces its graph anew: the shortest and the longest will do.
    alone = {place: tower.encode(np.array([texts[place]]))[0] for place in (1, 4)}
    graph = tf.function(tower.encode_in_graph)(tf.constant(texts)).numpy()
    for place, vector in alone.items():
        np.testing.assert_allclose(vector, many[place], atol=1e-5)
    np.testing.assert_allclose(graph, many, atol=1e-5)
    assert not many[0].any()
    assert not graph[0].any()
    np.testing.assert_array_equal(many[1], many[-1])
    np.testing.assert_allclose(np.linalg.norm(many[1:], axis=1), 1, atol=1e-5)
    assert tower.encode(np.array([], str)).shape == (0, tower.dim)


def test_batches_of_many_lengths(tower: TextTower, planted: Planted) -> None:
    rng = np.random.default_rng(0)
    texts = [
        " ".join(rng.choice(planted.all_words, n)) for n in rng.integers(1, 14, 700)
    ]
    found = tower.encode(np.array(texts))
    some = rng.choice(700, 40, replace=False)
    tokens = tower.token_table(np.array(texts)[some])
    np.testing.assert_allclose(found[some], tower(tokens), atol=1e-5)


@pytest.mark.parametrize("preset", ["no-such-preset", "bert_tiny_en_nonsense"])
def test_a_wrong_preset_says_what_to_do(preset: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TextTower(TextConfig(preset=preset))
    message = str(caught.value)
    assert f"[text] preset = '{preset}' cannot be had" in message
    assert "all-minilm-l6-v2" in message
    assert 'preset = ""' in message


def test_a_folder_that_is_no_preset(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a local folder with config\.json"):
        TextTower(TextConfig(preset=str(tmp_path)))


# Fine-tuning.


@pytest.fixture(scope="module")
def config(planted: Planted, tiny_bert: Path) -> ExperimentConfig:
    overrides = [
        f"text.preset={tiny_bert}",
        f"text.max_tokens={TOKENS}",
        "text.trainable_layers=1",
        "text.learning_rate=1e-3",
        *("retrieval.dim=8", "retrieval.blocks=1", "retrieval.history_length=10"),
        *("retrieval.epochs=1", "retrieval.batch_size=128"),
    ]
    return read_experiment(planted.toml, overrides)


def fit(
    prepared: Prepared, config: ExperimentConfig, folder: Path
) -> tuple[RetrievalModel, Any]:
    fitter = Fitter(prepared, config, str(folder))
    stage = {"folder": str(folder / "checkpoints"), "logs": str(folder / "logs")}
    return fitter.retrieval(prepared.training(), stage, "Training", epochs=1)


@pytest.fixture(scope="module")
def tuned(
    prepared: Prepared,
    config: ExperimentConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[RetrievalModel, Path]:
    folder = tmp_path_factory.mktemp("tuned")
    return fit(prepared, config, folder)[0], folder


def values_of(tower: TextTower | None) -> dict[str, np.ndarray]:
    assert tower is not None
    return {v.path: v.numpy() for v in tower._backbone.weights}


def test_only_the_last_layer_is_tuned(
    tuned: tuple[RetrievalModel, Path], config: ExperimentConfig
) -> None:
    before, after = values_of(TextTower(config.text)), values_of(tuned[0].text_tower)
    assert len(before) == len(after) > 20
    layer = [name for name in after if "transformer_layer_1" in name]
    assert len(layer) > 10
    for name, value in after.items():
        old = before[name]
        if name in layer:
            # Shifts of all keys alike leave a softmax as it is: no gradient there.
            assert (value != old).any() or "key/bias" in name, name
        else:
            np.testing.assert_array_equal(value, old)


def test_tuned_weights_are_saved_and_taken_up(
    tuned: tuple[RetrievalModel, Path],
    prepared: Prepared,
    config: ExperimentConfig,
) -> None:
    model, folder = tuned
    again, result = fit(prepared, config, folder)
    assert result.best_epoch == 1
    expected = values_of(model.text_tower)
    assert expected.keys() == values_of(again.text_tower).keys()
    for name, value in values_of(again.text_tower).items():
        np.testing.assert_array_equal(value, expected[name])
    vectors = [m.item_vectors(prepared.num_items) for m in (model, again)]
    np.testing.assert_allclose(*vectors, atol=1e-6)


def test_tuned_weights_encode_new_items(
    tuned: tuple[RetrievalModel, Path],
    prepared: Prepared,
    planted: Planted,
    config: ExperimentConfig,
) -> None:
    """A new item, from raw text, is what the catalogue's table holds of it."""
    model = tuned[0]
    assert model.text_tower is not None
    rows = np.flatnonzero([i in planted.cold_items for i in prepared.item_ids])
    table = model.item_vectors(prepared.num_items)[rows]
    codes = model.item_tower.codes(tf.constant(rows, tf.int32))
    texts = tf.constant(prepared.texts[rows].astype(str))
    vectors = tf.function(model.text_tower.encode_in_graph)(texts)
    found = model.item_tower.unseen(codes, vectors)
    np.testing.assert_allclose(found, table, atol=1e-5)
    # What a fine-tuned tower learnt of no text is what is asked of it.
    none = np.array([""])
    learnt = model.text_tower(tf.constant(model.text_tower.token_table(none)))
    asked = tf.function(model.text_tower.encode_in_graph)(tf.constant(none))
    np.testing.assert_allclose(asked, learnt, atol=1e-5)
    assert np.abs(asked).max() > 0
    fresh = tf.function(TextTower(config.text).encode_in_graph)(texts)
    assert np.abs(model.item_tower.unseen(codes, fresh) - table).max() > 1e-3


def test_a_frozen_tower_trains_nothing(tower: TextTower) -> None:
    assert tower.trainable_variables == []
    assert not tower.trains
    # Held all the same, or a SavedModel would not have them.
    assert len(tower.variables) >= len(tower._backbone.weights)


def test_a_saved_tower_holds_each_weight_once(
    tower: TextTower, texts: list[str], tmp_path: Path
) -> None:
    module = tf.Module()
    module.tower = tower
    module.encode = tf.function(
        tower.encode_in_graph, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    expected = module.encode(tf.constant(texts)).numpy()
    tf.saved_model.save(module, str(tmp_path))
    shapes = tf.train.load_checkpoint(str(tmp_path / "variables" / "variables"))
    sizes = [int(np.prod(s)) for s in shapes.get_variable_to_shape_map().values()]
    weights = sum(int(np.prod(v.shape)) for v in tower._backbone.weights)
    assert weights <= sum(sizes) < 1.05 * weights + 1_000
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.encode(tf.constant(texts)), expected, atol=1e-6)
