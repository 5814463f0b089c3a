"""Killed in any step, at moments that a seed draws, a job ends as if undisturbed.

The models are stand-ins, the processes and the signal are real; `make test-replicas`
kills fits and exports.
"""

import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.retrain.forks import Forks
from benchmarks.retrain.jobs import half_written, jobs, outputs, report
from benchmarks.retrain.kills import TRIES
from benchmarks.retrain.slices import Sliced
from benchmarks.retrain.tiny import tiny
from trainer.export.publish import SERVABLES, versions

SEED = 20_261
LEAST_S = 0.005
STEPS = ("ingest", "validate", "prepare", "gate", "publish")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Sliced:
    return tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    log = tmp_path_factory.mktemp("log") / "log"
    with Forks.open(log, "tests.trainer.retraining:install", "trainer.__main__") as one:
        yield one


def command(data: Sliced, out: Path, number: int) -> list[object]:
    return ["retrain", data.toml, "--out", out, "--new", data.slices[number]]


@pytest.fixture(scope="module")
def champion(
    data: Sliced, forks: Forks, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("champion") / "out"
    assert forks.run(command(data, out, 0)).status == 0, forks.log.read_text()
    return out


@pytest.fixture(scope="module")
def undisturbed(
    data: Sliced,
    forks: Forks,
    champion: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, float]]:
    """Return a folder whose second job was not killed, and the steps' seconds."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    shutil.copytree(champion, out)
    assert forks.run(command(data, out, 1)).status == 0, forks.log.read_text()
    steps = report(jobs(out)[-1])["steps"]
    return out, {one["step"]: max(one["seconds"], LEAST_S) for one in steps}


@contextmanager
def watched(out: Path) -> Iterator[list[str]]:
    """Look at what a server sees, all the while. Out: what was half-written."""
    found: list[str] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            found.extend(half_written(out))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield found
    finally:
        ended.set()
        looking.join()


def whole(out: Path) -> set[int]:
    found = [set(versions(str(out / "models"), name)) for name in SERVABLES]
    return set.intersection(*found)


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_step_is_taken_up(
    step: str,
    data: Sliced,
    forks: Forks,
    champion: Path,
    undisturbed: tuple[Path, dict[str, float]],
    tmp_path: Path,
) -> None:
    end, seconds = undisturbed
    draw = random.Random(f"{SEED} {step}")
    after, out = draw.uniform(0, seconds[step]), tmp_path / "out"
    with watched(out) as half:
        for _ in range(TRIES):
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(champion, out)
            killed = forks.run(command(data, out, 1), step, kill_after_s=after)
            if killed.status is None:
                break
            after /= 2  # It had ended before.
        assert killed.status is None
        told = (
            f"seed {SEED}: {step} was killed after {1e3 * (killed.into_s or 0):.1f} ms"
        )
        print(told)
        assert killed.into_s is not None
        assert whole(champion) <= whole(out)
        again = forks.run(command(data, out, 1))
    assert again.status == 0, forks.log.read_text()
    assert not half
    assert outputs(jobs(out)[-1]) == outputs(jobs(end)[-1]), told
    assert len(whole(out)) == 2


def test_a_killed_rollback_ends_at_its_version(
    forks: Forks,
    undisturbed: tuple[Path, dict[str, float]],
    champion: Path,
    tmp_path: Path,
) -> None:
    (end, _), out = undisturbed, tmp_path / "out"
    shutil.copytree(end, out)
    words = ["rollback", "--models", out / "models"]
    after = random.Random(SEED).uniform(0, 2 * LEAST_S)
    with watched(out) as half:
        killed = forks.run(words, "rollback", kill_after_s=after)
        print(f"seed {SEED}: rollback, {1e3 * (killed.into_s or 0):.1f} ms")
        if killed.status is None:
            assert forks.run(words).status == 0, forks.log.read_text()
    assert not half
    assert whole(out) == whole(champion)
    current = "retrain/dataset/current.json"
    assert (out / current).read_text() == (champion / current).read_text()
