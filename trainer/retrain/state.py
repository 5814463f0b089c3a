"""Where the job keeps what it makes: a folder a job, in it one for each step.

A step's folder is complete or absent: `manifest.json` in it says what went in and
what came out. So a job that was killed goes on at the first step without one.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from data import files
from trainer.errors import TrainingError
from trainer.retrain.steps import NAMES, PASSED

FORMAT = 1
MANIFEST, JOB, REFERENCE = "manifest.json", "job.json", "reference.json"


@dataclass(frozen=True)
class Places:
    """The folders of retraining in an experiment's `out`.

    `states`: where the states of the data set are, if elsewhere.
    """

    out: str
    states: str = ""

    @property
    def models(self) -> str:
        """Return the folder of the servables."""
        return files.join(self.out, "models")

    @property
    def dataset(self) -> str:
        """Return the folder of the states of the growing data set."""
        return self.states or files.join(self.out, "retrain", "dataset")

    @property
    def reference(self) -> str:
        """Return the file of the gate's fixed reference."""
        return files.join(self.out, "retrain", REFERENCE)

    def job(self, name: str) -> "Job":
        """Return a job."""
        return Job(self.out, name)

    def jobs(self) -> list[str]:
        """List the names of all jobs."""
        return files.listdir(files.join(self.out, "retrain", "jobs"))


@dataclass(frozen=True)
class Job:
    """One job: equal inputs have equal names, so that it is done once."""

    out: str
    name: str

    def relative(self, *names: str) -> str:
        """Return a place in the job's folder, from `out` on."""
        return "/".join(("retrain", "jobs", self.name, *names))

    def place(self, *names: str) -> str:
        """Return a place in the job's folder."""
        return files.join(self.out, "retrain", "jobs", self.name, *names)

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write what the job is about, unless that stands."""
        if not self.has_begun:
            files.make_folder(self.place())
            files.write_json(self.place(JOB), {"format": FORMAT, **facts})

    @property
    def has_begun(self) -> bool:
        """Tell whether it is said what the job is about."""
        return files.exists(self.place(JOB))

    @property
    def facts(self) -> dict[str, Any]:
        """Return what the job is about. Raises: TrainingError where there is none."""
        if not self.has_begun:
            raise TrainingError(
                f"{self.place(JOB)}: no such file, expected a job that was begun. Run "
                "the whole job, or its first step: --step ingest."
            )
        return dict(files.read_json(self.place(JOB)))

    def manifest(self, step: str) -> dict[str, Any] | None:
        """Return what a step left, None while it is not done."""
        place = self.place(step, MANIFEST)
        return dict(files.read_json(place)) if files.exists(place) else None

    def needed(self, step: str) -> dict[str, Any]:
        """Return what a step left. Raises: TrainingError while it is not done."""
        found = self.manifest(step)
        if found is None:
            raise TrainingError(
                f"{self.place(step)}: no {MANIFEST}, expected what the step '{step}' "
                f"leaves. Run it first: --step {step} --job {self.name}."
            )
        return found

    def verdict_before(self, step: str) -> tuple[str, str]:
        """Return what the steps before one came to: a verdict and its reason."""
        for name in NAMES[: NAMES.index(step)]:
            found = self.manifest(name) or {}
            if found.get("verdict", PASSED) != PASSED:
                return found["verdict"], found.get("reason", "")
        return PASSED, ""

    @contextmanager
    def writing(self, step: str, since: float | None = None) -> Iterator["StepFolder"]:
        """Yield a step's folder to fill, which is there only if all went well.

        In: `since`: when the step began, of `time.monotonic`, if not now.
        """
        started = time.monotonic() if since is None else since
        with files.new_folder(self.place(step)) as folder:
            filled = StepFolder(folder)
            yield filled
            names = [n for n in filled.stable if files.exists(files.join(folder, n))]
            sums = {name: files.sha256(files.join(folder, name)) for name in names}
            manifest = {
                "format": FORMAT,
                "step": step,
                "job": self.name,
                **filled.facts,
                "outputs": {**filled.outputs, **sums},
                "seconds": round(time.monotonic() - started, 3),
            }
            files.write_json(files.join(folder, MANIFEST), manifest)


class StepFolder:
    """A step's folder while it is filled.

    `facts`: go into its manifest; `stable`: files that equal inputs make equal, whose
    hashes its manifest holds; `outputs`: hashes of what lies elsewhere.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {}
        self.stable: list[str] = []
        self.outputs: dict[str, str] = {}

    def write(self, name: str, value: Any, *, stable: bool = True) -> None:
        """Write a JSON file."""
        files.write_json(files.join(self.folder, name), value)
        if stable:
            self.stable.append(name)


def tree_hash(folder: str) -> str:
    """Return what changes with any file in a folder, their names included."""
    sums = {}
    for name in files.listdir(folder):
        place = files.join(folder, name)
        is_folder = files.is_folder(place)
        sums[name] = tree_hash(place) if is_folder else files.sha256(place)
    return files.fingerprint(sums)
