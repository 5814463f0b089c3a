"""Fits models on one and on two virtual devices, and writes down how that went.

Run as a process of its own: devices can be divided before TensorFlow starts alone.
`python -m tests.trainer.replica_curves FOLDER`.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf

from data.planted import write_planted
from data.prepare import prepare
from data.prepared import Prepared
from data.schema import DataConfig, data_config
from data.settings import read_toml
from trainer.config import (
    ExperimentConfig,
    RankingConfig,
    RetrievalConfig,
    TextConfig,
    TrainConfig,
)
from trainer.fitting.fitter import Fitter
from trainer.fitting.ranking_examples import Examples

EPOCHS = 2
# Most of the time goes into graphs: one of them has all parts of a model.
FEW: dict[str, Any] = {"block": "mean", "use_time": False, "use_trend": False}
RETRIEVAL: dict[str, dict[str, Any]] = {
    "in_batch": {"horizon": 2, "unseen_only": True},
    "sampled_softmax": {"negatives": 16, "hard_negatives": 2, **FEW},
    "full_softmax": {"members": 2, "unseen_only": True, **FEW},
}
RANKING = {"ranking": {"listwise": 0.5}}
SMALL: dict[str, Any] = {"dim": 8, "dropout": 0.2, "item_id_dropout": 0.3}


def fitter(
    prepared: Prepared, data: DataConfig, folder: Path, name: str, **train: Any
) -> Fitter:
    """Return what fits the models of a case."""
    config = ExperimentConfig(
        data=data,
        text=TextConfig(preset=""),
        retrieval=RetrievalConfig(
            **{"loss": name if name in RETRIEVAL else "in_batch"},
            **SMALL,
            blocks=1,
            history_length=20,
            batch_size=131,  # Odd, and the last batch of an epoch is smaller.
            **RETRIEVAL.get(name, {}),
        ),
        ranking=RankingConfig(
            **SMALL,
            cross_layers=1,
            cross_rank=4,
            mlp=(8,),
            rating_weight=0.5,
            batch_size=131,
            **RANKING.get(name, {}),
        ),
        train=TrainConfig(**train),
    )
    return Fitter(prepared, config, str(folder))


def examples(prepared: Prepared, number: int = 301, width: int = 7) -> Examples:
    """Make examples of nothing: what replicas make of them is to be the same."""
    rng = np.random.default_rng(3)
    events, shape = prepared.events, (number, width)
    chosen = rng.integers(0, len(events), number)
    history = rng.integers(1, prepared.num_items + 1, (number, 9)).astype(np.int32)
    history[np.arange(9) >= rng.integers(0, 10, number)[:, None]] = 0
    like = (rng.random(shape) < 0.3).astype(np.float32)
    columns = {
        "user": events.user[chosen],
        "item": rng.integers(1, prepared.num_items + 1, shape).astype(np.int32),
        "history": history,
        "time": events.time[chosen],
        "last_time": events.time[chosen] - 60,
        "user_statistics": rng.normal(size=(number, 3)).astype(np.float32),
        "item_statistics": rng.normal(size=(*shape, 3)).astype(np.float32),
        "standing": rng.normal(size=(*shape, 4)).astype(np.float32),
        "affinity": rng.normal(size=shape).astype(np.float32),
        "like": like,
        "weight": (rng.random(shape) < 0.9).astype(np.float32),
        "stands_for": np.where(like > 0, 1, 5).astype(np.float32),
        "rating": rng.integers(1, 6, shape).astype(np.float32),
        "rating_weight": like,
    }
    for feature in prepared.features.context:
        shape_of = {"categorical": [number]}.get(feature.kind, [number, 2])
        kind = np.float32 if feature.kind == "numeric" else np.int32
        columns[f"context.{feature.name}"] = np.ones(shape_of, kind)
    return Examples(columns, {})


def fit(prepared: Prepared, of: Fitter, name: str, folder: Path) -> dict[str, Any]:
    """Fit a model and tell its losses and how far its weights have come."""
    stage = {"folder": str(folder / "fit"), "logs": str(folder / "logs")}
    started = time.process_time()
    if name in RETRIEVAL:
        model, result = of.retrieval(prepared.training(), stage, name, epochs=EPOCHS)
        vectors = model.item_vectors(prepared.num_items)
    else:
        log = prepared.training().of(prepared.events)
        model, result = of.ranking(log, examples(prepared), stage, name, epochs=EPOCHS)
        vectors = model.item_parts(prepared.num_items)
    plain = all(isinstance(v, tf.Variable) for v in model.variables)
    return {
        "losses": [row["loss"] for row in result.curve],
        "vectors": vectors.tolist(),
        "plain": plain and not hasattr(model.variables[0], "values"),
        "policies": sorted({layer.compute_dtype for layer in _layers(model)}),
        "seconds": time.process_time() - started,
    }


def _layers(model: tf.Module) -> list[Any]:
    return [m for m in model.submodules if isinstance(m, tf.keras.layers.Layer)]


def main(folder: Path) -> None:
    """Fit every case on one device and on two."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    # To optimize the graphs would cost more than their few steps.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    planted = write_planted(folder / "planted")
    data = data_config(read_toml(planted.toml), planted.toml)
    prepared = prepare(data, planted.toml, str(folder / "data"))
    mixed = {"precision": "mixed_bfloat16"}
    cases: list[tuple[str, str, dict[str, str]]] = [
        (name, strategy, {})
        for name in (*RETRIEVAL, *RANKING)
        for strategy in ("none", "mirrored")
    ]
    cases += [("sampled_softmax", "mirrored", mixed), ("ranking", "none", mixed)]
    found = {}
    for name, strategy, train in cases:
        label = "/".join([name, strategy, *train.values()])
        out = folder / label
        of = fitter(prepared, data, out, name, strategy=strategy, **train)
        found[label] = fit(prepared, of, name, out)
        (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
