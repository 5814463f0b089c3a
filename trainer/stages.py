"""The stages of an experiment that need the models: fits, measurements, export."""

from typing import Any

import numpy as np

from data.console import say
from data.events import TEST, VALIDATION, Stretch
from data.prepared import Prepared
from data.schema import Split
from trainer import baselines
from trainer.boost import best_boost, choose_trend_boost
from trainer.calibration import fit_calibration
from trainer.evaluate import evaluate, pooled
from trainer.evaluation import Evaluation
from trainer.experiment import Experiment, FittedParts
from trainer.export import Fitted, export, package_versions
from trainer.fitting import Fitter
from trainer.loop import Fit
from trainer.ranking_examples import Examples, Source, build_examples
from trainer.report import ExampleUser, print_table, write_report
from trainer.scorers import RetrievalScorer, TwoStageScorer, first_items

NUM_EXAMPLE_USERS = 10
SHOWN = 10
LAST = 5
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
            **_facts(fit),
            "trend_boost": best_boost(boosts),
            "trend_boosts_tried": boosts,
        },
        "ranking": {**_facts(ranking_fit), "examples": examples.facts},
        "calibration": _calibration_facts(experiment, calibration),
    }
    return FittedParts(scorer, early_scorer, both, calibration, facts)


def _facts(fit: Fit) -> dict[str, Any]:
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


def measure_and_report(experiment: Experiment) -> None:
    """Measure both stages and the baselines on the test part; write the report.

    A rolling split is measured fold by fold and pooled; the rest of the report, as
    what is exported, is of the newest fold.
    """
    folds = [_measure_fold(fold) for fold in experiment.folds]
    found = pooled([evaluation for evaluation, _ in folds])
    chosen = folds[-1][1]
    run, parts, prepared = experiment.evaluation, experiment.fitted, experiment.prepared
    facts = {"run": run.id, "stages": dict(parts.facts), "evaluation": found.to_json()}
    run.end(facts)
    now = prepared.cut(TEST)
    curves = {n: parts.facts[n]["curve"] for n in ("retrieval", "ranking")}
    write_report(
        experiment.out,
        found,
        curves=curves,
        examples=_example_users(prepared, parts.ranking.at(now)),
        about=_about(experiment, chosen),
    )
    print_table(found)


def _measure_fold(experiment: Experiment) -> tuple[Evaluation, dict[str, Any]]:
    """Measure one fold. Out: what was found, and the settings of the baselines."""
    prepared, parts = experiment.prepared, experiment.fitted
    number = len(experiment.folds)
    if number > 1 and experiment.fold >= 0:
        say(f"Fold {experiment.fold + 1} of {number} is fitted; measuring it ...")
    now = prepared.cut(TEST)
    scorers: dict[str, Any] = {
        "retrieval": parts.retrieval.at(now),
        "two_stage": parts.ranking.at(now),
    }
    skipped: dict[str, str] = {}
    chosen: dict[str, dict[str, Any]] = {}
    if experiment.config.evaluation.baselines:
        current = None if now is None else prepared.events.earlier_than(now)
        known = prepared.time_is_known
        grids = baselines.GRIDS if known else baselines.TIMELESS_GRIDS
        tuned = baselines.tune(prepared, grids, current=current)
        scorers |= tuned.scorers
        skipped, chosen = tuned.skipped, tuned.chosen
    found = evaluate(
        prepared,
        TEST,
        scorers,
        ks=experiment.config.evaluation.ks,
        item_vectors=parts.retrieval.vectors,
        skipped=skipped,
        split=_split_sentence(prepared.config.split),
        seed=experiment.config.train.seed,
    )
    return found, chosen


def _split_sentence(split: Split) -> str:
    """Say how the events were parted."""
    shares = f"{split.validation:.0%} validate and {split.test:.0%} test"
    fold_in = f"{split.fold_in:.0%} of their events are known, the {split.targets} rest"
    return {
        "temporal": f"Split by time: of all events, newest last, {shares}.",
        "leave_one_out": "Leave one out: each user's last event tests, the last but "
        "one validates; ties in time are broken by the order in the file.",
        "held_out_users": f"Held-out users: of all users, chosen at random, {shares}; "
        f"nothing of theirs is trained on, {fold_in} is asked for.",
        "cold_items": f"Cold items: of all items, chosen at random, {shares}; none of "
        "their events is trained on, and they alone are asked for, among all items.",
        "rolling": f"{split.cuts} splits by time, each with {split.test:.0%} of the "
        "events to test, one after the other at the end; all models are fitted anew "
        "for each, and their queries are pooled.",
    }[split.kind]


