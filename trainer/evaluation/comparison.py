"""Compares any number of evaluated runs and baselines, query by query."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from data import files
from data.errors import DataError
from data.queries import Targets
from trainer.evaluation.bootstrap import LEVEL, RESAMPLES, Interval, bootstrap
from trainer.evaluation.metrics import accuracy
from trainer.evaluation.per_query import PerQuery, read_per_query
from trainer.evaluation.ranks import Ranks
from trainer.evaluation.results import (
    TARGETS,
    Asked,
    Comparison,
    intervals_json,
    main_metrics,
    other_targets,
)
from trainer.runs import METRICS

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class EvaluatedRun:
    """A run that was evaluated, as it stands on disk.

    `folder`: where it was looked for; `facts`: its metrics.json; `answers`: what its
    queries got, by which items they ask for.
    """

    folder: str
    facts: Mapping[str, Any]
    answers: Mapping[Targets, PerQuery]

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the data, its split included."""
        return str(self.facts["data"]["fingerprint"])

    @property
    def found(self) -> Mapping[str, Any]:
        """Return the evaluation as its report.json has it."""
        evaluation: Mapping[str, Any] = self.facts["evaluation"]
        return evaluation

    def check(self, fingerprint: str, folder: str) -> None:
        """Raise DataError unless the run was made of the same data, parted alike.

        In: the fingerprint of the data in another `folder`.
        """
        if self.fingerprint != fingerprint:
            split = self.facts["data"]["split"]["kind"]
            raise DataError(
                f"{self.folder}: evaluated on data {self.fingerprint} (split {split}), "
                f"expected {fingerprint}, as in {folder}. Runs are compared on the "
                "same data and split only: give both the same [data] tables, and "
                "evaluate again."
            )


def read_run(folder: str) -> EvaluatedRun:
    """Read the newest evaluation in an experiment's folder, or one run's own folder.

    Raises: DataError when there is none, or one without the answers to its queries.
    """
    place = _run_folder(folder)
    facts = files.read_json(files.join(place, METRICS))
    if "per_query" not in facts or "data" not in facts:
        raise DataError(
            f"{place}: no answers to each query, expected {METRICS} to name them. "
            "The run was evaluated by an older version; evaluate it again."
        )
    return EvaluatedRun(folder=folder, facts=facts, answers=read_per_query(place))


def _run_folder(folder: str) -> str:
    if files.exists(files.join(folder, METRICS)):
        return folder
    report = files.join(folder, "report.json")
    if files.exists(report):
        run = files.read_json(report)["about"].get("run", "")
        place = files.join(folder, "runs", str(run))
        if files.exists(files.join(place, METRICS)):
            return place
    raise DataError(
        f"{folder}: no evaluated run, expected a folder with report.json and runs/, as "
        "python -m trainer evaluate writes it. Name another, or evaluate there first."
    )


@dataclass(frozen=True, kw_only=True)
class Compared:
    """All that a comparison found.

    `models`: by the name it is shown under, by which items are asked for, the metrics
    with their intervals. `baselines`: which of the names those are. `pairs`: each two
    models' paired differences. `sources`: name to folder and run. `asked`: who asks.
    """

    part: str
    headline: Targets
    ks: tuple[int, ...]
    models: dict[str, dict[Targets, dict[str, Interval]]]
    baselines: tuple[str, ...]
    pairs: tuple[Comparison, ...]
    sources: dict[str, dict[str, str]]
    asked: dict[Targets, Asked]
    fingerprint: str
    protocol: tuple[str, ...]
    seed: int
    resamples: int

    def rows(self, targets: Targets) -> dict[str, dict[str, Interval]]:
        """Return the metrics of each model on warm or on cold items."""
        return {name: found[targets] for name, found in self.models.items()}

    def pair(self, metric: str, model: str, other: str) -> Comparison | None:
        """Return how two models differ on a metric, None if they are one."""
        wanted = (metric, model, other)
        return next(
            (c for c in self.pairs if (c.metric, c.model, c.baseline) == wanted), None
        )

    @property
    def metrics(self) -> tuple[str, str]:
        """Return the metrics on which each two are compared."""
        return main_metrics(self.ks)

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "format": FORMAT,
            "part": self.part,
            "data": self.fingerprint,
            "headline_items": self.headline,
            "items": {name: self.asked[name].counts() for name in TARGETS},
            "level": LEVEL,
            "seed": self.seed,
            "resamples": self.resamples,
            "protocol": list(self.protocol),
            "models": {
                name: {
                    "is_baseline": name in self.baselines,
                    **self.sources[name],
                    "metrics": intervals_json(found[self.headline]),
                    **{f"{t}_items": intervals_json(found[t]) for t in TARGETS},
                }
                for name, found in self.models.items()
            },
            "comparisons": [pair.to_json() for pair in self.pairs],
        }


