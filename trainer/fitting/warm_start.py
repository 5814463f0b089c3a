"""Which weights of an earlier run a fit may begin with.

Each fit begins with those of the newest earlier fit that it can know: one whose events
all lie before its own end. So a fit that is evaluated never begins with weights that
were fitted on what it is to be asked for; the refit on all events, which is not
evaluated, begins with the earlier refit. Events that chose an earlier fit's epochs may
lie in a later validation part, whose answers only choose epochs and settings again,
but never in a test part. Where no time parts the events nothing tells what an earlier
fit knew of the test part: all begin from scratch.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data import files
from data.console import say
from data.events import TEST
from data.prepared import Prepared
from data.schema import as_table
from trainer.catalogue.exported import Exported, find_models
from trainer.config import ExperimentConfig, WarmStartConfig
from trainer.errors import ExportError, TrainingError
from trainer.fitting.learned import LEARNED, Learned, Stage
from trainer.models.text_presets import preset_files
from trainer.runs import METRICS


@dataclass(frozen=True)
class WarmStart:
    """The fits of an earlier job, by stage, the one that knows most first.

    `place`: where they were looked for.
    """

    place: str
    sources: Mapping[Stage, tuple[Learned, ...]]
    config: WarmStartConfig

    @classmethod
    def of(cls, place: str, config: WarmStartConfig) -> "WarmStart | None":
        """Find the fits behind published models, or those of one run.

        In: `place`: a folder of models as an export leaves them, that of one version
        in it, or OUT/runs/ID. Out: None, said, if nothing there can be begun with and
        the configuration takes that. Raises: ExportError where there is neither;
        TrainingError if nothing can be begun with and `otherwise` is "refuse".
        """
        folders = _stage_folders(place)
        sources: dict[Stage, tuple[Learned, ...]] = {
            stage: _newest_first(found) for stage, found in folders.items()
        }
        if any(sources.values()):
            return cls(place, sources, config)
        _fall_back(
            config,
            f"{place}: no run behind it holds {LEARNED}, which says what its weights "
            "stand for; an earlier release of this program has fitted it",
        )
        return None

    @property
    def fingerprint(self) -> str:
        """Return what changes with any weights that a fit may begin with."""
        weights = {name: [s.weights for s in own] for name, own in self.sources.items()}
        return files.fingerprint(weights, as_table(self.config))

    def choose(
        self, stage: Stage, prepared: Prepared, *, end: int, refit: bool = False
    ) -> Learned | None:
        """Choose what a fit begins with; None, said why, if it is from scratch.

        In: `end`: all its own events lie before, Unix seconds; `refit`: it will not be
        evaluated. Raises: TrainingError if nothing fits and `otherwise` is "refuse".
        """
        test = prepared.end_time if refit else prepared.cut(TEST)
        own = self.sources.get(stage, ())
        if test is None:
            kind = prepared.config.split.kind
            self._scratch(f'[data.split] kind = "{kind}" parts no times')
            return None
        for source in own:
            if source.end <= end and source.chosen <= test:
                return source
        self._scratch(_why_none(stage, own, end, test))
        return None

    def _scratch(self, why: str) -> None:
        _fall_back(self.config, f"{self.place}: {why}")


def shaping(config: ExperimentConfig, stage: Stage) -> dict[str, Any]:
    """Return the settings that make a model what it is, as plain tables."""
    text = as_table(config.text)
    shape = {"trainable_layers": text["trainable_layers"]}
    shape["weights"] = preset_files(config.text.preset)
    return {"text": shape, stage: as_table(getattr(config, stage))}


def _fall_back(config: WarmStartConfig, why: str) -> None:
    if config.otherwise == "refuse":
        raise TrainingError(
            f'{why}, and [warm_start] otherwise = "refuse". Take "scratch", or name '
            "other models."
        )
    say(f"From scratch: {why}.")


def _why_none(stage: Stage, own: tuple[Learned, ...], end: int, test: int) -> str:
    if not own:
        return f"holds no fit of {stage}"
    oldest = own[-1]
    if oldest.end > end:
        return (
            f"even its oldest fit of {stage} knows events until {_day(oldest.end)}, "
            f"but what this one may know ends {_day(end)}"
        )
    return (
        f"even its oldest fit of {stage} was chosen by events until "
        f"{_day(oldest.chosen)}, but the test part begins {_day(test)}"
    )


def _newest_first(folders: list[str]) -> tuple[Learned, ...]:
    found = [x for x in map(Learned.read, folders) if x is not None]
    return tuple(sorted(found, key=lambda x: (-x.end, x.folder)))


def _stage_folders(place: str) -> dict[Stage, list[str]]:
    """Name the folders of the fits of each stage."""
    place = place.rstrip("/")
    metrics = files.join(place, METRICS)
    if files.exists(metrics):
        root, _, run = place.rpartition("/")
        return _folders_of(root, [run])
    root, runs = _runs_behind(place)
    return _folders_of(root, runs)


def _runs_behind(place: str) -> tuple[str, list[str]]:
    models, name = find_models(place), place.rpartition("/")[2]
    exported = Exported.newest(models)
    if name.isdigit() and models not in (place, files.join(place, "models")):
        exported = Exported(models, int(name))
    named = exported.manifest["runs"]
    root = files.join(exported.out, "runs")
    return root, [run for run in (named["refit"], named["evaluation"]) if run]


def _folders_of(root: str, runs: list[str]) -> dict[Stage, list[str]]:
    """Name those of some runs, and of the runs that their retrieval was fitted in."""
    found: dict[Stage, list[str]] = {"retrieval": [], "ranking": []}
    for run in runs:
        metrics = files.join(root, run, METRICS)
        if not files.exists(metrics):
            raise ExportError(
                f"{metrics}: no such file, expected the run that the models were made "
                "in: its weights are there. Put it back, or begin from scratch."
            )
        stages = files.read_json(metrics)["stages"]
        own = stages.get("retrieval", {})
        names = [own[key] for key in ("run", "early_run") if key in own] or [run]
        places = [files.join(root, n, "checkpoints", "retrieval") for n in names]
        found["retrieval"] += [p for p in places if p not in found["retrieval"]]
        if "ranking" in stages:
            found["ranking"].append(files.join(root, run, "checkpoints", "ranking"))
    return found


def _day(time: int) -> str:
    moment = datetime.datetime.fromtimestamp(time, datetime.UTC)
    return moment.isoformat(sep=" ", timespec="minutes").removesuffix("+00:00")
