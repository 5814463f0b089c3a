"""What `retrain` and `rollback` look at before any work begins."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from data.__main__ import main as data_main
from data.locks import locked
from data.planted import Planted
from trainer.__main__ import main
from trainer.distributed.cluster import VARIABLE
from trainer.export.publish import SERVABLES
from trainer.retrain import driver, replay, rollback


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is begun: nothing is done."""
    begun: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *_, **__: begun.append(name)

    monkeypatch.setattr(driver, "retrain", note("retrain"))
    monkeypatch.setattr(driver, "run_step", note("step"))
    monkeypatch.setattr(replay, "replay", note("replay"))
    monkeypatch.setattr(rollback, "rollback", note("rollback"))
    return begun


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def ingest(planted: Planted, dataset: Path) -> Result:
    new = planted.folder / "interactions.csv"
    words = ("ingest", planted.toml, "--new", new, "--dataset", dataset)
    return CliRunner().invoke(data_main, [str(word) for word in words])


def test_a_job_and_ingest_do_not_grow_one_data_set_at_once(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Any
) -> None:
    dataset, found = tmp_path / "retrain" / "dataset", []
    monkeypatch.setattr(
        driver, "retrain", lambda *_, **__: found.append(ingest(planted, dataset))
    )
    assert run("retrain", planted.toml, "--out", tmp_path).exit_code == 0
    (result,) = found
    assert result.exit_code == 4
    assert f"{dataset}: process" in result.stderr
    for name in SERVABLES:
        (tmp_path / "models" / name / "1").mkdir(parents=True)
    with locked(str(dataset)):
        for words in (
            ("retrain", planted.toml, "--out", tmp_path),
            ("rollback", "--models", tmp_path / "models"),
        ):
            result = run(*words)
            assert result.exit_code == 4, result.output
            assert f"{dataset}: process" in result.stderr
    assert asked == []


@pytest.mark.parametrize("command", ["retrain", "train", "pipeline"])
def test_a_file_is_no_place_for_a_job(
    planted: Planted, command: str, asked: list[str]
) -> None:
    result = run(command, planted.toml, "--out", planted.toml)
    assert result.exit_code == 2
    assert f"{planted.toml}: found a file, expected a folder." in result.stderr
    assert asked == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--replay", "--new", "a.csv"), "--replay takes no --new"),
        (("--replay", "--step", "train"), "--replay takes no --step"),
        (("--job", "0123456789abcdef"), "--job is of a single --step"),
        (("--result", "told.json"), "--result is of a single --step"),
        (("--replay", "--job", "0123456789abcdef"), "--job is of a single --step"),
    ],
)
def test_options_that_do_not_go_together(
    tmp_path: Path, words: tuple[str, ...], told: str, asked: list[str]
) -> None:
    result = run("retrain", "my.toml", "--out", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Usage: " in result.stderr
    assert not (tmp_path / "out").exists()
    assert asked == []


@pytest.mark.parametrize(
    ("words", "begun"),
    [
        (("--new", "a.csv"), "retrain"),
        (("--replay",), "replay"),
        (("--new", "a.csv", "--step", "ingest"), "step"),
        (("--step", "train", "--job", "0123456789abcdef"), "step"),
    ],
)
def test_options_that_do(
    planted: Planted,
    tmp_path: Path,
    words: tuple[str, ...],
    begun: str,
    asked: list[str],
) -> None:
    assert run("retrain", planted.toml, "--out", tmp_path, *words).exit_code == 0
    assert asked == [begun]


WORKERS = {"worker": ["host-0:2222", "host-1:2222"]}


@pytest.mark.parametrize("command", [("--new", "a.csv"), ("--replay",)])
@pytest.mark.parametrize(
    ("strategy", "cluster", "told"),
    [
        ("multi_worker", WORKERS, '[train] strategy is "multi_worker"'),
        ("multi_worker", {}, '[train] strategy is "multi_worker"'),
        ("parameter_server", {}, '[train] strategy is "parameter_server"'),
        ("none", WORKERS, "TF_CONFIG names 2 workers"),
        ("mirrored", WORKERS, "TF_CONFIG names 2 workers"),
    ],
)
def test_several_processes_are_refused_before_any_work(
    planted: Planted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    strategy: str,
    cluster: dict[str, list[str]],
    told: str,
    asked: list[str],
) -> None:
    task = {"type": "worker", "index": 0}
    if cluster:
        monkeypatch.setenv(VARIABLE, json.dumps({"cluster": cluster, "task": task}))
    words = ("--set", f"train.strategy={strategy}", "--out", tmp_path / "out")
    result = run("retrain", planted.toml, *words, *command)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "multi_worker" not in result.stderr.replace(told, "")
    assert not (tmp_path / "out").exists()
    assert asked == []


def test_one_worker_of_tf_config_retrains(
    planted: Planted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[str],
) -> None:
    alone = {"cluster": {"chief": ["host:1"]}, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv(VARIABLE, json.dumps(alone))
    assert run("retrain", planted.toml, "--out", tmp_path).exit_code == 0
    assert asked == ["retrain"]