def compare(
    runs: Sequence[EvaluatedRun], *, seed: int = 0, resamples: int = RESAMPLES
) -> Compared:
    """Measure all models of runs on the same queries, and each two by the difference.

    A baseline whose answers are the same in several runs stands once, under its own
    name. Raises: DataError as `compare_runs`.
    """
    first = runs[0]
    for run in runs[1:]:
        run.check(first.fingerprint, first.folder)
        _check_same_queries(first, run)
    headline: Targets = first.found["headline_items"]
    named = _named(runs)
    models = {name: one[1] for name, one in named.items()}
    ks = _common_ks(runs)
    draws = {"seed": seed, "resamples": resamples}
    asked = {targets: first.answers[targets].asked for targets in TARGETS}
    columns = _columns(models, headline, ks)
    wanted = {
        (metric, a, b): columns[a, metric] - columns[b, metric]
        for metric in main_metrics(ks)
        for a, b in combinations(models, 2)
    }
    bounds = bootstrap({**columns, **wanted}, asked[headline].users, **draws)
    other = other_targets(headline)
    apart = _columns(models, other, ks)
    others = bootstrap(apart, asked[other].users, **draws) if len(asked[other]) else {}
    of_targets = {headline: bounds, other: others}
    return Compared(
        part=str(first.found["part"]),
        headline=headline,
        ks=ks,
        models={
            name: {
                targets: {
                    metric: of_targets[targets][name, metric]
                    for n, metric in columns
                    if n == name and (name, metric) in of_targets[targets]
                }
                for targets in TARGETS
            }
            for name in models
        },
        baselines=tuple(n for n, (_, _, is_baseline) in named.items() if is_baseline),
        pairs=_both_ways(wanted, bounds),
        sources={
            name: {"folder": run.folder, "run": str(run.facts["run"])}
            for name, (run, _, _) in named.items()
        },
        asked=asked,
        fingerprint=first.fingerprint,
        protocol=tuple(first.found["protocol"]),
        seed=seed,
        resamples=resamples,
    )


def _columns(
    models: Mapping[str, Mapping[Targets, Ranks]], targets: Targets, ks: Sequence[int]
) -> dict[tuple[str, ...], np.ndarray]:
    return {
        (name, metric): values
        for name, ranks in models.items()
        for metric, values in accuracy(ranks[targets], ks).items()
    }


def _both_ways(
    wanted: Mapping[tuple[str, str, str], Any], bounds: Mapping[Any, Interval]
) -> tuple[Comparison, ...]:
    pairs = []
    for metric, a, b in wanted:
        one = bounds[metric, a, b]
        turned = Interval(-one.mean, -one.high, -one.low)
        pairs.append(Comparison(metric=metric, model=a, baseline=b, difference=one))
        pairs.append(Comparison(metric=metric, model=b, baseline=a, difference=turned))
    return tuple(pairs)


def _common_ks(runs: Sequence[EvaluatedRun]) -> tuple[int, ...]:
    """Return the ks of the first run: ranks tell the metrics at any."""
    names = next(iter(runs[0].found["models"].values()))["metrics"]
    return tuple(sorted({int(name.split("@")[1]) for name in names}))


def _check_same_queries(first: EvaluatedRun, run: EvaluatedRun) -> None:
    if run.found["part"] != first.found["part"]:
        raise DataError(
            f"{run.folder}: evaluated on the {run.found['part']} part of data "
            f"{run.fingerprint}, expected the {first.found['part']} part of "
            f"{first.fingerprint}, as in {first.folder}. Evaluate both alike."
        )
    for targets in TARGETS:
        ours, theirs = first.answers[targets].asked, run.answers[targets].asked
        pairs = [
            (ours.users, theirs.users),
            (ours.folds, theirs.folds),
            (ours.num_relevant, theirs.num_relevant),
        ]
        if not all(np.array_equal(a, b) for a, b in pairs):
            raise DataError(
                f"{run.folder}: {len(theirs)} queries of data {run.fingerprint} differ "
                f"from the {len(ours)} of {first.folder}, of {first.fingerprint}. One "
                "was evaluated by an older version; evaluate both again."
            )


Named = tuple[EvaluatedRun, dict[Targets, Ranks], bool]


def _named(runs: Sequence[EvaluatedRun]) -> dict[str, Named]:
    """Name all models: ours by their folder, baselines by their own name."""
    ours: dict[str, Named] = {}
    baselines: dict[str, Named] = {}
    for label, run in zip(_labels([r.folder for r in runs]), runs, strict=True):
        for name, facts in run.found["models"].items():
            ranks = {t: run.answers[t].ranks[name] for t in TARGETS}
            one: Named = (run, ranks, bool(facts["is_baseline"]))
            if not facts["is_baseline"]:
                ours[f"{label}/{name}"] = one
            elif name not in baselines:
                baselines[name] = one
            elif not _same(baselines[name][1], ranks):
                baselines[f"{label}/{name}"] = one
    return {**ours, **baselines}


def _same(a: Mapping[Targets, Ranks], b: Mapping[Targets, Ranks]) -> bool:
    return all(np.array_equal(a[t].rank, b[t].rank) for t in TARGETS)


def _labels(folders: Sequence[str]) -> list[str]:
    """Return the shortest ends of paths that tell them apart."""
    whole = [os.path.normpath(folder).replace(os.sep, "/") for folder in folders]
    for length in range(1, max(path.count("/") for path in whole) + 2):
        ends = ["/".join(path.split("/")[-length:]) for path in whole]
        if len(set(ends)) == len(ends):
            return ends
    # One folder twice: the second is told by its place.
    return [f"{path} ({i + 1})" for i, path in enumerate(whole)]
