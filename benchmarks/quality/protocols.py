"""What a step of `make bench-quality` fits, and how it is measured."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from data import files
from data.errors import ConfigError
from data.events import TEST, VALIDATION, EventLog
from data.schema import Column
from trainer.evaluation.bootstrap import bootstrap
from trainer.evaluation.evaluate import evaluate, measure
from trainer.evaluation.metrics import accuracy
from trainer.evaluation.results import Evaluation, intervals_json
from trainer.evaluation.scorers import RetrievalScorer
from trainer.experiment import Experiment
from trainer.experiment import evaluate as evaluate_experiment
from trainer.fitting.boost import choose_trend_boost
from trainer.fitting.fitter import Fitter
from trainer.fitting.loop import Fit
from trainer.models.retrieval import RetrievalModel
from trainer.stages.fit import fit_retrieval
from trainer.stages.measure import split_sentence

SHORT_K, LONG_K = 10, 50
CUTS = 5  # At the end of the events, each with a test part.
COMPARED = 3  # Whose validation parts compare settings.
QUIET_MONTH = "in a quiet month"
# Events, as in the month before the last cut; those compared have 30 times that.
QUIET = 5_000


def fitted(experiment: Experiment) -> tuple[RetrievalModel, Fit]:
    """Fit the retrieval model on the training part, its boost chosen on validation."""
    prepared = experiment.prepared
    fitter = Fitter(prepared, experiment.config, experiment.out)
    model, fit, _ = fit_retrieval(
        experiment, fitter, prepared.training(), "Training retrieval"
    )
    choose_trend_boost(model, prepared)
    return model, fit


def scored_on_test(experiment: Experiment) -> tuple[RetrievalScorer, Fit]:
    """Fit the retrieval model as `fitted`. Out: it scores the test part."""
    prepared = experiment.prepared
    model, fit = fitted(experiment)
    scorer = RetrievalScorer(model, prepared, prepared.events, counted=prepared.counted)
    return scorer.at(prepared.cut(TEST)), fit


def measured(found: Evaluation) -> dict[str, Any]:
    """Return what is kept of an evaluation."""
    whole = found.to_json()
    return {
        "protocol": whole["protocol"],
        "counts": whole["counts"],
        "models": {name: m["metrics"] for name, m in whole["models"].items()},
        "comparisons": whole["comparisons"],
    }


def every_target(experiment: Experiment) -> dict[str, Any]:
    """Fit the retrieval model and measure it on all targets of a leave-one-out.

    Published tables count those without a training event as all others. Each user
    asks for one item, so the two kinds of queries are those of different users.
    """
    scorer, fit = scored_on_test(experiment)
    found = evaluate(
        experiment.prepared,
        TEST,
        {"retrieval": scorer},
        ks=experiment.config.evaluation.ks,
        split=split_sentence(experiment.config.data.split),
        seed=experiment.config.train.seed,
    )
    kept = measured(found)
    kept |= {"epochs": fit.best_epoch, "validation": {fit.monitor: fit.best}}
    users = np.concatenate([found.asked.users, found.apart.users])
    for name, model in found.models.items():
        others = accuracy(model.apart, found.ks)
        columns = {
            (name, metric): np.concatenate([model.per_query[metric], values])
            for metric, values in others.items()
        }
        bounds = bootstrap(columns, users, seed=found.seed, resamples=found.resamples)
        every = {metric: bounds[name, metric] for metric in others}
        kept["models"][name] = intervals_json(every)
    number = len(users)
    kept["counts"] |= {"queries": number, "users": number, "relevant": number}
    kept["protocol"].append(
        f"All {number:,} targets are counted here, with a training event or without."
    )
    return kept


def both_stages(experiment: Experiment) -> dict[str, Any]:
    """Do what `python -m trainer evaluate` does and keep what its report says."""
    evaluate_experiment(experiment)
    report = files.read_json(files.join(experiment.out, "report.json"))
    return {
        "protocol": report["protocol"],
        "counts": report["counts"],
        "chosen": report["about"]["chosen on validation"],
        "models": {n: m["metrics"] for n, m in report["models"].items()},
        "baselines": [n for n, m in report["models"].items() if m["is_baseline"]],
        "comparisons": report["comparisons"],
    }


def validation_alone(experiment: Experiment) -> dict[str, Any]:
    """Fit retrieval for a few folds and ask their validation parts, and no test part.

    Settings are compared so. A later fold's validation part holds what an earlier one
    tests, so of more folds than are tested those are taken whose validation part ends
    where the first of the last `CUTS` test parts begins, or before.

    They are asked once more as in a quiet month: popularity then counts so few events
    of it as there are before the last test.
    """
    ks, users, seed = (SHORT_K, 2 * LONG_K), [], experiment.config.train.seed
    values: dict[str, dict[str, list[np.ndarray]]] = {}
    for each in untested(experiment.folds):
        prepared, model = each.prepared, fitted(each)[0]
        queries, now = prepared.queries(VALIDATION), prepared.cut(VALIDATION)
        counted = prepared.counted
        quiet = thinned(counted, now - prepared.window_s, now, QUIET, seed)
        for name, log in (("retrieval", counted), (QUIET_MONTH, quiet)):
            scorer = RetrievalScorer(
                model, prepared, prepared.events, counted=log, now=now
            )
            found = measure(prepared, queries, scorer, ks=ks).per_query
            kept = values.setdefault(name, defaultdict(list))
            for k in ks:
                for metric in (f"ndcg@{k}", f"recall@{k}"):
                    kept[metric].append(found[metric])
        users.append(queries.users)
    whose = np.concatenate(users)
    models = {}
    for name, kept in values.items():
        columns = {metric: np.concatenate(parts) for metric, parts in kept.items()}
        models[name] = intervals_json(bootstrap(columns, whose, seed=seed))
    counts = {"queries": len(whose), "users": len(np.unique(whose))}
    return {"part": "validation", "counts": counts, "models": models}


def thinned(log: EventLog, start: int, end: int, number: int, seed: int) -> EventLog:
    """Return a log with at most so many events of a time, drawn at random.

    In: `start`, `end`: Unix seconds, the end not included.
    """
    inside = np.flatnonzero((log.time >= start) & (log.time < end))
    draw = np.random.default_rng(seed).permutation(inside)
    keep = np.ones(len(log), bool)
    keep[draw[number:]] = False
    return log.where(keep)


def untested(folds: Sequence[Any]) -> list[Any]:
    """Return the newest folds that read nothing of what the last `CUTS` test.

    Raises: ConfigError when there are too few.
    """
    first = len(folds) - CUTS
    if first + 1 < COMPARED:
        raise ConfigError(
            f"[data.split] cuts: found {len(folds)}, expected at least "
            f"{CUTS + COMPARED - 1}: the last {CUTS} test, and {COMPARED} compare "
            "settings before that."
        )
    return [*folds[first + 1 - COMPARED : first + 1]]


def with_and_without_text(experiment: Experiment) -> dict[str, Any]:
    """Measure the recall of cold items with text and without, in two worlds.

    In the one the items have their columns as they are, in the other all of them are
    read as text, so that without text nothing is known of a new item.
    """
    metric = f"recall@{LONG_K}"
    kept: dict[str, Any] = {"models": {}, "comparisons": []}
    for names, one in _worlds(experiment).items():
        config = one.config
        text = dataclasses.replace(config.text, preset="")
        blind = dataclasses.replace(
            one,
            config=dataclasses.replace(config, text=text),
            out=files.join(one.out, "no-text"),
        )
        scorers = [scored_on_test(each)[0] for each in (one, blind)]
        found = measured(
            evaluate(
                one.prepared,
                TEST,
                dict(zip(names, scorers, strict=True)),
                ks=config.evaluation.ks,
                compared=(metric,),
                split=split_sentence(config.data.split),
                seed=config.train.seed,
            )
        )
        kept["models"] |= found["models"]
        kept["comparisons"] += found["comparisons"]
        kept |= {name: found[name] for name in ("protocol", "counts")}
    return kept


def _worlds(experiment: Experiment) -> dict[tuple[str, str], Experiment]:
    """Return both worlds by what is known in them, with text and without."""
    config = experiment.config
    assert config.data.items is not None
    columns = {
        name: Column(kind="text", title=column.title)
        if column.role == "feature"
        else column
        for name, column in config.data.items.columns.items()
    }
    items = dataclasses.replace(config.data.items, columns=columns)
    data = dataclasses.replace(config.data, items=items)
    bare = dataclasses.replace(
        experiment,
        config=dataclasses.replace(config, data=data),
        out=files.join(experiment.out, "bare"),
    )
    return {("columns and text", "columns"): experiment, ("text", "nothing"): bare}
