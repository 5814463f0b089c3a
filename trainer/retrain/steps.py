"""The job's steps as plain data: the local driver and every pipeline run this list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ArtifactKind = Literal["Dataset", "Model", "Metrics", "HTML"]

PASSED, REFUSED, NOTHING = "passed", "refused", "nothing"
"""Values of a verdict: any other than `PASSED` ends a job, none of them is an error."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the job, which a process or a container of its own can run.

    `command`: words after `python -m`; `{toml}`, `{out}`, `{server}`, `{job}`, `{new}`
    (as many words as there are files) and `{result}` are filled in, an empty one takes
    the option before it along. To `{result}` the step writes a JSON object with its
    `verdict`, its `values` by name and, by the name of an artifact, "folders",
    "metrics" or "pages".
    `inputs`: the steps whose outputs it reads. `values`: strings that it hands on;
    `job`, the first step's, names the job to all others. `artifacts`: what a console
    shows. `judges`: the steps after it run only if its verdict is `PASSED`; alone it
    ends with exit status 3 where it refuses. `cached`: a run with the same job need
    not repeat it.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    artifacts: tuple[tuple[str, ArtifactKind], ...] = ()
    judges: bool = False
    cached: bool = True


def _command(step: str) -> tuple[str, ...]:
    return (
        *("trainer", "retrain", "{toml}", "--out", "{out}", "--new", "{new}"),
        *("--job", "{job}", "--server", "{server}"),
        *("--step", step, "--result", "{result}"),
    )


# What reads or changes the world outside the job's folder is never cached: the same
# path may hold new rows tomorrow.
STEPS: Sequence[Step] = (
    Step(
        name="ingest",
        command=_command("ingest"),
        values=("job",),
        artifacts=(("dataset", "Dataset"), ("counts", "Metrics")),
        judges=True,
        cached=False,
    ),
    Step(
        name="validate",
        command=_command("validate"),
        inputs=("ingest",),
        artifacts=(("findings", "Metrics"),),
        judges=True,
    ),
    Step(
        name="prepare",
        command=_command("prepare"),
        inputs=("ingest", "validate"),
        artifacts=(("data", "Dataset"),),
    ),
    Step(
        name="train",
        command=_command("train"),
        inputs=("prepare",),
        artifacts=(("model", "Model"),),
    ),
    Step(
        name="evaluate",
        command=_command("evaluate"),
        inputs=("prepare", "train"),
        artifacts=(("metrics", "Metrics"), ("report", "HTML")),
    ),
    Step(
        name="gate",
        command=_command("gate"),
        inputs=("validate", "evaluate"),
        values=("reason",),
        artifacts=(("decision", "Metrics"),),
        judges=True,
    ),
    Step(
        name="publish",
        command=_command("publish"),
        inputs=("train", "gate"),
        values=("version",),
        artifacts=(("servables", "Model"),),
        judges=True,  # The refit's index has a floor of its own.
        cached=False,
    ),
)
NAMES = tuple(step.name for step in STEPS)
