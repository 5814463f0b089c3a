"""Fits both models on the training part, for the evaluation."""

from typing import Any

import numpy as np

from data import files
from data.events import VALIDATION, EventLog, Stretch
from data.prepared import Prepared
from data.schema import as_table
from trainer.config import ExperimentConfig
from trainer.evaluation.calibration import fit_calibration
from trainer.evaluation.scorers import RetrievalScorer, TwoStageScorer
from trainer.experiment import Experiment, FittedParts
from trainer.fitting.boost import best_boost, choose_trend_boost
from trainer.fitting.fitter import Fitter
from trainer.fitting.learned import Learned, Stage
from trainer.fitting.loop import Fit
from trainer.fitting.ranking_examples import Source, build_examples, horizon_of
from trainer.fitting.ranking_validation import best_trust, best_weight
from trainer.inputs.requests import RankingInputs
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
    learned = learned_in(retrieval_run.stage("retrieval"))
    boosts = choose_trend_boost(model, prepared)
    cut = experiment.cut(log)
    early, _, early_run = fit_retrieval(
        experiment,
        fitter,
        prepared.training(cut),
        "Training retrieval on earlier events, to choose negatives",
        epochs=fit.best_epoch,
        warm_epochs=experiment.config.warm_start.early_epochs,
        like=learned,
    )
    early.boost_trend(best_boost(boosts))
    events, counted = prepared.events, prepared.counted
    scorer = RetrievalScorer(model, prepared, events, counted=counted)
    source = Source(
        scorer=RetrievalScorer(early, prepared, log),
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
        start=start_of(experiment, "ranking", training),
    )
    trusts = validation.choose_trust(ranking)
    both = TwoStageScorer(scorer, ranking, inputs)
    calibration = _calibrate(prepared, both.at(prepared.cut(VALIDATION)))
    facts = {
        "retrieval": {
            **fit_facts(fit),
            "run": retrieval_run.id,
            "early_run": early_run.id,
            **start_facts(learned),
            "trend_boost": best_boost(boosts),
            "trend_boosts_tried": boosts,
        },
        "ranking": {
            **fit_facts(ranking_fit),
            **start_facts(learned_in(run.stage("ranking"))),
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
    warm_epochs: int | None = None,
    like: Learned | None = None,
) -> tuple[RetrievalModel, Fit, Run]:
    """Fit retrieval in a run of its own, or take up the same fit of before.

    In: as `Fitter.retrieval`; `warm_epochs`: in place of `epochs`, if it begins with
    earlier weights; `like`: the evaluated fit whose `epochs` these are: only
    if that began with earlier weights this one does.
    """
    prepared, config = experiment.prepared, experiment.config
    source = start_of(
        experiment, "retrieval", stretch, refit=log is not None, like=like
    )
    if source is None and like is not None:
        epochs = like.epochs
    elif source is not None:
        epochs = warm_epochs or epochs
    run = Run.of_retrieval(
        experiment.out,
        prepared,
        config,
        stretch=stretch,
        epochs=epochs,
        start=_begun_with(config, source),
    )
    run.start(config)
    stage = run.stage("retrieval")
    model, fit = fitter.retrieval(
        stretch, stage, title, log=log, epochs=epochs, start=source
    )
    if run.metrics is None:
        facts = {**fit_facts(fit), **start_facts(learned_in(stage))}
        run.end({"run": run.id, "stages": {"retrieval": facts}})
    return model, fit, run


def start_of(
    experiment: Experiment,
    stage: Stage,
    stretch: Stretch | None = None,
    *,
    refit: bool = False,
    like: Learned | None = None,
) -> Learned | None:
    """Choose the earlier fit whose weights one begins with; None is from scratch.

    In: `stretch`: its events, None of a refit all; `like`: the evaluated fit that it
    goes with: from scratch if that was.
    """
    start, prepared = experiment.start, experiment.prepared
    if start is None or (like is not None and not like.start):
        return None
    until = None if stretch is None else stretch.end
    end = prepared.end_time if until is None else until
    return start.choose(stage, prepared, end=end, refit=refit or stretch is None)


def evaluated_fit(experiment: Experiment, stage: Stage) -> Learned:
    """Read what the evaluated fit of a stage left."""
    run = experiment.evaluation
    if stage == "retrieval":
        name = experiment.fitted.facts["retrieval"]["run"]
        run = Run(folder=files.join(experiment.out, "runs", name), id=name)
    return learned_in(run.stage(stage))


def _begun_with(config: ExperimentConfig, source: Learned | None) -> str:
    if source is None:
        return ""
    return files.fingerprint(source.weights, as_table(config.warm_start))


def learned_in(stage: dict[str, str]) -> Learned:
    """Read what the fit of a stage left, which has ended."""
    learned = Learned.read(stage["folder"])
    if learned is None:
        raise RuntimeError(f"{stage['folder']}: a fit that has ended left no facts")
    return learned


def start_facts(learned: Learned) -> dict[str, Any]:
    """Return what a run keeps of what a fit began with: nothing if from scratch."""
    return {"began_with": learned.start} if learned.start else {}


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
