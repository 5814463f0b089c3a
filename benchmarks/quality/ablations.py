"""What each part is worth: the same models with it and without, one short schedule."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.quality.protocols import measured, scored_on_test
from data import files
from data.events import TEST
from trainer.config import ExperimentConfig
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.metrics import Scorer
from trainer.evaluation.results import Evaluation
from trainer.experiment import Experiment
from trainer.stages.measure import split_sentence

Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Ablation:
    """A part, and the names of the variants with it and without."""

    part: str
    whole: str
    without: str


SAMPLED = {"loss": "sampled_softmax"}
RETRIEVAL_VARIANTS: dict[str, Settings] = {
    "as configured": {},
    "without text": {"text": {"preset": ""}},
    "order of the history": {"retrieval": {"block": "gated", "heads": 1}},
    "next event alone": {"retrieval": {"horizon": 0}},
    "what was met competes": {"retrieval": {"unseen_only": False}},
    "in-batch softmax": {"retrieval": {"loss": "in_batch"}},
    "in-batch softmax without log-Q": {
        "retrieval": {"loss": "in_batch", "log_q": False}
    },
    "sampled softmax": {"retrieval": SAMPLED},
    "sampled softmax, 8 hard negatives": {
        "retrieval": {**SAMPLED, "hard_negatives": 8}
    },
}
RETRIEVAL_PARTS = (
    Ablation("text", "as configured", "without text"),
    Ablation("order of the history", "order of the history", "as configured"),
    Ablation("horizon", "as configured", "next event alone"),
    Ablation("unseen only", "as configured", "what was met competes"),
    Ablation("log-Q", "in-batch softmax", "in-batch softmax without log-Q"),
    Ablation("hard negatives", "sampled softmax, 8 hard negatives", "sampled softmax"),
)
SEQUENCE_VARIANTS: dict[str, Settings] = {
    "as configured": {},
    "mean of the history": {"retrieval": {"block": "mean"}},
}
SEQUENCE_PARTS = (Ablation("sequence", "as configured", "mean of the history"),)
RANKING_VARIANTS: dict[str, Settings] = {
    "both heads": {},
    "likes alone": {"ranking": {"rating_weight": 0.0}},
    "without attention": {"ranking": {"attention_heads": 0}},
}
RANKING_PARTS = (
    Ablation("the rating's head", "both heads", "likes alone"),
    Ablation("attention over the history", "both heads", "without attention"),
)


def retrieval_parts(experiment: Experiment) -> dict[str, Any]:
    """Fit retrieval with and without each part, and tell them apart on the test."""
    return _of_retrieval(experiment, RETRIEVAL_VARIANTS, RETRIEVAL_PARTS)


def sequence_parts(experiment: Experiment) -> dict[str, Any]:
    """Fit retrieval with the order of a history and without."""
    return _of_retrieval(experiment, SEQUENCE_VARIANTS, SEQUENCE_PARTS)


def _of_retrieval(
    experiment: Experiment,
    variants: Mapping[str, Settings],
    parts: Sequence[Ablation],
) -> dict[str, Any]:
    scorers = {}
    for name, one in _variants(experiment, variants).items():
        scorers[name] = scored_on_test(one)[0]
    return _told_apart(experiment, scorers, parts)


def ranking_parts(experiment: Experiment) -> dict[str, Any]:
    """Fit ranking with and without each part, behind one retrieval model."""
    now = experiment.prepared.cut(TEST)
    scorers = {}
    for name, one in _variants(experiment, RANKING_VARIANTS, shared=True).items():
        scorers[name] = one.fitted.ranking.at(now)
    return _told_apart(experiment, scorers, RANKING_PARTS)


def _variants(
    experiment: Experiment, variants: Mapping[str, Settings], *, shared: bool = False
) -> dict[str, Experiment]:
    """Return the variants' experiments. In: `shared`: all in the one folder."""
    found = {}
    for name, settings in variants.items():
        folder = name.replace(",", "").replace(" ", "-")
        out = experiment.out if shared else files.join(experiment.out, folder)
        config = _changed(experiment.config, settings)
        found[name] = dataclasses.replace(experiment, config=config, out=out)
        # What they share is prepared once; `prepared` is a cached property.
        found[name].__dict__["prepared"] = experiment.prepared
    return found


def _changed(config: ExperimentConfig, settings: Settings) -> ExperimentConfig:
    tables = {
        name: dataclasses.replace(getattr(config, name), **values)
        for name, values in settings.items()
    }
    return dataclasses.replace(config, **tables)


def _told_apart(
    experiment: Experiment, scorers: Mapping[str, Scorer], parts: Sequence[Ablation]
) -> dict[str, Any]:
    found = evaluate(
        experiment.prepared,
        TEST,
        scorers,
        ks=experiment.config.evaluation.ks,
        split=split_sentence(experiment.config.data.split),
        seed=experiment.config.train.seed,
    )
    return {**measured(found), "ablations": [_line(found, one) for one in parts]}


def _line(found: Evaluation, ablation: Ablation) -> dict[str, Any]:
    """Return what a part is worth: the paired differences, with it minus without."""
    differences = {}
    for one in found.comparisons:
        names = (one.model, one.baseline)
        if set(names) == {ablation.whole, ablation.without}:
            sign = 1 if one.model == ablation.whole else -1
            low, high = sorted([sign * one.difference.low, sign * one.difference.high])
            mean = sign * one.difference.mean
            differences[one.metric] = {"mean": mean, "low": low, "high": high}
    return {**dataclasses.asdict(ablation), "differences": differences}
