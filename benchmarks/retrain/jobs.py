"""Runs the commands of the job as processes, and reads what they left."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its status, its seconds and what it said."""

    status: int
    seconds: float
    said: str


def run(*words: object, within_s: float) -> Ended:
    """Run `python -m trainer ...`; ended after `within_s` seconds."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    return Ended(done.returncode, time.monotonic() - began, done.stderr)


def settings(overrides: Sequence[str]) -> list[str]:
    """Return overrides as words of a command."""
    return [word for one in overrides for word in ("--set", one)]


def jobs(out: Path) -> list[Path]:
    """List the folders of a folder's jobs, the oldest first."""
    found = (out / "retrain" / "jobs").glob("*/job.json")
    return [p.parent for p in sorted(found, key=lambda p: p.stat().st_mtime)]


def report(job: Path) -> dict[str, Any]:
    """Read the report of a job."""
    found: dict[str, Any] = json.loads((job / "report.json").read_text())
    return found


def outputs(job: Path) -> dict[str, dict[str, str]]:
    """Read the hashes of what each step of a job has made."""
    manifests = {p.parent.name: p for p in job.glob("*/manifest.json")}
    return {
        name: json.loads(place.read_text())["outputs"]
        for name, place in sorted(manifests.items())
    }


def half_written(out: Path) -> list[str]:
    """List the versions that a server sees and that are not whole."""
    needed = ("manifest.json", "saved_model.pb", "variables/variables.index")
    return [
        str(version)
        for version in (out / "models").glob("*/[0-9]*")
        if not all((version / name).exists() for name in needed)
    ]
