"""New files into a state of the data set, and what a state says against the former.

The one place where the job meets `data.ingest` and `data.drift`.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import files
from data.schema import DataConfig


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A state of the data set with new rows.

    `name`: its fingerprint; `folder`: where it is; `toml`: what reads it; `counts`: of
    new, late and duplicate rows. `refused`: one sentence, "" where the files were
    taken. Nothing but that or the counts is told where nothing was written.
    """

    name: str = ""
    folder: str = ""
    toml: str = ""
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    findings: tuple[dict[str, Any], ...] = ()
    refused: str = ""


def current_state(dataset: str) -> str | None:
    """Return the name of the state that new rows are appended to; None at first."""
    from data.states.folders import current

    return current(dataset)


def make_current(dataset: str, name: str | None) -> None:
    """Let further new rows be appended to a state; None is the TOML's tables."""
    from data.states.folders import CURRENT, set_current

    if name is None:
        files.remove_file(files.join(dataset, CURRENT))
    else:
        set_current(dataset, name)


def grow(
    config: DataConfig,
    toml: Path,
    new: Sequence[str],
    dataset: str,
    *,
    parent: str | None,
    overrides: Sequence[str] = (),
) -> Grown:
    """Append new files to a state, which stays as it is; None is the TOML's tables."""
    from data.ingest import SchemaDrift, ingest

    try:
        found = ingest(
            config,
            toml,
            new,
            dataset,
            parent=parent,
            move=False,
            overrides=overrides,
        )
    except SchemaDrift as err:
        told = tuple(one.to_json() for one in err.findings)
        return Grown(refused=err.reason, findings=told)
    if not found.is_new:
        return Grown(counts=found.counts)
    return Grown(
        name=found.fingerprint or "",
        folder=found.folder or "",
        toml=found.toml or "",
        counts=found.counts,
        findings=tuple(found.manifest.get("findings", ())),
    )


def read_state(toml: str) -> DataConfig:
    """Return the configuration that reads a state."""
    from data.states.folders import read_experiment

    return read_experiment(toml)


def place_of(dataset: str, name: str) -> tuple[str, str]:
    """Return a state's folder and the TOML that reads it."""
    folder = files.join(dataset, name)
    return folder, files.join(folder, "experiment.toml")


def judge(new: str, old: str) -> tuple[list[dict[str, Any]], str]:
    """Compare a state with the one before. Out: findings, and why it is refused.

    In: `new`: a state's folder; `old`: one too, or a TOML of a person.
    """
    from data.drift import validate

    found = validate(new, old)
    return [one.to_json() for one in found.findings], found.reason
