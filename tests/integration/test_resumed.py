"""Interrupted, resumed, and with another future: the same weights, bit by bit."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from data.events import TEST
from tests.integration.support import (
    ROOT,
    EvaluatedJob,
    run_trainer,
    write_experiment,
)

STAGES = ("run", "early_run", "ranking")  # As the metrics name fits of retrieval.
WAIT_S = 120
NO_BASELINES = "evaluation.baselines=false"


@dataclass(frozen=True)
class Interrupted:
    """A job that was stopped twice and then ended."""

    out: Path
    interrupted: subprocess.CompletedProcess[str]
    state_after: dict[str, object]
    checkpoint_after: bool
    second_status: int
    second_state: dict[str, object]
    third_status: int

    @property
    def run(self) -> Path:
        return run_of(self.out)


def run_of(out: Path) -> Path:
    """Return the folder of the only evaluation in a job's."""
    (folder,) = out.glob("runs/evaluation-*")
    return folder


def with_another_test_part(job: EvaluatedJob, folder: Path) -> Path:
    """Write the experiment again, other items and labels in the test part."""
    planted = write_experiment(folder)
    path = planted.folder / "interactions.csv"
    frame = pd.read_csv(path, keep_default_na=False, dtype={"user_id": str})
    late = frame["timestamp"] >= job.prepared.cut(TEST)
    rng = np.random.default_rng(0)
    # Items keep a row of theirs, whoever met them: the catalogue stays the same.
    frame.loc[late, "item_id"] = rng.permutation(frame.loc[late, "item_id"])
    frame.loc[late, "rating"] = rng.integers(1, 6, int(late.sum()))
    frame.loc[late, "device"] = rng.permutation(frame.loc[late, "device"])
    frame.to_csv(path, index=False, lineterminator="\n")
    assert 100 < late.sum() < len(frame) / 5
    return planted.toml


def interrupt_in_retrieval(toml: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Start the job as a process and press Ctrl-C when an epoch has ended."""
    command = [sys.executable, "-m", "trainer", "evaluate", str(toml)]
    command += ["--out", str(out), "--set", NO_BASELINES]
    quiet = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    running = subprocess.Popen(
        command,
        cwd=ROOT,
        env=quiet,  # As a person's shell is.
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + WAIT_S
    while not list(out.glob("runs/*/checkpoints/retrieval/state.json")):
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=WAIT_S)
    return subprocess.CompletedProcess(command, running.returncode, output, errors)


def interrupt_after(
    batches: int, title: str
) -> Callable[..., Iterator[Callable[..., None]]]:
    """Make a progress bar that presses Ctrl-C after some batches of one step."""

    @contextmanager
    def progress(this: str, total: float) -> Iterator[Callable[..., None]]:
        done = 0.0

        def advance(amount: float = 1, note: str = "") -> None:
            nonlocal done
            done += amount
            if this == title and amount == 1 and done == batches:
                signal.raise_signal(signal.SIGINT)

        yield advance

    return progress


@pytest.fixture(scope="module")
def resumed(
    evaluated: EvaluatedJob, tmp_path_factory: pytest.TempPathFactory
) -> Interrupted:
    toml = with_another_test_part(evaluated, tmp_path_factory.mktemp("other"))
    out = tmp_path_factory.mktemp("resumed") / "out"
    first = interrupt_in_retrieval(toml, out)
    (fit,) = out.glob("runs/retrieval-*/checkpoints/retrieval")
    state = json.loads((fit / "state.json").read_text())
    there = tf.train.latest_checkpoint(str(fit / "newest"))
    with pytest.MonkeyPatch.context() as patch:
        batches = interrupt_after(20, "Training ranking")
        patch.setattr("trainer.fitting.loop.progress", batches)
        second = run_trainer("evaluate", toml, "--out", out, "--set", NO_BASELINES)
    ranking = run_of(out) / "checkpoints/ranking"
    second_state = json.loads((ranking / "state.json").read_text())
    third = run_trainer("evaluate", toml, "--out", out, "--set", NO_BASELINES)
    return Interrupted(out, first, state, bool(there), second, second_state, third)


def test_ctrl_c_ends_with_130_and_one_line(resumed: Interrupted) -> None:
    assert resumed.interrupted.returncode == 130
    lines = resumed.interrupted.stderr.splitlines()
    assert lines == ["Interrupted."]
    assert resumed.checkpoint_after
    assert resumed.state_after["ended"] is False


def test_the_second_command_went_on(resumed: Interrupted) -> None:
    assert resumed.second_status == 130
    assert resumed.second_state["ended"] is False
    epoch, batch = resumed.second_state["epoch"], resumed.second_state["batch"]
    assert (epoch, batch) != (0, 0)
    assert batch != 0  # Not between two epochs: the order within one is taken up.
    assert resumed.third_status == 0


def weights(run: Path, stage: str) -> dict[str, np.ndarray]:
    """Read the best weights of a stage by name."""
    folder = run / "checkpoints/ranking"
    if stage != "ranking":
        facts = json.loads((run / "metrics.json").read_text())["stages"]["retrieval"]
        folder = run.parent / facts[stage] / "checkpoints/retrieval"
    reader = tf.train.load_checkpoint(str(folder / "best/weights"))
    names = reader.get_variable_to_shape_map()
    return {n: reader.get_tensor(n) for n in names if "OBJECT_GRAPH" not in n}


@pytest.mark.parametrize("stage", STAGES)
def test_weights_are_those_of_an_undisturbed_run(
    evaluated: EvaluatedJob, resumed: Interrupted, stage: str
) -> None:
    """Neither the interruptions nor the test part leave a trace."""
    undisturbed = run_of(evaluated.out)
    expected, found = weights(undisturbed, stage), weights(resumed.run, stage)
    # What a metric of the newest epoch has summed up is no weight.
    names = {n for n in expected if not n.startswith(("model/mean_loss", "model/_"))}
    assert len(names) > 10
    assert names <= set(found)
    for name in names:
        assert expected[name].dtype == found[name].dtype
        assert np.array_equal(expected[name], found[name]), name


def test_choices_are_those_of_an_undisturbed_run(
    evaluated: EvaluatedJob, resumed: Interrupted
) -> None:
    expected = evaluated.metrics("evaluation")["stages"]
    found = json.loads((resumed.run / "metrics.json").read_text())["stages"]
    assert found["calibration"] == expected["calibration"]
    for stage in ("retrieval", "ranking"):
        one, other = found[stage], expected[stage]
        for chosen in ("trend_boost", "affinity_weight", "trust"):
            assert one.get(chosen) == other.get(chosen)
        assert one["best_epoch"] == other["best_epoch"]
        assert one["val_ndcg@10"] == other["val_ndcg@10"]
        curves = [[r["val_ndcg@10"] for r in s["curve"]] for s in (one, other)]
        assert curves[0] == curves[1]
    assert found["ranking"]["examples"] == expected["ranking"]["examples"]


def test_the_future_was_another_one(
    evaluated: EvaluatedJob, resumed: Interrupted
) -> None:
    report = json.loads((resumed.out / "report.json").read_text())
    fingerprint = report["about"]["data"]["fingerprint"]
    assert fingerprint != evaluated.prepared.fingerprint
    for name in ("retrieval", "two_stage"):
        there = report["models"][name]["metrics"]["ndcg@10"]["mean"]
        assert there < evaluated.report["models"][name]["metrics"]["ndcg@10"]["mean"]
