"""Runs: a folder each, named by what went into it, with what came out."""

from dataclasses import dataclass
from typing import Any, Literal

import tomlkit

from data import files
from data.events import Stretch
from data.prepared import Prepared
from data.schema import as_table
from trainer.config import ExperimentConfig
from trainer.models.text_presets import preset_files

TRAIN_VERSION = 7  # Raised when the same inputs would give other models.
METRICS = "metrics.json"
Kind = Literal["evaluation", "refit"]
RETRIEVAL_TABLES = ("text", "retrieval", "train")


@dataclass(frozen=True)
class Run:
    """One fit of both models, or of one. The same inputs name the same run.

    A fit of retrieval is a run of its own, which every run of both models takes up
    whose other settings alone differ.
    """

    folder: str
    id: str

    @classmethod
    def of(
        cls,
        out: str,
        kind: Kind,
        prepared: Prepared,
        config: ExperimentConfig,
        *,
        start: str = "",
    ) -> "Run":
        """Name the run of a data set and a configuration.

        In: `start`: the fingerprint of the weights it may begin with, "" from scratch.
        """
        tables = config.model_tables()
        if kind == "evaluation":
            tables["evaluation"] = as_table(config.evaluation)
        weights = preset_files(config.text.preset)
        fold = as_table(prepared.fold) if kind == "evaluation" and prepared.fold else {}
        inputs = (TRAIN_VERSION, kind, prepared.fingerprint, tables, weights, fold)
        begun = (start,) if start else ()
        name = f"{kind}-{files.fingerprint(*inputs, *begun)[:10]}"
        return cls(folder=files.join(out, "runs", name), id=name)

    @classmethod
    def of_retrieval(
        cls,
        out: str,
        prepared: Prepared,
        config: ExperimentConfig,
        *,
        stretch: Stretch,
        epochs: int | None,
        start: str = "",
    ) -> "Run":
        """Name the fit of retrieval to a stretch of the events.

        In: `epochs`: how many; None if validation stops it. `start`: as for `of`.
        """
        everything = config.model_tables()
        tables = {name: everything[name] for name in RETRIEVAL_TABLES}
        weights = preset_files(config.text.preset)
        fold = as_table(prepared.fold) if prepared.fold else {}
        inputs = (TRAIN_VERSION, prepared.fingerprint, tables, weights, fold)
        begun = (start,) if start else ()
        name = files.fingerprint(*inputs, as_table(stretch), epochs or 0, *begun)
        name = f"retrieval-{name[:10]}"
        return cls(folder=files.join(out, "runs", name), id=name)

    def start(self, config: ExperimentConfig) -> None:
        """Create the folder with the configuration as used.

        What stands there stays: a later job may differ in what makes no other model,
        such as its [export].
        """
        place = files.join(self.folder, "config.toml")
        if not files.exists(place):
            files.make_folder(self.folder)
            files.write_text(place, tomlkit.dumps(_plain(as_table(config))))

    def stage(self, name: str) -> dict[str, str]:
        """Return where a stage keeps its checkpoints and its TensorBoard files."""
        return {
            "folder": files.join(self.folder, "checkpoints", name),
            "logs": files.join(self.folder, "tensorboard", name),
        }

    @property
    def metrics(self) -> dict[str, Any] | None:
        """Return what the run measured; None while it has not ended."""
        place = files.join(self.folder, METRICS)
        return files.read_json(place) if files.exists(place) else None

    def end(self, metrics: dict[str, Any]) -> None:
        """Write what was measured; from now on the run has ended."""
        files.write_json(files.join(self.folder, METRICS), metrics)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
