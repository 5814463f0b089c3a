"""The whole job, in order: data, both models, report, refit, export.

Two fits are made: one on the training part, which is evaluated, and one on all
events, with the epochs that validation chose, which is exported.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from data import files
from data.console import say
from data.events import TEST, TRAIN, VALIDATION, EventLog
from data.prepare import prepare
from data.prepared import Prepared
from data.schema import as_table
from trainer.config import ExperimentConfig
from trainer.fitting.warm_start import WarmStart
from trainer.runs import Kind, Run


@dataclass(frozen=True)
class Experiment:
    """An experiment's folder and what stands in it.

    `out` holds data/, runs/, models/, report.json and report.html. `fold`: which of
    a rolling split's folds, -1 for the newest, which is also what is exported.
    `start_from`: published models, or a run, whose weights the fits begin with where
    these know nothing that they may not (`fitting.warm_start`); "" is from scratch.
    `data`: the folder of the prepared data in `out`.
    """

    config: ExperimentConfig
    path: Path
    out: str
    fold: int = -1
    start_from: str = ""
    data: str = "data"

    @cached_property
    def prepared(self) -> Prepared:
        """Prepare the data, or open what was prepared from the same inputs."""
        folder = files.join(self.out, self.data)
        return prepare(self.config.data, self.path, folder).folds()[self.fold]

    @cached_property
    def folds(self) -> "list[Experiment]":
        """Return an experiment for each fold, the newest last; itself if it is one."""
        number = len(self.prepared.folds())
        older = [dataclasses.replace(self, fold=i) for i in range(number - 1)]
        return [*older, self]

    @cached_property
    def start(self) -> WarmStart | None:
        """Find the fits whose weights those of this experiment may begin with.

        Raises: ExportError, TrainingError, as `WarmStart.of`.
        """
        if not self.start_from:
            return None
        return WarmStart.of(self.start_from, self.config.warm_start)

    @cached_property
    def evaluation(self) -> Run:
        """Return the run that is evaluated."""
        return self._run("evaluation")

    @cached_property
    def refit(self) -> Run:
        """Return the run that is exported after a full refit."""
        return self._run("refit")

    def _run(self, kind: Kind) -> Run:
        start = "" if self.start is None else self.start.fingerprint
        return Run.of(self.out, kind, self.prepared, self.config, start=start)

    @property
    def models(self) -> str:
        """Return the folder of the servables."""
        return files.join(self.out, "models")

    @cached_property
    def fitted(self) -> "FittedParts":
        """Fit, or take up, the models that are evaluated."""
        from trainer.stages import fit_for_evaluation

        return fit_for_evaluation(self)

    def cut(self, log: EventLog) -> int:
        """Return the time at which the ranking model's examples begin.

        Something comes before it, unless all events are of one time.
        """
        share = 1 - self.config.ranking.window
        cut = int(np.quantile(log.time, share, method="higher"))
        later = log.time[log.time > log.time.min()]
        return max(cut, int(later.min())) if len(later) else cut

    def is_evaluated(self) -> bool:
        """Tell whether the report in `out` is that of this evaluation run."""
        place = files.join(self.out, "report.json")
        metrics = self.evaluation.metrics
        if metrics is None or "per_query" not in metrics or not files.exists(place):
            return False
        return bool(files.read_json(place)["about"].get("run") == self.evaluation.id)

    def exported_version(self) -> int | None:
        """Return the newest version if it is of these runs and settings."""
        from trainer.export.publish import servables, version_folder, versions

        names = ("ranking", "recommender", "retrieval")
        if sorted(servables(self.models)) != sorted(names):
            return None
        newest = {versions(self.models, name)[-1] for name in names}
        if len(newest) != 1:
            return None
        version = newest.pop()
        place = version_folder(self.models, "recommender", version)
        manifest = files.read_json(files.join(place, "manifest.json"))
        wanted = _plain(as_table(self.config.export))
        same = manifest["config"]["export"] == wanted
        return version if same and manifest["runs"] == self.run_ids() else None

    def run_ids(self) -> dict[str, str | None]:
        """Return the ids of the runs that an export names."""
        full = self.config.export.refit == "full"
        return {
            "evaluation": self.evaluation.id,
            "refit": self.refit.id if full else None,
        }


@dataclass(frozen=True)
class FittedParts:
    """Both models of a run, with what made them.

    `early`: what made the ranking model's examples: a `ranking_examples.Source`.
    """

    retrieval: Any
    early: Any
    ranking: Any
    calibration: tuple[float, float]
    facts: Mapping[str, Any]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def train(experiment: Experiment) -> None:
    """Do whatever of the job is not done yet, and say what there is at the end.

    Raises: ConfigError, before anything is fitted, when the [export] asks for what
    the data do not have.
    """
    experiment.config.export.check(experiment.prepared.features)
    started = time.monotonic()
    evaluate(experiment)
    version = experiment.exported_version()
    if version is None:
        version = export(experiment)
    models = experiment.models
    say(f"Report: {files.join(experiment.out, 'report.html')}")
    say(f"Models: {models}, version {version}")
    say(f"All done: {time.monotonic() - started:.0f} s. Next: make serve")


def evaluate(experiment: Experiment) -> None:
    """Fit for evaluation and write the report, unless both are there."""
    if experiment.is_evaluated():
        say(f"Run {experiment.evaluation.id}: evaluated before, nothing changed.")
        return
    from trainer.stages import measure_and_report

    measure_and_report(experiment)


def compare(experiment: Experiment, against: Sequence[str]) -> None:
    """Evaluate, then compare with what stands in other experiments' folders.

    In: `against`: folders like `out`, or single runs in them. Raises: DataError when
    one holds no evaluation, or one of other data or another split; before any work.
    """
    from trainer.evaluation.comparison import read_run
    from trainer.report.comparison_page import compare_runs

    others = [read_run(folder) for folder in against]
    prepared = experiment.prepared
    for other in others:
        other.check(prepared.fingerprint, experiment.out)
    evaluate(experiment)
    own = read_run(experiment.out)
    compare_runs(experiment.out, [own, *others], seed=experiment.config.train.seed)


def export(experiment: Experiment) -> int:
    """Refit where the configuration says so, and publish. Out: the version."""
    from trainer.export.labels import tell_unserved
    from trainer.stages import refit_and_export

    version = refit_and_export(experiment)
    tell_unserved(experiment.models, version, experiment.config.retrain.server_root)
    return version


__all__ = ["TEST", "TRAIN", "VALIDATION", "Experiment", "FittedParts", "train"]
