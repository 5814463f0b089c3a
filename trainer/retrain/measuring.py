"""Measures candidate and champion on one window, and what guards the gate."""

import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from data import files
from data.errors import ConfigError
from data.events import TEST
from trainer.catalogue.exported import Exported
from trainer.config import GateConfig
from trainer.errors import GateRefused
from trainer.evaluation.bootstrap import Interval, bootstrap
from trainer.evaluation.metrics import accuracy
from trainer.evaluation.per_query import FILE as PER_QUERY
from trainer.evaluation.per_query import write_per_query
from trainer.evaluation.results import Evaluation, middle_k, short_k
from trainer.experiment import Experiment
from trainer.report.report import print_table, write_report
from trainer.retrain.champion import Champion, answers_known
from trainer.retrain.elsewhere import scorers_elsewhere
from trainer.retrain.figures import EVALUATION, GRAPH, TIMES
from trainer.retrain.state import StepFolder
from trainer.stages.deliver import evaluated_models
from trainer.stages.measure import about, data_facts, example_users, measure_fold

CHAMPION = "champion_"
TIMED_CALLS, WARM_CALLS = 60, 5


def evaluate_candidate(
    experiment: Experiment,
    champion: Champion | None,
    serving: Exported | None,
    step: StepFolder,
) -> None:
    """Measure the fit on the training part, and the champion's, side by side.

    Both are asked the queries of the candidate's newest test window with the same
    histories; neither fit has seen an event of it. The graph is timed beside the one
    that is `serving`. Writes the report with the
    baselines beside, the answers to each query, and the figures of the gate.
    """
    known, others = 0, {}
    if champion is not None:
        known = answers_known(champion.prepared, experiment.prepared)
        scorers = scorers_elsewhere(champion.fitted(), experiment.prepared)
        others = {CHAMPION + name: scorer for name, scorer in scorers.items()}
    found, chosen = measure_fold(experiment, others)
    print_table(found)
    _end_run(experiment, found)
    write_per_query(step.folder, found)
    parts = experiment.fitted
    write_report(
        step.folder,
        found,
        curves={n: parts.facts[n]["curve"] for n in ("retrieval", "ranking")},
        examples=example_users(
            experiment.prepared, parts.ranking.at(experiment.prepared.cut(TEST))
        ),
        about=about(experiment, chosen),
    )
    gate = experiment.config.gate
    step.write(EVALUATION, figures_of(found, gate, experiment.config.train.seed))
    step.stable.append(PER_QUERY)
    graph, times = _graphs(experiment, serving)
    step.write(GRAPH, {**graph, "answers_known": known}, stable=False)
    step.write(TIMES, times, stable=False)


def _end_run(experiment: Experiment, found: Evaluation) -> None:
    """Leave in the run what an export of it says and what another job compares."""
    run = experiment.evaluation
    if run.metrics is not None and "per_query" in run.metrics:
        return
    write_per_query(run.folder, found)
    run.end(
        {
            "run": run.id,
            "data": data_facts(experiment.prepared),
            "per_query": PER_QUERY,
            "stages": dict(experiment.fitted.facts),
            "evaluation": found.to_json(),
        }
    )


def figures_of(found: Evaluation, gate: GateConfig, seed: int) -> dict[str, Any]:
    """Return the figures of the gate that an evaluation tells.

    Raises: ConfigError when the gate's metric is none of the evaluation's.
    """
    ours, users = found.models[gate.model], found.asked.users
    if gate.metric not in ours.per_query:
        raise ConfigError(
            f"[gate] metric: {gate.metric!r} is not measured. Known: "
            f"{', '.join(ours.per_query)}. Take one of these, or other [evaluation] ks."
        )
    theirs = found.models.get(CHAMPION + gate.model)
    columns = {"candidate": ours.per_query[gate.metric]}
    if theirs is not None:
        columns["champion"] = theirs.per_query[gate.metric]
        columns["difference"] = columns["candidate"] - columns["champion"]
    if floor := found.models.get(gate.floor_baseline):
        columns["baseline"] = columns["candidate"] - floor.per_query[gate.metric]
    bounds = bootstrap(columns, users, seed=seed)
    coverage = f"coverage@{short_k(found.ks)}"
    totals = {"candidate": ours.totals[coverage], "champion": None}
    if theirs is not None:
        totals["champion"] = theirs.totals[coverage]
    return {
        "metric": gate.metric,
        "model": gate.model,
        "users": len(np.unique(users)),
        "queries": len(users),
        **{
            name: bounds[name].to_json() if name in bounds else None
            for name in ("candidate", "champion", "difference", "baseline")
        },
        "guards": {"coverage": totals},
        "cold": _cold(found, gate, seed),
        "others": {
            name: m.intervals[gate.metric].to_json() for name, m in found.models.items()
        },
    }


