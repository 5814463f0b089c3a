"""Processes on loopback, one of them killed, end where a single one ends."""

import json
import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.planted import write_planted
from trainer.config import read_experiment
from trainer.distributed.supervisor import supervise
from trainer.experiment import Experiment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.replicas,
    pytest.mark.xdist_group("replicas"),
]
STEPS, EPOCHS = 3, 3
TABLES = f"""
[text]
preset = ""

[retrieval]
dim = 8
history_length = 20
block = "mean"
use_trend = false
batch_size = 61
loss = "sampled_softmax"
hard_negatives = 2
epochs = {EPOCHS}

[train]
checkpoint_steps = {STEPS}
validation_events = 200
shard_mb = 0.0005
"""
PROCESSES = {
    "multi_worker": {"workers": 2},
    "parameter_server": {"workers": 3, "servers": 1},  # The first of them leads.
}
ROLES = ["ps", "worker", "chief"]
WAIT_S = 600
Result = dict[str, Any]


@dataclass(frozen=True)
class Killed:
    """A job of several processes of which one was killed."""

    status: int
    result: Result
    chiefs: int
    state_at_kill: dict[str, Any]


@pytest.fixture(scope="module")
def expected(toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Fit the same model in this process."""
    from tests.integration.one_worker import fit

    out = tmp_path_factory.mktemp("one")
    config = read_experiment(toml)
    fit(Experiment(config=config, path=toml, out=str(out)), out)
    result: Result = json.loads((out / "result.json").read_text())
    return result


def kill_one(out: Path, role: str, epoch: int, delay_s: float, seen: list[Any]) -> None:
    """Kill a worker some time after the first checkpoint within an epoch."""
    deadline, place = time.monotonic() + WAIT_S, out / "fit" / "state.json"
    while time.monotonic() < deadline:
        state = json.loads(place.read_text()) if place.exists() else {}
        if state.get("epoch") == epoch and state["batch"]:
            time.sleep(delay_s)
            os.kill(int((out / f"{role}.pids").read_text().split()[-1]), signal.SIGKILL)
            seen.append(json.loads(place.read_text()))
            return
        time.sleep(0.01)


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment")
    return write_planted(folder, extra_toml=TABLES).toml


@pytest.fixture(scope="module", params=PROCESSES)
def killed(
    request: pytest.FixtureRequest,
    toml: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Killed:
    strategy = request.param
    out = tmp_path_factory.mktemp("several")
    seed = int(os.environ.get("TANDEM_SEED", "7"))
    draw = random.Random(seed)
    role = draw.choice(["chief", "worker"] if strategy == "multi_worker" else ROLES)
    epoch, delay_s = draw.randrange(EPOCHS), draw.random() / 10
    print(f"seed {seed}: {role} dies in epoch {epoch + 1}, {delay_s * 1e3:.0f} ms in")
    seen: list[Any] = []
    killer = threading.Thread(target=kill_one, args=(out, role, epoch, delay_s, seen))
    killer.start()
    command = [sys.executable, "-m", "tests.integration.one_worker", str(toml)]
    command += [str(out), strategy]
    status = supervise(command, restarts=3, **PROCESSES[strategy])
    killer.join()
    result = json.loads((out / "result.json").read_text())
    chiefs = len((out / "chief.pids").read_text().split())
    return Killed(status, result, chiefs, seen[0])


def test_one_is_killed_and_all_start_again(killed: Killed) -> None:
    assert killed.status == 0
    assert killed.chiefs == 2
    assert killed.state_at_kill["ended"] is False
    assert killed.state_at_kill["batch"] % STEPS == 0


def test_it_ends_as_one_process_does(killed: Killed, expected: Result) -> None:
    assert killed.result["best"] == expected["best"]
    for name in ("loss", "val_ndcg@10"):
        curves = [[row[name] for row in r["curve"]] for r in (killed.result, expected)]
        np.testing.assert_allclose(curves[0], curves[1], rtol=2e-5)
    vectors = (np.array(r["vectors"]) for r in (killed.result, expected))
    np.testing.assert_allclose(*vectors, atol=5e-4)
