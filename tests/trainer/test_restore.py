"""A version's models come back from its runs with the weights that were written."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from data import files
from data.prepared import Prepared
from data.schema import as_table
from tests.trainer.test_amend import untrained
from trainer.catalogue.exported import Exported
from trainer.catalogue.restore import restored
from trainer.config import (
    ExperimentConfig,
    RankingConfig,
    RetrievalConfig,
    TextConfig,
    TrainConfig,
)
from trainer.errors import ExportError
from trainer.export.export import Fitted
from trainer.models.base import CountedModel

SMALL = {"dim": 8, "mlp": (8,), "cross_rank": 4, "affinity_dim": 4}
STAGES = {
    "retrieval": {"run": "towers", "trend_boost": 0.5},
    "ranking": {"affinity_weight": 0.25, "trust": 0.5},
}


def small(
    text: TextConfig, prepared: Prepared, dim: int = 8, members: int = 1
) -> ExperimentConfig:
    return ExperimentConfig(
        data=prepared.config,
        text=text,
        retrieval=RetrievalConfig(dim=dim, blocks=1, history_length=5, members=members),
        ranking=RankingConfig(**SMALL),
        train=TrainConfig(),
    )


def write_runs(out: Path, fitted: Fitted, config: ExperimentConfig) -> Exported:
    """Write what fits and an export leave, but for the servables."""
    for run, stage, model in (
        ("towers", "retrieval", fitted.retrieval),
        ("refit", "ranking", fitted.ranking),
    ):
        place = out / "runs" / run / "checkpoints" / stage / "best" / "weights"
        tf.train.Checkpoint(model=model).write(str(place))
    for run in ("refit", "evaluation"):
        place = out / "runs" / run / "metrics.json"
        files.write_json(place, {"stages": STAGES})
    exported = Exported(str(out / "models"), 7)
    manifest = {
        "config": as_table(config),
        "runs": {"evaluation": "evaluation", "refit": "refit"},
        "calibration": {"slope": 2.0, "offset": -1.0},
    }
    files.write_json(exported.place("manifest.json"), manifest)
    return exported


def weights_of(model: CountedModel) -> list[np.ndarray]:
    return [v.numpy() for v in model.trainable_variables]


@pytest.mark.parametrize(
    ("layers", "members"),
    [(0, 1), (1, 1), (1, 2)],
    ids=["frozen", "fine-tuned", "two members"],
)
def test_weights_come_back(
    prepared: Prepared, tiny_bert: Path, tmp_path: Path, layers: int, members: int
) -> None:
    text = TextConfig(preset=str(tiny_bert), max_tokens=16, trainable_layers=layers)
    fitted = untrained(prepared, text, members)
    for model in (fitted.retrieval, fitted.ranking):
        for n, variable in enumerate(model.trainable_variables):
            noise = tf.random.stateless_normal(variable.shape, (n, 3))
            variable.assign(variable + noise)
    config = small(text, prepared, members=members)
    found = restored(write_runs(tmp_path, fitted, config), prepared)
    for old, new in (
        (fitted.retrieval, found.retrieval),
        (fitted.ranking, found.ranking),
    ):
        before, after = weights_of(old), weights_of(new)
        assert len(before) == len(after) > 10
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)
    assert found.retrieval.query_tower.trend_boost.numpy().tolist() == [0.0, 0.5]
    assert found.ranking.trust.numpy() == 0.5
    assert found.ranking.affinity_weight.numpy() == 0.25
    assert found.calibration == (2.0, -1.0)
    texts = (
        m.item_tower.texts.table.numpy() for m in (fitted.retrieval, found.retrieval)
    )
    np.testing.assert_array_equal(*texts)
    number = prepared.num_items
    np.testing.assert_allclose(
        fitted.ranking.item_parts(number), found.ranking.item_parts(number), atol=1e-6
    )


def test_other_models(prepared: Prepared, tiny_bert: Path, tmp_path: Path) -> None:
    text = TextConfig(preset=str(tiny_bert), max_tokens=16)
    fitted = untrained(prepared, text)
    exported = write_runs(tmp_path, fitted, small(text, prepared, dim=16))
    with pytest.raises(ExportError, match="holds other variables than the models"):
        restored(exported, prepared)
    (tmp_path / "runs" / "evaluation" / "metrics.json").unlink()
    with pytest.raises(ExportError, match=r"metrics\.json: no such file"):
        restored(exported, prepared)
