"""A published version as a folder: what it was made with, and of which catalogue."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from data import files
from data.changes import Changes
from data.console import say
from data.prepared import Prepared
from data.settings import build
from trainer.config import ExperimentConfig
from trainer.errors import ExportError
from trainer.export.publish import SERVABLES, version_folder, versions

CHANGES = ("assets.extra", "catalogue_changes.jsonl")
MANIFEST = "manifest.json"
_KIND = "recommender"  # It holds both models.


@dataclass(frozen=True)
class Exported:
    """The newest version that all servables of a folder of models have."""

    models: str
    version: int

    @classmethod
    def newest(cls, models: str) -> "Exported":
        """Find it. Raises: ExportError where there is none."""
        version = newest_version(models)
        if version is None:
            raise ExportError(
                f"{models}: no version that {', '.join(SERVABLES)} share, expected "
                "what an export leaves. Run: make export."
            )
        return cls(models, version)

    @property
    def out(self) -> str:
        """Return the experiment's folder, which holds data/, runs/ and models/."""
        return parent(self.models)

    def place(self, *names: str) -> str:
        """Return where a file of the version is."""
        folder = version_folder(self.models, _KIND, self.version)
        return files.join(folder, *names) if names else folder

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Read what the version says of itself."""
        return dict(files.read_json(self.place(MANIFEST)))

    @cached_property
    def changes(self) -> Changes:
        """Read how its catalogue differs from that of the data set."""
        return Changes.read(self.place(*CHANGES))

    @cached_property
    def config(self) -> ExperimentConfig:
        """Return the configuration that it was made with."""
        table = without_none(self.manifest["config"])
        return build(ExperimentConfig, table, self.place(MANIFEST))

    def run(self, name: str, *names: str) -> str:
        """Return where a file of a run is."""
        return files.join(self.out, "runs", name, *names)

    def prepared(self) -> Prepared:
        """Open the data set that it was made of.

        Raises: ExportError when it is no longer there, or another one is.
        """
        folder = files.join(self.out, self.manifest.get("prepared", "data"))
        if not files.exists(files.join(folder, MANIFEST)):
            raise ExportError(
                f"{folder}: no prepared data set, expected the one that version "
                f"{self.version} was made of: new items are coded by it. Put it back "
                "beside the models, or run: make train."
            )
        prepared = Prepared.load(folder).folds()[-1]
        made_of = self.manifest["data"]["fingerprint"]
        if prepared.fingerprint != made_of:
            raise ExportError(
                f"{folder}: data set {prepared.fingerprint}, expected {made_of}, which "
                f"version {self.version} was made of. Run: make train, which also "
                "takes over the items that were added or removed since."
            )
        return prepared


def newest_version(models: str) -> int | None:
    """Return the newest version of all servables; None if they share none."""
    shared = set.intersection(*(set(versions(models, name)) for name in SERVABLES))
    return max(shared, default=None)


def find_models(folder: str) -> str:
    """Return the folder of the servables, of which a near one was named.

    In: that folder, the experiment's, or that of a servable or of a version.
    Raises: ExportError for any other.
    """
    folder = folder if files.is_remote(folder) else folder.rstrip("/") or "/"
    above = [parent(folder), parent(parent(folder))]
    if files.is_remote(folder):  # Where a version lies a folder deeper.
        above.append(parent(above[-1]))
    for place in (folder, files.join(folder, "models"), *above):
        if newest_version(place) is not None:
            return place
    found = ", ".join(files.listdir(folder)[:5]) if files.is_folder(folder) else ""
    raise ExportError(
        f"{folder}: {f'found {found}' if found else 'no such folder'}, expected the "
        f"models as an export leaves them: {', '.join(SERVABLES)} in it, each with its "
        "versions. Name OUT/models, such as artifacts/ml-100k/models."
    )


def standing_changes(models: str, prepared: Prepared) -> Changes:
    """Return the changes that the next version of a data set has to keep.

    Those of the newest version; of another data set's, what the table of items does
    not answer.
    """
    version = newest_version(models)
    if version is None:
        return Changes()
    exported = Exported(models, version)
    changes = exported.changes
    if not changes or exported.manifest["data"]["fingerprint"] == prepared.fingerprint:
        return changes
    kept = changes.carried_to(prepared)
    say(
        f"{len(changes) - len(kept)} of {len(changes)} items that were added or "
        "changed since the last data set stand in the table of items now, which has "
        f"the last word. {len(kept)} stay as add-items and remove-items left them."
    )
    return kept


def parent(folder: str) -> str:
    """Return the folder that a folder is in."""
    if files.is_remote(folder):
        return folder.rstrip("/").rpartition("/")[0]
    return os.path.dirname(os.path.abspath(folder))


def without_none(value: Any) -> Any:
    """Leave out what JSON says of options that nobody has set."""
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return value
