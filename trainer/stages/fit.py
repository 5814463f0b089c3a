"""Fits both models on the training part, for the evaluation."""

from typing import Any

import numpy as np

from data.events import VALIDATION
from data.prepared import Prepared
from trainer.boost import best_boost, choose_trend_boost
from trainer.calibration import fit_calibration
from trainer.experiment import Experiment, FittedParts
from trainer.fitting import Fitter
from trainer.loop import Fit
from trainer.ranking_examples import Source, build_examples
from trainer.scorers import RetrievalScorer, TwoStageScorer, first_items

CHUNK = 256
CALIBRATION_QUERIES = 5_000


def fit_for_evaluation(experiment: Experiment) -> FittedParts:
    """Fit both models on the training part; validation stops them."""
    prepared, run = experiment.prepared, experiment.evaluation
    run.start(experiment.config)
    fitter = Fitter(prepared, experiment.config, experiment.out)
    training = prepared.training()
    log = training.of(prepared.events)
    model, fit = fitter.retrieval(
        training, run.stage("retrieval"), "Training retrieval"
    )
    boosts = choose_trend_boost(model, prepared)
    cut = experiment.cut(log)
    early, _ = fitter.retrieval(
        prepared.training(cut),
        run.stage("retrieval_early"),
        "Training retrieval on earlier events, to choose negatives",
        epochs=fit.best_epoch,
    )
    early.boost_trend(best_boost(boosts))
    scorer = RetrievalScorer(model, prepared, prepared.events)
    early_scorer = RetrievalScorer(early, prepared, prepared.events)
    source = Source(early_scorer, cut, int(log.time.max()) + 1)
    seed = experiment.config.train.seed
    examples = build_examples(prepared, log, source, experiment.config.ranking, seed)
    ranking, ranking_fit = fitter.ranking(
        log, examples, run.stage("ranking"), "Training ranking", retrieval=scorer
    )
    both = fitter.two_stages(scorer, ranking, prepared.events)
    calibration = _calibrate(prepared, both.at(prepared.cut(VALIDATION)))
    facts = {
        "retrieval": {
            **fit_facts(fit),
            "trend_boost": best_boost(boosts),
            "trend_boosts_tried": boosts,
        },
        "ranking": {**fit_facts(ranking_fit), "examples": examples.facts},
        "calibration": _calibration_facts(experiment, calibration),
    }
    return FittedParts(scorer, early_scorer, both, calibration, facts)


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
        requests = both.retrieval.requests(queries, rows)
        scores = both.retrieval.scores(requests)
        masked = np.where(prepared.servable, scores, -np.inf)
        for place, row in enumerate(rows):
            masked[place, queries.seen[row]] = -np.inf
        item = first_items(masked, both.model.config.candidates)
        there = np.isfinite(np.take_along_axis(masked, item, axis=1))
        score = np.take_along_axis(scores, item, axis=1)
        relevant = np.zeros(masked.shape, bool)
        for place, row in enumerate(rows):
            relevant[place, queries.relevant[row]] = True
        logits.append(both.outputs(requests, item, score)["like"][there])
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
