"""The steps of `make bench-quality`: what each trains, and how it is measured."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.click import click_model
from data import files
from data.events import TEST
from data.prepared import Prepared
from trainer.config import read_experiment
from trainer.evaluate import evaluate
from trainer.experiment import Experiment
from trainer.experiment import evaluate as evaluate_experiment
from trainer.fitting import Fitter
from trainer.scorers import RetrievalScorer

CONFIGS = Path(__file__).parents[2] / "trainer" / "configs"
LONG_K = 50


@dataclass(frozen=True, kw_only=True)
class Step:
    """An experiment under a protocol.

    `published`: what others report under it, by metric: (value, who). `measure`: fits
    and measures; from the experiment to what is kept of it.
    """

    toml: str
    measure: Callable[[Experiment], dict[str, Any]]
    overrides: tuple[str, ...] = ()
    published: dict[str, tuple[float, str]]
    says: str

    def experiment(
        self, out: Path, seed: int, overrides: tuple[str, ...]
    ) -> Experiment:
        """Return the experiment of a seed, in a folder of its own."""
        path = CONFIGS / self.toml
        config = read_experiment(
            path, (*self.overrides, f"train.seed={seed}", *overrides)
        )
        return Experiment(config=config, path=path, out=str(out))


def retrieval_alone(experiment: Experiment) -> dict[str, Any]:
    """Fit the retrieval model on the training part and measure it on the test part."""
    prepared, config = experiment.prepared, experiment.config
    fitter = Fitter(prepared, config, experiment.out)
    stage = {
        "folder": files.join(experiment.out, "retrieval"),
        "logs": files.join(experiment.out, "tensorboard"),
    }
    model, fit = fitter.retrieval(prepared.training(), stage, "Training retrieval")
    scorer = RetrievalScorer(model, prepared, prepared.events)
    found = evaluate(
        prepared,
        TEST,
        {"retrieval": scorer.at(prepared.cut(TEST))},
        ks=config.evaluation.ks,
        seed=config.train.seed,
    ).to_json()
    return {
        "protocol": found["protocol"],
        "counts": found["counts"],
        "epochs": fit.best_epoch,
        "validation": {fit.monitor: fit.best},
        "models": {"retrieval": found["models"]["retrieval"]["metrics"]},
    }


def both_stages(experiment: Experiment) -> dict[str, Any]:
    """Do what `python -m trainer evaluate` does and keep what its report says."""
    evaluate_experiment(experiment)
    report = files.read_json(files.join(experiment.out, "report.json"))
    return {
        "protocol": report["protocol"],
        "counts": report["counts"],
        "chosen": report["about"]["chosen on validation"],
        "models": {n: m["metrics"] for n, m in report["models"].items()},
        "comparisons": report["comparisons"],
    }


def with_and_without_text(experiment: Experiment) -> dict[str, Any]:
    """Measure the recall of cold items by the model, and by the same without text."""
    config = experiment.config
    blind = dataclasses.replace(
        config, text=dataclasses.replace(config.text, preset="")
    )
    whole = retrieval_alone(experiment)
    other = retrieval_alone(
        dataclasses.replace(
            experiment, config=blind, out=files.join(experiment.out, "no-text")
        )
    )
    metric = f"recall@{LONG_K}"
    both = {
        "retrieval": whole["models"]["retrieval"],
        "without text": other["models"]["retrieval"],
    }
    means = [found[metric]["mean"] for found in both.values()]
    ratio = means[0] / means[1] if means[1] else np.inf
    return {**whole, "models": both, "ratio": {metric: min(ratio, 1e6)}}


ESASREC = "eSASRec, github.com/blondered/transformer_benchmark"
STEPS = {
    "leave-one-out": Step(
        toml="ml-1m-leave-one-out.toml",
        measure=retrieval_alone,
        published={"ndcg@10": (0.1772, ESASREC), "hit_rate@10": (0.3133, ESASREC)},
        says="MovieLens-1M, leave-one-out, ties in time by the order in the file",
    ),
    "leave-one-out-by-item": Step(
        toml="ml-1m-leave-one-out.toml",
        measure=retrieval_alone,
        overrides=("data.split.ties='item'",),
        published={},
        says="the same, ties in time by the row of the item",
    ),
    "temporal-100k": Step(
        toml="ml-100k.toml",
        measure=both_stages,
        published={},
        says="MovieLens-100K, temporal split, the defaults",
    ),
    "rolling-1m": Step(
        toml="ml-1m.toml",
        measure=both_stages,
        overrides=(
            *("data.split.kind='rolling'", "data.split.cuts=5"),
            *("data.split.test=0.04", "data.split.validation=0.08"),
        ),
        published={},
        says="MovieLens-1M, five temporal splits pooled",
    ),
    "click": Step(
        toml="ml-1m-click.toml",
        measure=click_model,
        published={"auc": (0.877, "DCN-v2, EasyRec's documentation, one epoch")},
        says="MovieLens-1M as clicks, a fifth at random to test",
    ),
    "cold-1m": Step(
        toml="ml-1m.toml",
        measure=with_and_without_text,
        overrides=("data.split.kind='cold_items'",),
        published={},
        says="MovieLens-1M, a tenth of the items without any training event",
    ),
    "cold-amazon": Step(
        toml="amazon-2018-scientific.toml",
        measure=with_and_without_text,
        overrides=("data.split.kind='cold_items'",),
        published={},
        says="Amazon Scientific 2018, a tenth of the items without any training event",
    ),
}


def data_of(experiment: Experiment) -> dict[str, Any]:
    """Return what names the data of an experiment."""
    prepared: Prepared = experiment.prepared
    counts = prepared.manifest["counts"]
    names = ("users", "items", "events", "positives")
    return {
        "fingerprint": prepared.fingerprint,
        **{name: counts[name] for name in names},
    }