def _about(experiment: Experiment, chosen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    prepared = experiment.prepared
    counts = prepared.manifest["counts"]
    facts = experiment.fitted.facts
    return {
        "data set": experiment.config.data.catalog or experiment.path.stem,
        "run": experiment.evaluation.id,
        "data": {
            "fingerprint": prepared.fingerprint,
            **{
                name: counts[name] for name in ("users", "items", "events", "positives")
            },
            "split": experiment.config.data.split.kind,
            "cuts": prepared.manifest["split"]["cuts"],
        },
        "chosen on validation": {
            "epochs of retrieval": facts["retrieval"]["best_epoch"],
            "epochs of ranking": facts["ranking"]["best_epoch"],
            "trend boost": facts["retrieval"]["trend_boost"],
            **{name: str(settings) for name, settings in chosen.items()},
        },
        "negatives of ranking": facts["ranking"]["examples"],
        "versions": package_versions(),
    }


def _example_users(prepared: Prepared, both: TwoStageScorer) -> list[ExampleUser]:
    queries = prepared.queries(TEST)
    rng = np.random.default_rng(0)
    number = min(NUM_EXAMPLE_USERS, len(queries))
    examples = []
    for row in np.sort(rng.choice(len(queries), number, replace=False)):
        scores = both(queries, np.array([row]))
        scores[0, ~prepared.servable] = -np.inf
        scores[0, queries.seen[row]] = -np.inf
        best = first_items(scores, SHOWN)[0]
        user, count = queries.users[[row]], queries.counts[[row]]
        history = prepared.events.histories(user, count, LAST)[0]
        titles = prepared.titles
        examples.append(
            ExampleUser(
                user=str(prepared.user_ids[user[0]]),
                history=[titles[i] for i in history if i],
                recommended=[(titles[i], float(scores[0, i])) for i in best],
                next=[titles[i] for i in queries.relevant[row]],
            )
        )
    return examples


def refit_and_export(experiment: Experiment) -> int:
    """Fit on all events with the epochs chosen, and publish the servables."""
    fitted = _refitted(experiment) if experiment.config.export.refit == "full" else None
    fitted = fitted or _evaluated(experiment)
    metrics = experiment.evaluation.metrics or {}
    evaluation = metrics["evaluation"]
    about = {
        "runs": experiment.run_ids(),
        "metrics": {n: m["metrics"] for n, m in evaluation["models"].items()},
        "protocol": evaluation["protocol"],
        "calibration": metrics["stages"]["calibration"],
    }
    version = export(fitted, experiment.config, experiment.models, about)
    say(f"Published version {version} of retrieval, ranking and recommender")
    return version


def _evaluated(experiment: Experiment) -> Fitted:
    """Export the evaluated fit: it knows what lies before the test part."""
    prepared, parts = experiment.prepared, experiment.fitted
    log = prepared.events.through(VALIDATION)
    cut = prepared.cut(TEST)
    return Fitted(
        prepared=prepared,
        log=log,
        end_time=int(log.time.max()) + 1 if cut is None else cut,
        retrieval=parts.retrieval.model,
        ranking=parts.ranking.model,
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
    model, fit = fitter.retrieval(
        Stretch(),
        run.stage("retrieval"),
        "Refitting retrieval on all events",
        log=log,
        epochs=parts.facts["retrieval"]["best_epoch"],
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
    )
    facts = {"retrieval": _facts(fit), "ranking": _facts(ranking_fit)}
    facts["ranking"]["examples"] = examples.facts
    run.end({"run": run.id, "of": experiment.evaluation.id, "stages": facts})
    return Fitted(
        prepared=prepared,
        log=log,
        end_time=prepared.end_time,
        retrieval=model,
        ranking=ranking,
        calibration=parts.calibration,
        text_tower=_text_tower(experiment, RetrievalScorer(model, prepared, log)),
    )


def _sources(experiment: Experiment) -> list[Source]:
    """Return who chooses the negatives of which time: always an earlier fit."""
    prepared, parts = experiment.prepared, experiment.fitted
    log = prepared.training().of(prepared.events)
    cut, end = experiment.cut(log), prepared.end_time
    validation = prepared.cut(VALIDATION)
    if validation is None:  # Under leave one out the parts overlap in time.
        return [Source(parts.early, cut, end)]
    return [
        Source(parts.early, cut, validation),
        Source(parts.retrieval, validation, end),
    ]
