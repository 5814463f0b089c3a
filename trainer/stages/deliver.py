"""Refits the models on all events and publishes the servables."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from data.console import say
from data.events import VALIDATION, Stretch
from trainer.catalogue.amend import amended
from trainer.catalogue.exported import standing_changes
from trainer.catalogue.text_store import TextStore
from trainer.evaluation.scorers import RetrievalScorer
from trainer.experiment import Experiment
from trainer.export.export import Fitted, export, known_to_evaluated
from trainer.fitting.fitter import Fitter
from trainer.fitting.ranking_examples import Examples, Source, build_examples
from trainer.stages.fit import evaluated_fit, fit_facts, fit_retrieval, start_of


def refit_and_export(
    experiment: Experiment,
    more: Mapping[str, Any] | None = None,
    *,
    prunes: bool = True,
) -> int:
    """Fit on all events with the epochs chosen, and publish the servables.

    In: `more`: what the manifests say beside what is known here; `prunes`: as `export`.
    """
    fitted = _refitted(experiment) if experiment.config.export.refit == "full" else None
    fitted = fitted or evaluated_models(experiment)
    changes = standing_changes(experiment.models, experiment.prepared)
    store = TextStore(experiment.out, experiment.config.text)
    fitted = amended(fitted, changes, store)
    metrics = experiment.evaluation.metrics or {}
    evaluation = metrics["evaluation"]
    about = {
        "runs": experiment.run_ids(),
        "metrics": {n: m["metrics"] for n, m in evaluation["models"].items()},
        "protocol": evaluation["protocol"],
        "calibration": metrics["stages"]["calibration"],
        "prepared": experiment.data,
        **(more or {}),
    }
    version = export(fitted, experiment.config, experiment.models, about, prunes=prunes)
    say(f"Published version {version} of retrieval, ranking and recommender")
    return version


def evaluated_models(experiment: Experiment) -> Fitted:
    """Export the evaluated fit: it knows what lies before the test part."""
    prepared, parts = experiment.prepared, experiment.fitted
    log, end_time = known_to_evaluated(prepared)
    return Fitted(
        prepared=prepared,
        log=log,
        end_time=end_time,
        retrieval=parts.retrieval.model,
        ranking=parts.ranking.model,
        affinity=parts.ranking.inputs.affinity,
        calibration=parts.calibration,
        text_tower=_text_tower(experiment, parts.retrieval),
    )


def _text_tower(experiment: Experiment, retrieval: RetrievalScorer) -> Any:
    tuned = retrieval.model.text_tower
    if tuned is not None:
        return tuned
    return Fitter(experiment.prepared, experiment.config, experiment.out).text_tower


def _refitted(experiment: Experiment) -> Fitted:
    prepared, parts, run = experiment.prepared, experiment.fitted, experiment.refit
    run.start(experiment.config)
    fitter = Fitter(prepared, experiment.config, experiment.out)
    log = prepared.as_happened
    model, fit, retrieval_run = fit_retrieval(
        experiment,
        fitter,
        Stretch(),
        "Refitting retrieval on all events",
        log=log,
        epochs=parts.facts["retrieval"]["best_epoch"],
        like=evaluated_fit(experiment, "retrieval"),
    )
    model.boost_trend(parts.facts["retrieval"]["trend_boost"])
    ranking_config, seed = experiment.config.ranking, experiment.config.train.seed
    examples = Examples.joined(
        [
            build_examples(prepared, log, source, ranking_config, seed)
            for source in _sources(experiment)
        ]
    )
    ranking, ranking_fit = fitter.ranking(
        log,
        examples,
        run.stage("ranking"),
        "Refitting ranking on all events",
        epochs=parts.facts["ranking"]["best_epoch"],
        affinity_weight=parts.facts["ranking"]["affinity_weight"],
        start=start_of(
            experiment, "ranking", like=evaluated_fit(experiment, "ranking")
        ),
    )
    ranking.trust.assign(parts.facts["ranking"]["trust"])
    facts = {"retrieval": fit_facts(fit), "ranking": fit_facts(ranking_fit)}
    facts["retrieval"]["run"] = retrieval_run.id
    facts["ranking"]["examples"] = examples.facts
    run.end({"run": run.id, "of": experiment.evaluation.id, "stages": facts})
    return Fitted(
        prepared=prepared,
        log=log,
        end_time=prepared.end_time,
        retrieval=model,
        ranking=ranking,
        affinity=fitter.affinity(log),
        calibration=parts.calibration,
        text_tower=_text_tower(experiment, RetrievalScorer(model, prepared, log)),
    )


def _sources(experiment: Experiment) -> list[Source]:
    """Return who chooses the negatives of which time: always an earlier fit."""
    prepared, parts = experiment.prepared, experiment.fitted
    early, end = parts.early, prepared.end_time
    validation = prepared.cut(VALIDATION)
    if validation is None:  # Under leave one out the parts overlap in time.
        return [dataclasses.replace(early, end=end)]
    affinity = parts.ranking.inputs.affinity
    later = Source(parts.retrieval, affinity, validation, end, early.horizon_s)
    return [dataclasses.replace(early, end=validation), later]
