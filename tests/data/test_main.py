"""The door: what is printed, where to, and the exit status."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from data import cli
from data.__main__ import main
from data.errors import DataError
from data.planted import Planted
from data.prepare import shards

ROOT = Path(__file__).parents[2]
DataSet = Any  # The class in conftest, which test modules cannot import.


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_prepare_says_where_and_how_much(data_set: DataSet) -> None:
    result = _run("prepare", data_set.toml, "--out", data_set.out)
    assert result.exit_code == 0
    assert f"{data_set.out}: 9 events of 3 users and 3 items, fingerp" in result.stdout
    assert (data_set.out / "manifest.json").exists()


def test_prepare_goes_to_the_tomls_own_folder(
    data_set: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data_set.folder)
    assert _run("prepare", data_set.toml).exit_code == 0
    assert Path("artifacts/my/data/manifest.json").exists()


def test_settings_can_be_overridden(data_set: DataSet) -> None:
    split = "data.split.kind=leave_one_out"
    result = _run("describe", data_set.toml, "--out", data_set.out, "--set", split)
    assert result.exit_code == 0
    assert "leave_one_out" in result.stdout


def test_check_passes_good_tables_and_writes_nothing(data_set: DataSet) -> None:
    before = sorted(data_set.folder.rglob("*"))
    result = _run("check", data_set.toml)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "can be prepared" in result.stdout
    assert sorted(data_set.folder.rglob("*")) == before


def test_check_prints_all_findings(data_set: DataSet) -> None:
    data_set.write_events(*(("u1", "a", "x", 1), ("u1", "zz", 5, "y"), ("", "a", 5, 3)))
    result = _run("check", data_set.toml)
    assert result.exit_code == 2
    assert result.stdout.count("Warning: ") == 3
    assert "interactions.csv: 3 rows" in result.stdout
    assert "3 errors to mend, 3 warnings." in result.stderr
    assert result.stderr.count("Error: ") == 3
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "{folder}/absent.toml"], "absent.toml: no such file."),
        (["prepare", "{toml}", "--set", "data.split.knd=x"], "Did you mean 'kind'?"),
        (["prepare", "{toml}", "--set", "data.items.path=x.csv"], "x.csv: no such"),
        (["prepare", "{toml}", "--out", "{folder}"], "Name another folder."),
        (["fetch", "ml-100"], "Did you mean 'ml-100k'?"),
        (["planted", "{folder}"], "expected an absent or an empty folder."),
        (["prepare"], "Missing argument 'TOML'"),
        (["prepar"], "No such command 'prepar'"),
    ],
)
def test_mistakes_are_told_alone(
    data_set: DataSet, arguments: list[str], message: str
) -> None:
    places = {"toml": data_set.toml, "folder": data_set.folder}
    result = _run(*(a.format(**places) for a in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("failure", "status", "message"),
    [
        (OSError(errno.ENOSPC, "full"), 2, "out: no space left on its disk. Nothing"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_a_failed_preparation_leaves_nothing(
    data_set: DataSet,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    status: int,
    message: str,
) -> None:
    def fail(path: str, table: Any) -> None:
        raise failure

    monkeypatch.setattr(shards, "write_table", fail)
    before = sorted(data_set.folder.rglob("*"))
    result = _run("prepare", data_set.toml, "--out", data_set.out)
    assert result.exit_code == status
    assert message in result.stderr
    assert sorted(data_set.folder.rglob("*")) == before


def test_our_bugs_keep_their_traceback(
    data_set: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, table: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(shards, "write_table", fail)
    result = _run("prepare", data_set.toml, "--out", data_set.out)
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_describe_tells_what_a_person_asks(planted: Planted, tmp_path: Path) -> None:
    result = _run("describe", planted.toml, "--out", tmp_path / "data")
    assert result.exit_code == 0
    for words in (
        *("Size", "240, 3 without events", "120, 4 without events, 4 not servable"),
        *("density", "100.0 days", "top 10% of items", "5,784 events"),
        *("test asks about", "4 cold users", "item genres", "title, blurb"),
    ):
        assert words in result.stdout


def test_planted_writes_what_prepare_reads(tmp_path: Path) -> None:
    result = _run("planted", tmp_path / "new", "--seed", "3")
    assert result.exit_code == 0
    toml = result.stdout.strip()
    assert toml == str(tmp_path / "new" / "planted.toml")
    assert _run("check", toml).exit_code == 0


class _RefusedError(ValueError):
    pass


class _LockedError(_RefusedError):
    pass


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (DataError("said"), 2),
        (_RefusedError("said"), 3),
        (_LockedError("said"), 4),
        (PermissionError(errno.EACCES, "said", "/place"), 2),
    ],
)
def test_other_doors_register_their_own_errors(failure: Exception, status: int) -> None:
    @click.command()
    @cli.tell_errors({_RefusedError: cli.REFUSED, _LockedError: cli.LOCKED})
    def command() -> None:
        raise failure

    result = CliRunner().invoke(command, [])
    assert result.exit_code == status
    assert "said" in result.stderr


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("file", errno.EEXIST, "file: found a file, expected a folder. Move it away,"),
        ("file/a/b", errno.ENOTDIR, "file: found a file, expected a folder."),
        ("link", errno.EEXIST, "link: found a link to nothing, expected a folder."),
        ("folder", errno.EISDIR, "folder: found a folder, expected a file. Name"),
        ("absent/a", errno.ENOENT, "absent/a: no such file or folder. Check the name"),
    ],
)
def test_what_is_of_the_wrong_kind_is_told(
    tmp_path: Path, name: str, code: int, message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "folder").mkdir()
    place = str(tmp_path / name)
    # A rename's error names both: where to is what a person has named.
    for err in (OSError(code, "", place), OSError(code, "", "x.tmp", None, place)):
        result = _fail_with(err)
        assert result.exit_code == 2
        assert f"{tmp_path}/{message}" in result.stderr


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.EEXIST, "a folder where one is wanted", os.curdir),
        OSError(errno.ENOENT, "nobody knows what"),
        OSError(errno.EISDIR, "an open file", 3),
    ],
)
def test_what_nobody_can_mend_keeps_its_traceback(failure: OSError) -> None:
    result = _fail_with(failure)
    assert result.exit_code == 1
    assert result.exception is failure


def _fail_with(failure: Exception) -> Result:
    @click.command()
    @cli.tell_errors()
    def command() -> None:
        raise failure

    return CliRunner().invoke(command, [])


def test_an_interrupted_process_exits_with_130(data_set: DataSet) -> None:
    fifo = data_set.folder / "slow.csv"
    os.mkfifo(fifo)  # Reading it waits for ever: a long step to interrupt.
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "data", "check", str(data_set.toml)),
            *("--set", "data.interactions.path=slow.csv"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs are started deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    writer = _open_when_read(fifo)
    process.send_signal(signal.SIGINT)
    os.close(writer)  # A read in C++ answers the signal when it returns.
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "Interrupted.\n")


def _open_when_read(fifo: Path) -> int:
    for _ in range(600):
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # Nobody reads yet.
            time.sleep(0.1)
    raise TimeoutError(str(fifo))
