"""Fits both models on the training part, for the evaluation."""

from typing import Any

import numpy as np

from data.events import VALIDATION, EventLog, Stretch
from data.prepared import Prepared
from trainer.evaluation.calibration import fit_calibration
from trainer.evaluation.scorers import RetrievalScorer, TwoStageScorer
from trainer.experiment import Experiment, FittedParts
from trainer.fitting.boost import best_boost, choose_trend_boost
from trainer.fitting.fitter import Fitter
from trainer.fitting.loop import Fit
from trainer.fitting.ranking_examples import Source, build_examples, horizon_of
from trainer.fitting.ranking_inputs import RankingInputs
from trainer.fitting.ranking_validation import best_trust, best_weight
from trainer.models.retrieval import RetrievalModel
from trainer.runs import Run

CHUNK = 256
CALIBRATION_QUERIES = 5_000


def fit_for_evaluation(experiment: Experiment) -> FittedParts:
    """Fit both models on the training part; validation stops them."""
    prepared, run = experiment.prepared, experiment.evaluation
    ranking_config, seed = experiment.config.ranking, experiment.config.train.seed
    run.start(experiment.config)
    fitter = Fitter(prepared, experiment.config, experiment.out)
    training = prepared.training()
    log = training.of(prepared.events)
    model, fit, retrieval_run = fit_retrieval(
        experiment, fitter, training, "Training retrieval"
    )
    boosts = choose_trend_boost(model, prepared)
    cut = experiment.cut(log)
    early, _, early_run = fit_retrieval(
        experiment,
        fitter,
        prepared.training(cut),
        "Training retrieval on earlier events, to choose negatives",
        epochs=fit.best_epoch,
    )
    early.boost_trend(best_boost(boosts))
    events, counted = prepared.events, prepared.counted
    scorer = RetrievalScorer(model, prepared, events, counted=counted)
    source = Source(
        scorer=RetrievalScorer(early, prepared, events, counted=counted),
        affinity=fitter.affinity(prepared.training(cut).of(events)),
        cut=cut,
        end=int(log.time.max()) + 1,
        horizon_s=horizon_of(prepared, ranking_config),
    )
    examples = build_examples(prepared, log, source, ranking_config, seed)
    affinity = fitter.affinity(log)
    inputs = RankingInputs.of(prepared, events, affinity, counted=counted)
    validation = fitter.ranking_validation(scorer, inputs)
    weights = validation.try_affinity()
    ranking, ranking_fit = fitter.ranking(
        log,
        examples,
        run.stage("ranking"),
        "Training ranking",
        validation=validation,
        affinity_weight=best_weight(weights),
    )
    trusts = validation.choose_trust(ranking)
    both = TwoStageScorer(scorer, ranking, inputs)
    calibration = _calibrate(prepared, both.at(prepared.cut(VALIDATION)))
    facts = {
        "retrieval": {
            **fit_facts(fit),
            "run": retrieval_run.id,
            "early_run": early_run.id,
            "trend_boost": best_boost(boosts),
            "trend_boosts_tried": boosts,
        },
        "ranking": {
            **fit_facts(ranking_fit),
            "affinity_weight": best_weight(weights),
            "affinity_weights_tried": weights,
            "trust": best_trust(trusts),
            "trusts_tried": trusts,
            "questions": len(validation),
            "examples": examples.facts,
        },
        "calibration": _calibration_facts(experiment, calibration),
    }
    return FittedParts(scorer, source, both, calibration, facts)


def fit_retrieval(
    experiment: Experiment,
    fitter: Fitter,
    stretch: Stretch,
    title: str,
    *,
    log: EventLog | None = None,
    epochs: int | None = None,
) -> tuple[RetrievalModel, Fit, Run]:
    """Fit retrieval in a run of its own, or take up the same fit of before.

    In: as `Fitter.retrieval`.
    """
    prepared, config = experiment.prepared, experiment.config
    run = Run.of_retrieval(
        experiment.out, prepared, config, stretch=stretch, epochs=epochs
    )
    run.start(config)
    stage = run.stage("retrieval")
    model, fit = fitter.retrieval(stretch, stage, title, log=log, epochs=epochs)
    if run.metrics is None:
        run.end({"run": run.id, "stages": {"retrieval": fit_facts(fit)}})
    return model, fit, run


def fit_facts(fit: Fit) -> dict[str, Any]:
    """Return what a run keeps of how a fit went."""
    return {"best_epoch": fit.best_epoch, fit.monitor: fit.best, "curve": fit.curve}


def _calibrate(prepared: Prepared, both: TwoStageScorer) -> tuple[float, float]:
    queries = prepared.queries(VALIDATION)
    number = min(len(queries), CALIBRATION_QUERIES)
    chosen = np.random.default_rng(0).choice(len(queries), number, replace=False)
    logits, labels = [], []
    for start in range(0, number, CHUNK):
        rows = np.sort(chosen[start : start + CHUNK])
        item, there, scores, outputs = both.candidates(queries, rows)
        relevant = np.zeros(scores.shape, bool)
        for place, row in enumerate(rows):
            relevant[place, queries.relevant[row]] = True
        logits.append(outputs["like"][there])
        labels.append(np.take_along_axis(relevant, item, axis=1)[there])
    if not logits:
        return 1.0, 0.0
    return fit_calibration(np.concatenate(logits), np.concatenate(labels))


def _calibration_facts(
    experiment: Experiment, calibration: tuple[float, float]
) -> dict[str, Any]:
    number = experiment.config.ranking.candidates
    distribution = (
        f"the first {number} candidates of retrieval for each validation user; the "
        "event is that the user likes the item within the validation part"
    )
    slope, offset = calibration
    return {"slope": slope, "offset": offset, "distribution": distribution}
