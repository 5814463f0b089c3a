"""The supervisor, over workers that are a few lines each."""

import os
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from trainer.__main__ import main
from trainer.distributed import supervisor
from trainer.distributed.supervisor import RETRY, supervise

WORKER = """
import json, os, sys, time, pathlib
task = json.loads(os.environ["TF_CONFIG"])["task"]
folder, chief, worker = pathlib.Path(sys.argv[-3]), *sys.argv[-2:]
starts = folder / f"{task['type']}.txt"
number = len(starts.read_text()) if starts.exists() else 0
starts.write_text("x" * (number + 1))
kinds = (chief if task["type"] == "chief" else worker).split(",")
kind = kinds[min(number, len(kinds) - 1)]
if kind == "killed":
    os.kill(os.getpid(), 9)
if kind == "waits":
    time.sleep(60)
sys.exit(int(kind))
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Write the worker above down, and wait for nothing long."""
    (tmp_path / "worker.py").write_text(WORKER)
    monkeypatch.setattr(supervisor, "GRACE_S", 0.5)
    monkeypatch.setattr(supervisor, "POLL_S", 0.02)
    return tmp_path


def run(
    folder: Path, chief: str, worker: str, restarts: int = 3, servers: int = 0
) -> int:
    command = [sys.executable, str(folder / "worker.py"), str(folder), chief, worker]
    return supervise(command, workers=2, restarts=restarts, servers=servers)


def starts(folder: Path, role: str) -> int:
    return len((folder / f"{role}.txt").read_text())


def test_all_done(quick: Path) -> None:
    assert run(quick, "0", "0") == 0
    assert starts(quick, "chief") == 1


def test_a_killed_worker_starts_all_again(quick: Path) -> None:
    assert run(quick, "waits,0", "killed,0") == 0
    assert (starts(quick, "chief"), starts(quick, "worker")) == (2, 2)


def test_those_that_serve_are_ended_when_all_is_done(quick: Path) -> None:
    assert run(quick, "0", "waits", servers=1) == 0
    assert starts(quick, "chief") == 1


def test_a_killed_server_starts_all_again(quick: Path) -> None:
    assert run(quick, "waits,0", "killed,waits", servers=1) == 0
    # The chief's second start ends all, perhaps before the server's is written down.
    assert starts(quick, "chief") == 2
    assert starts(quick, "ps") in (1, 2)


def test_servers_want_a_worker_beside_the_one_that_leads() -> None:
    words = ["supervise", "--workers=1", "--servers=1", "--", "train", "a.toml"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "--servers 1 with --workers 1: expected 2 workers" in result.output


def test_a_killed_chief_starts_all_again(quick: Path) -> None:
    assert run(quick, "killed,0", f"{RETRY},0") == 0
    assert starts(quick, "chief") == 2


def test_it_gives_up_after_so_many(quick: Path) -> None:
    assert run(quick, "waits", "killed", restarts=2) == RETRY
    assert starts(quick, "chief") == 3


@pytest.mark.parametrize("status", [1, 2, 3, 4])
def test_a_mistake_is_the_result_at_once(quick: Path, status: int) -> None:
    assert run(quick, str(status), "waits") == status
    assert starts(quick, "chief") == 1


def test_handlers_are_put_back(quick: Path) -> None:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    run(quick, "0", "0")
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    assert os.environ.get("TF_CONFIG") is None
