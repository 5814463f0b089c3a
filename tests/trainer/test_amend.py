"""Models over more items: the same weights and, of what stays, the same vectors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from data.changes import Changes
from data.prepared import Prepared
from trainer.catalogue.amend import amended
from trainer.catalogue.restore import build
from trainer.catalogue.text_store import TextStore
from trainer.config import RankingConfig, RetrievalConfig, TextConfig, TrainConfig
from trainer.export.export import Fitted
from trainer.inputs.affinity import Affinity
from trainer.models.embeddings import IdSlots
from trainer.models.ranking import RankingModel
from trainer.models.retrieval import RetrievalModel
from trainer.models.text_tower import TextTower
from trainer.models.towers import Texts

SMALL = {"dim": 8, "mlp": (8,), "cross_rank": 4, "affinity_dim": 4}


@pytest.fixture(params=[0, 1], ids=["frozen", "fine-tuned"])
def text(request: pytest.FixtureRequest, tiny_bert: Path) -> TextConfig:
    layers: int = request.param
    return TextConfig(preset=str(tiny_bert), max_tokens=16, trainable_layers=layers)


def untrained(prepared: Prepared, text: TextConfig, members: int = 1) -> Fitted:
    """Make both models of initial weights, whose items were encoded before."""
    log, tower = prepared.as_happened, TextTower(text)
    tf.keras.utils.set_random_seed(1)

    def texts() -> Texts:
        if tower.trains:
            tokens = tower.token_table(prepared.texts)
            return Texts(tower=TextTower(text), tokens=tokens)
        return Texts(vectors=tower.encode(prepared.texts))

    shared = {"prepared": prepared, "log": log, "train": TrainConfig()}
    config = RetrievalConfig(dim=8, members=members, blocks=1, history_length=5)
    retrieval = RetrievalModel(config=config, texts=texts(), **shared)
    ranking = RankingModel(config=RankingConfig(**SMALL), texts=texts(), **shared)
    build(retrieval, ranking, prepared.features)
    retrieval.item_vectors(prepared.num_items)
    ranking.item_parts(prepared.num_items)
    return Fitted(
        prepared=prepared,
        log=log,
        end_time=prepared.end_time,
        retrieval=retrieval,
        ranking=ranking,
        affinity=Affinity.of(log, prepared.num_items, 4),
        calibration=(1.0, 0.0),
        text_tower=retrieval.text_tower or tower,
    )


def weights_of(fitted: Fitted) -> list[np.ndarray]:
    models = (fitted.retrieval, fitted.ranking)
    return [v.numpy() for model in models for v in model.trainable_variables]


def test_only_what_changed_has_another_vector(
    prepared: Prepared, text: TextConfig, tmp_path: Path
) -> None:
    fitted = untrained(prepared, text)
    number = prepared.num_items
    weights = weights_of(fitted)
    vectors = fitted.retrieval.item_vectors(number)
    parts = fitted.ranking.item_parts(number)
    changed, twin = str(prepared.item_ids[4]), 7
    words = (prepared.texts[twin], None)
    rows = pd.DataFrame(
        [("new", *words, None), ("bare", None, None, None), (changed, *words, "1999")],
        columns=["item_id", "title", "blurb", "year"],
    ).set_index("item_id")
    changes = Changes().adding(
        rows.astype(object).where(rows.notna(), None), prepared, ""
    )
    after = amended(fitted, changes, TextStore(str(tmp_path), text))
    assert after.prepared.num_items == number + 2
    assert after.retrieval is fitted.retrieval
    for one, other in zip(weights, weights_of(after), strict=True):
        np.testing.assert_array_equal(one, other)
    same = np.arange(number + 1) != 4
    for old, new in (
        (vectors, after.retrieval.item_vectors(number + 2)),
        (parts, after.ranking.item_parts(number + 2)),
    ):
        assert len(new) == number + 3
        np.testing.assert_allclose(new[: number + 1][same], old[same], atol=1e-6)
        assert np.abs(new[4] - old[4]).max() > 1e-3
        assert np.abs(new[number + 1] - new[number + 2]).max() > 1e-3
    for texts in (after.retrieval.item_tower.texts, after.ranking.item_part.texts):
        table = texts.table.numpy()
        np.testing.assert_allclose(table[number + 1], table[twin], atol=1e-6)
        np.testing.assert_allclose(table[4], table[twin], atol=1e-6)
    assert after.affinity.asked.shape == (number + 3, 4)
    assert not after.affinity.asked[number + 1 :].any()
    np.testing.assert_array_equal(after.affinity.given[:-2], fitted.affinity.given)
    # What a candidate's score is compared with does not depend on what is added.
    np.testing.assert_array_equal(after.compared, prepared.servable)


def test_no_change_is_no_work(prepared: Prepared, text: TextConfig) -> None:
    fitted = untrained(prepared, text)
    assert amended(fitted, Changes(), TextStore("nowhere", text)) is fitted


def test_new_items_share_the_slot_of_no_events() -> None:
    slots = IdSlots(np.array([0, 3, 0, 1]), name="slots")
    slots.extend(6)
    assert slots(tf.range(6)).numpy().tolist() == [0, 1, 0, 2, 0, 0]
    assert slots.num_slots == 3


def test_a_text_is_encoded_once(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TextConfig(preset=str(tiny_bert), max_tokens=16)
    tower, store = TextTower(config), TextStore(str(tmp_path), config)
    asked: list[list[str]] = []

    def encode(texts: np.ndarray) -> np.ndarray:
        asked.append(list(texts))
        return TextTower.encode(tower, texts)

    monkeypatch.setattr(tower, "encode", encode)
    first = store.encode(np.array(["one", "two", "one"], object), tower)
    second = store.encode(np.array(["", "two", "three", "one"], object), tower)
    assert asked == [["one", "two"], ["", "three"]]
    np.testing.assert_array_equal(first, second[[3, 1, 3]])
    assert not second[0].any()
    texts = np.array(["one", "two", "three"], object)
    np.testing.assert_allclose(
        second[[3, 1, 2]], TextTower.encode(tower, texts), atol=1e-6
    )
    other = TextStore(str(tmp_path), TextConfig(preset=str(tiny_bert), max_tokens=8))
    assert other.folder != store.folder
