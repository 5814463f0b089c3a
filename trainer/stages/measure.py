"""Measures the models and the baselines on the test part and reports."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from data.console import say
from data.events import TEST
from data.prepared import Prepared
from data.schema import Split, as_table
from trainer.baselines import tune as baselines
from trainer.evaluation.evaluate import evaluate, pooled
from trainer.evaluation.metrics import Scorer
from trainer.evaluation.per_query import FILE as PER_QUERY
from trainer.evaluation.per_query import write_per_query
from trainer.evaluation.results import Evaluation
from trainer.evaluation.scorers import TwoStageScorer, first_items
from trainer.experiment import Experiment
from trainer.export.manifest import package_versions
from trainer.report.report import ExampleUser, print_table, write_report
from trainer.stages.answers import head_answers
from trainer.stages.before import check_evaluation, grids_of

NUM_EXAMPLE_USERS = 10
SHOWN = 10
LAST = 5


def measure_and_report(experiment: Experiment) -> None:
    """Measure both stages and the baselines on the test part; write the report.

    A rolling split is measured fold by fold and pooled; the rest of the report, as
    what is exported, is of the newest fold. Raises: as `check_evaluation`, before
    anything is fitted.
    """
    check_evaluation(experiment)
    folds = [measure_fold(fold) for fold in experiment.folds]
    found = pooled([evaluation for evaluation, _ in folds])
    chosen = folds[-1][1]
    run, parts, prepared = experiment.evaluation, experiment.fitted, experiment.prepared
    write_per_query(run.folder, found)
    facts = {
        "run": run.id,
        "data": data_facts(prepared),
        "per_query": PER_QUERY,
        "stages": dict(parts.facts),
        "evaluation": found.to_json(),
    }
    run.end(facts)
    now = prepared.cut(TEST)
    curves = {n: parts.facts[n]["curve"] for n in ("retrieval", "ranking")}
    write_report(
        experiment.out,
        found,
        curves=curves,
        examples=example_users(prepared, parts.ranking.at(now)),
        about=about(experiment, chosen),
    )
    print_table(found)


def data_facts(prepared: Prepared) -> dict[str, Any]:
    """Return what two evaluations must share to be compared."""
    split = as_table(prepared.config.split)
    return {"fingerprint": prepared.fingerprint, "split": split}


def measure_fold(
    experiment: Experiment, others: Mapping[str, Scorer] | None = None
) -> tuple[Evaluation, dict[str, Any]]:
    """Measure one fold. Out: what was found, and the settings of the baselines.

    In: `others`: further models to measure beside ours.
    """
    prepared, parts = experiment.prepared, experiment.fitted
    number = len(experiment.folds)
    if number > 1 and experiment.fold >= 0:
        say(f"Fold {experiment.fold + 1} of {number} is fitted; measuring it ...")
    now = prepared.cut(TEST)
    both = parts.ranking.at(now)
    current = None if now is None else prepared.events.earlier_than(now)
    tuned = baselines.tune(prepared, grids_of(experiment), current=current)
    found = evaluate(
        prepared,
        TEST,
        {
            "retrieval": parts.retrieval.at(now),
            "two_stage": both,
            **(others or {}),
            **tuned.scorers,
        },
        ks=experiment.config.evaluation.ks,
        item_vectors=parts.retrieval.vectors,
        skipped=tuned.skipped,
        heads=head_answers(prepared, both, parts.calibration),
        split=split_sentence(prepared.config.split),
        seed=experiment.config.train.seed,
    )
    return found, tuned.chosen


def split_sentence(split: Split) -> str:
    """Say how the events were parted, and when requests are made."""
    shares = f"{split.validation:.0%} validate and {split.test:.0%} test"
    fold_in = f"{split.fold_in:.0%} of their events are known, the {split.targets} rest"
    parted = {
        "temporal": f"Split by time: of all events, newest last, {shares}.",
        "leave_one_out": "Leave one out: each user's last event tests, the last but "
        "one validates.",
        "held_out_users": f"Held-out users: of all users, chosen at random, {shares}; "
        f"nothing of theirs is trained on, {fold_in} is asked for.",
        "cold_items": f"Cold items: of all items, chosen at random, {shares}; none of "
        "their events is trained on, and they alone are asked for, among all items.",
        "random": f"At random: of all events, whenever they were, {shares}; what is "
        "asked for comes after what is known of a user.",
        "rolling": f"{split.cuts} splits by time, each with {split.test:.0%} of the "
        "events to test, one after the other at the end; all models are fitted anew "
        "for each, and their queries are pooled.",
    }[split.kind]
    request = "Users are asked at the cut."
    if split.kind not in ("temporal", "rolling"):
        request = (
            "Each request is made at the time of the user's last event known; the "
            "time of what is asked for is not used."
        )
    ties = {
        "file": "in the order of the file",
        "item": "by the rows of their items, lower ones first",
    }[split.ties]
    return f"{parted} {request} A user's events of one time stand {ties}."


def about(experiment: Experiment, chosen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Say what a report is about."""
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
            "affinity in ranking": facts["ranking"]["affinity_weight"],
            "trust in ranking's network": facts["ranking"]["trust"],
            **{name: str(settings) for name, settings in chosen.items()},
        },
        "negatives of ranking": facts["ranking"]["examples"],
        "versions": package_versions(),
    }


def example_users(prepared: Prepared, both: TwoStageScorer) -> list[ExampleUser]:
    """Show some users' recommendations beside what they chose."""
    queries = prepared.queries(TEST)
    rng = np.random.default_rng(0)
    number = min(NUM_EXAMPLE_USERS, len(queries))
    rows = np.sort(rng.choice(len(queries), number, replace=False))
    scores = both(queries, rows)
    scores[:, ~prepared.servable] = -np.inf
    for row, of_user in zip(rows, scores, strict=True):
        of_user[queries.seen[row]] = -np.inf
    examples = []
    for row, of_user, best in zip(
        rows, scores, first_items(scores, SHOWN), strict=True
    ):
        user, count = queries.users[[row]], queries.counts[[row]]
        history = prepared.events.histories(user, count, LAST)[0]
        titles = prepared.titles
        examples.append(
            ExampleUser(
                user=str(prepared.user_ids[user[0]]),
                history=[titles[i] for i in history if i],
                recommended=[(titles[i], float(of_user[i])) for i in best],
                next=[titles[i] for i in queries.relevant[row]],
            )
        )
    return examples
