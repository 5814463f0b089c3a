"""The retraining job with stand-ins for what needs TensorFlow: all else is real.

A stand-in's model is a hash of the data that it was fitted to, so that equal data, and
no others, publish equal bytes.
"""

import sys
from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

from data import files
from trainer.experiment import Experiment
from trainer.export.publish import (
    SERVABLES,
    new_version,
    prune,
    publish,
    write_configs,
)
from trainer.retrain.figures import EVALUATION, GRAPH, TIMES
from trainer.retrain.state import StepFolder

QUALITY = "quality.json"  # In `out`: what a candidate's metric is to be.
METRIC = 0.2


def fit(experiment: Experiment) -> Any:
    """Leave a fit: a file for each stage, told from others by the data."""
    run = experiment.evaluation
    for stage in ("retrieval", "ranking"):
        place = files.join(run.folder, "checkpoints", stage, "weights")
        files.write_text(place, f"{stage} {experiment.prepared.fingerprint}")
    stages = {"retrieval": {"run": run.id, "curve": []}, "ranking": {"curve": []}}
    return SimpleNamespace(facts=stages)


def weights_hash(folder: str) -> str:
    return files.sha256(files.join(folder, "weights"))


def tables_hash(version: str) -> str:
    return files.sha256(files.join(version, "variables", "variables.index"))


def evaluate_candidate(
    experiment: Experiment, champion: Any, serving: Any, step: StepFolder
) -> None:
    """Measure what QUALITY says, against a champion whose data can be opened."""
    place = files.join(experiment.out, QUALITY)
    mean = files.read_json(place) if files.exists(place) else METRIC
    figures: dict[str, Any] = {
        "metric": "ndcg@10",
        "model": "two_stage",
        "users": 100,
        "candidate": _interval(mean),
        **dict.fromkeys(("champion", "difference", "baseline")),
        "guards": {},
        "cold": None,
        "others": {"two_stage": _interval(mean)},
    }
    if champion is not None:
        assert champion.prepared.num_items
        figures["champion"] = _interval(METRIC)
        figures["difference"] = _interval(mean - METRIC)
    step.write(EVALUATION, figures)
    step.write(GRAPH, {"refused": "", "guards": {}, "answers_known": 0}, stable=False)
    step.write(TIMES, {"candidate": 1.0, "champion": 1.0}, stable=False)


def _interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.001, "high": mean + 0.001}


def refit_and_export(
    experiment: Experiment,
    more: Mapping[str, Any] | None = None,
    *,
    prunes: bool = True,
) -> int:
    models = experiment.models
    version = new_version(models)

    def save(folder: str) -> None:
        about = {"format": 1, "ops_beyond_stock": [], "prepared": experiment.data}
        data = {"data": {"fingerprint": experiment.prepared.fingerprint}}
        variables = files.join(folder, "variables")
        content = experiment.prepared.fingerprint.encode() * 10_000
        for name in ("variables.index", "variables.data-00000-of-00001"):
            files.make_folder(variables)
            with files.open_file(files.join(variables, name), "wb") as file:
                file.write(content)
        files.write_text(files.join(folder, "saved_model.pb"), "graph")
        files.write_json(
            files.join(folder, "manifest.json"), {**about, **data, **(more or {})}
        )

    publish(models, version, dict.fromkeys(SERVABLES, save))
    if prunes:
        prune(models, experiment.config.export.keep_versions)
    write_configs(models)
    return version


def stand_ins() -> dict[str, ModuleType]:
    """Return modules to put in the place of those that import TensorFlow."""
    found: dict[str, ModuleType] = {}
    for name, function in (
        ("trainer.retrain.weights", weights_hash),
        ("trainer.retrain.weights", tables_hash),
        ("trainer.retrain.measuring", evaluate_candidate),
        ("trainer.stages.deliver", refit_and_export),
    ):
        module = found.setdefault(name, ModuleType(name))
        setattr(module, function.__name__, function)
    return found


def install() -> None:
    """Put the stand-ins in place, in a process that does nothing else."""
    sys.modules.update(stand_ins())
    Experiment.fitted = property(fit)  # type: ignore[assignment]