def _cold(found: Evaluation, gate: GateConfig, seed: int) -> dict[str, Any] | None:
    """Compare the recall of items without a training event."""
    theirs = found.models.get(CHAMPION + gate.model)
    if theirs is None or not len(found.apart):
        return None
    k = middle_k(found.ks)
    ours = found.models[gate.model]
    recall = [accuracy(m.apart, [k])[f"recall@{k}"] for m in (ours, theirs)]
    columns = {"difference": recall[0] - recall[1]}
    difference: Interval = bootstrap(columns, found.apart.users, seed=seed)[
        "difference"
    ]
    return {
        "metric": f"recall@{k}",
        "candidate": float(recall[0].mean()),
        "champion": float(recall[1].mean()),
        "difference": difference.to_json(),
    }


def _graphs(
    experiment: Experiment, serving: Exported | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Export the candidate to a scratch folder and ask it beside what serves.

    Out: what its graph is like, and the median milliseconds of one request.
    """
    from trainer.export.export import Builder

    graph: dict[str, Any] = {"refused": "", "guards": {}}
    with tempfile.TemporaryDirectory() as scratch:
        builder = Builder(evaluated_models(experiment), experiment.config, scratch)
        try:
            _, quality = builder.index(builder.kind_of("recommender"))
        except GateRefused as err:
            graph["refused"] = str(err)
            return graph, {"candidate": None, "champion": None}
        folder = files.join(scratch, "recommender")
        builder.saver("recommender", 0, _nothing_about(experiment))(folder)
        size = files.read_json(files.join(folder, "manifest.json"))["bytes"]
        asked = {"candidate": _asker(folder)}
        if serving is not None:
            asked["champion"] = _asker(serving.place())
        users = [str(u) for u in experiment.prepared.user_ids[1:]]
        times = _medians(asked, users)
    manifest = {} if serving is None else serving.manifest
    graph["guards"] = {
        "index_recall": {
            "candidate": quality["recall"],
            "champion": manifest.get("index", {}).get("recall"),
        },
        "bytes": {"candidate": size, "champion": manifest.get("bytes")},
    }
    return graph, {"champion": None, **times}


def _nothing_about(experiment: Experiment) -> dict[str, Any]:
    slope, offset = experiment.fitted.calibration
    return {
        "runs": experiment.run_ids(),
        "metrics": {},
        "protocol": [],
        "calibration": {"slope": slope, "offset": offset, "distribution": ""},
    }


def _asker(folder: str) -> Callable[[str], None]:
    model = tf.saved_model.load(folder)
    signature = model.signatures["serving_default"]

    def ask(user: str) -> None:
        signature(user_id=tf.constant([user]))["score"].numpy()

    ask.model = model  # type: ignore[attr-defined]  # A signature does not hold it.
    return ask


def _medians(
    asked: dict[str, Callable[[str], None]], users: list[str]
) -> dict[str, float]:
    """Time one request of each model, in turns, so that both meet the same machine."""
    spent: dict[str, list[float]] = {name: [] for name in asked}
    for call in range(WARM_CALLS + TIMED_CALLS):
        user = users[call % len(users)]
        for name, ask in asked.items():
            started = time.perf_counter()
            ask(user)
            spent[name].append(1e3 * (time.perf_counter() - started))
    return {n: float(np.median(times[WARM_CALLS:])) for n, times in spent.items()}
