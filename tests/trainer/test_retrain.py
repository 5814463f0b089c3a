"""The job's driver from end to end, on planted data, with stand-ins for the models.

Ingesting, validating, preparing, the gate, publishing and rolling back are the real
ones. tests/integration/test_retrain.py runs the job with its models.
"""

import json
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.retrain.slices import Sliced
from benchmarks.retrain.tiny import tiny
from tests.integration.support import run_trainer, snapshot
from tests.trainer.fake_server import FakeServer, listening
from tests.trainer.retraining import QUALITY, fit, stand_ins
from trainer.errors import GateRefused
from trainer.export.labels import read_labels, write_labels
from trainer.export.publish import SERVABLES, versions, write_configs
from trainer.retrain.rollback import rollback


@dataclass(frozen=True)
class Retrained:
    """An experiment's folder, and the files that come one after another."""

    data: Sliced
    out: Path

    def run(self, *new: object, words: tuple[object, ...] = ()) -> int:
        files = [word for one in new for word in ("--new", one)]
        return run_trainer("retrain", self.data.toml, "--out", self.out, *files, *words)

    def rollback(self, *words: object) -> int:
        return run_trainer("rollback", "--models", self.models, *words)

    @property
    def models(self) -> Path:
        return self.out / "models"

    @property
    def versions(self) -> list[int]:
        found = [versions(str(self.models), name) for name in SERVABLES]
        assert found[0] == found[1] == found[2]
        return found[0]

    def record(self, version: int) -> dict[str, Any]:
        place = self.models / "ranking" / str(version) / "manifest.json"
        found: dict[str, Any] = json.loads(place.read_text())["retrain"]
        return found

    @property
    def current(self) -> str | None:
        place = self.out / "retrain" / "dataset" / "current.json"
        return json.loads(place.read_text())["fingerprint"] if place.exists() else None

    @property
    def jobs(self) -> list[Path]:
        found = (self.out / "retrain" / "jobs").glob("*")
        return sorted(found, key=lambda p: (p / "job.json").stat().st_mtime_ns)

    @cached_property
    def before(self) -> dict[str, tuple[int, str]]:
        """Return what serves when it is first asked for."""
        return snapshot(self.models)


@pytest.fixture(scope="module", autouse=True)
def stood_in() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, module in stand_ins().items():
            patch.setitem(sys.modules, name, module)
        patch.setattr("trainer.experiment.Experiment.fitted", property(fit))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Sliced:
    return tiny(tmp_path_factory.mktemp("tiny"), slices=3)


@pytest.fixture(scope="module")
def first(data: Sliced, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    """Run a job where nothing serves yet."""
    job = Retrained(data, tmp_path_factory.mktemp("first") / "out")
    assert job.run(data.slices[0]) == 0
    return job


@pytest.fixture(scope="module")
def second(first: Retrained, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    """Run a second job in a copy of the first one's folder."""
    job = replace(first, out=tmp_path_factory.mktemp("second") / "out")
    shutil.copytree(first.out, job.out)
    assert job.run(job.data.slices[1]) == 0
    return job


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Retrained], Retrained]:
    def copied(job: Retrained) -> Retrained:
        found = replace(job, out=tmp_path / "out")
        shutil.copytree(job.out, found.out)
        _ = found.before
        return found

    return copied


def test_without_a_champion_the_floors_decide(first: Retrained) -> None:
    (version,) = first.versions
    record = first.record(version)
    assert record["champion"] is None
    assert "No champion yet" in record["decision"]["reason"]
    names = {check["name"] for check in record["decision"]["checks"]}
    assert {"users", "floor"} <= names
    assert not {"margin", "reference"} & names
    reference = json.loads((first.out / "retrain" / "reference.json").read_text())
    assert reference["version"] == version


def test_the_next_slice_is_published_beside(
    first: Retrained, second: Retrained
) -> None:
    old, new = second.versions
    assert [old] == first.versions
    record = second.record(new)
    assert record["champion"] == old
    assert record["decision"]["verdict"] == "passed"
    assert record["decision"]["standing"] == 1.0
    assert second.current == record["dataset"] != first.current
    job = second.jobs[-1]
    decided = json.loads((job / "gate" / "decision.json").read_text())
    assert decided["reason"] == record["decision"]["reason"]
    told = [json.loads(p.read_text()) for p in second.out.glob("runs/*/decision.json")]
    assert job.name in {one["job"] for one in told}
    counts = json.loads((job / "ingest" / "manifest.json").read_text())["counts"]
    assert counts["new"] == len(pd.read_parquet(second.data.slices[1]))
    report = json.loads((job / "report.json").read_text())
    assert [one["step"] for one in report["steps"]][-1] == "publish"
    assert report["version"] == new


def test_the_same_again_does_nothing(
    second: Retrained, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(second.out)
    assert second.run(second.data.slices[1]) == 0
    assert second.run() == 0
    told = capsys.readouterr().out
    assert told.count("No new data") == 2
    assert "1 file ingested before" in told
    after = snapshot(second.out)
    for lock in (".lock", "retrain/dataset/.lock"):
        del before[lock], after[lock]
    assert after == before


@pytest.mark.parametrize("content", [b"", b"user_id,item_id,rating,timestamp,device\n"])
def test_no_events_are_no_error(
    first: Retrained, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(first.models)
    (empty := tmp_path / "new.csv").write_bytes(content)
    assert first.run(empty) == 0
    assert "No new data: there is no row" in capsys.readouterr().out
    assert snapshot(first.models) == before
    assert len(first.jobs) == 1


def poisoned(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    if kind == "shuffled items":
        items = frame["item_id"].sample(frac=1, random_state=1).to_numpy()
        return frame.assign(item_id=items)
    if kind == "an emptied column":
        return frame.assign(rating=None)
    return frame.assign(item_id=[f"urn:{i:06d}" for i in range(len(frame))])


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("shuffled items", "users with their items"),
        ("an emptied column", "rating"),
        ("ids in another format", "item_id"),
    ],
)
def test_poisoned_data_are_refused_in_a_sentence(
    first: Retrained,
    copy: Callable[[Retrained], Retrained],
    tmp_path: Path,
    kind: str,
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job, new = copy(first), tmp_path / "new.parquet"
    poisoned(pd.read_parquet(job.data.slices[1]), kind).to_parquet(new, index=False)
    assert job.run(new) == 3
    (said,) = [s for s in capsys.readouterr().err.splitlines() if "Refused: " in s]
    assert why in said
    assert "Nothing was published" in said
    assert snapshot(job.models) == job.before
    assert job.current == first.current
    # In a pipeline that is a verdict and no failure; nothing is done twice.
    result = job.out / "result.json"
    words = ("--step", "validate", "--result", result, "--in-pipeline")
    assert job.run(new, words=words) == 0
    assert snapshot(job.models) == job.before
    # The next day's file is taken as if the bad one had never been.
    assert job.run(job.data.slices[1]) == 0
    assert len(job.versions) == 2


def test_a_worse_candidate_is_refused(
    first: Retrained,
    copy: Callable[[Retrained], Retrained],
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = copy(first)
    (job.out / QUALITY).write_text("0.001")
    assert job.run(job.data.slices[1]) == 3
    assert "below the champion's" in capsys.readouterr().err
    assert snapshot(job.models) == job.before
    # Again it is refused, at once; beside later files it may be tried again.
    assert job.run(job.data.slices[1]) == 3
    assert len(job.jobs) == 2
    (job.out / QUALITY).write_text("0.2")
    assert job.run(*job.data.slices[1:]) == 0
    assert len(job.versions) == 2


def test_no_step_follows_a_refusal(
    first: Retrained,
    copy: Callable[[Retrained], Retrained],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    job, result = copy(first), tmp_path / "result.json"
    (job.out / QUALITY).write_text("0.001")
    assert job.run(job.data.slices[1]) == 3
    name = job.jobs[-1].name
    for more in ((), ("--job", name)):
        words = ("--step", "publish", "--result", result, *more)
        assert job.run(job.data.slices[1], words=words) == 3
        assert "below the champion's" in capsys.readouterr().err
        assert json.loads(result.read_text())["verdict"] == "refused"
        assert job.run(job.data.slices[1], words=(*words, "--in-pipeline")) == 0
    assert snapshot(job.models) == job.before


def test_a_step_before_those_that_it_needs(
    first: Retrained, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--step", "publish", "--job", "nonsense")
    assert first.run(first.data.slices[1], words=words) == 2
    assert "its first step: --step ingest" in capsys.readouterr().err


def test_a_refit_that_the_recall_gate_stops_is_a_verdict(
    first: Retrained,
    copy: Callable[[Retrained], Retrained],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    job, result = copy(first), tmp_path / "result.json"
    new = job.data.slices[1]
    for step in ("ingest", "validate", "prepare", "train", "evaluate", "gate"):
        assert job.run(new, words=("--step", step)) == 0

    def refit_and_export(*_: object, **__: object) -> int:
        raise GateRefused("Recall is 0.5, below the floor.")

    deliver = sys.modules["trainer.stages.deliver"]
    monkeypatch.setattr(deliver, "refit_and_export", refit_and_export)
    words = ("--step", "publish", "--result", result)
    assert job.run(new, words=words) == 3
    assert job.run(new, words=(*words, "--in-pipeline")) == 0
    told = json.loads(result.read_text())
    assert (told["verdict"], told["version"]) == ("refused", "")
    assert "below the floor" in told["reason"]
    assert job.run(new, words=("--in-pipeline",)) == 0
    assert snapshot(job.models) == job.before


def test_a_pipeline_that_another_one_has_overtaken(
    first: Retrained,
    copy: Callable[[Retrained], Retrained],
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = copy(first)
    slow, fast = job.data.slices[1:]
    assert job.run(slow, words=("--step", "ingest")) == 0
    name = job.jobs[-1].name
    assert job.run(fast) == 0
    capsys.readouterr()
    before = snapshot(job.models)
    for step in ("validate", "publish"):
        assert job.run(slow, words=("--step", step, "--job", name)) == 4
        told = capsys.readouterr().err
        assert job.jobs[-1].name in told
        assert str(job.versions[-1]) in told
    assert snapshot(job.models) == before
    assert job.run(slow) == 0  # Begun anew, beside what serves now.


def test_a_replay_cut_short_is_ended_in_its_own_data_set(
    first: Retrained, copy: Callable[[Retrained], Retrained]
) -> None:
    job = copy(first)
    words = ("retrain", job.data.toml, "--out", job.out, "--replay")
    assert run_trainer(*words, "--set", "retrain.replay_weeks=0.1") == 0
    replayed, before = job.jobs[-1], job.current
    shutil.rmtree(replayed / "publish")  # As if killed before it was through.
    assert job.run(job.data.slices[1]) == 0
    assert (replayed / "publish" / "manifest.json").exists()
    assert job.current != before
    states = json.loads((job.out / "retrain/dataset/current.json").read_text())
    assert (job.out / "retrain" / "dataset" / states["fingerprint"]).exists()


def test_a_rollback_cut_short_is_ended_before_the_next_job(
    second: Retrained,
    copy: Callable[[Retrained], Retrained],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = copy(second)
    old, new = job.versions

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trainer.retrain.rollback.withdraw", killed)
        with pytest.raises(KeyboardInterrupt):
            rollback(str(job.models))
    assert job.versions == [old, new]
    assert job.run(job.data.slices[2]) == 0
    assert job.versions[0] == old
    assert new not in job.versions
    assert job.record(job.versions[-1])["champion"] == old
    # What was begun then is over.
    assert job.rollback() == 0
    assert job.versions == [old]


def test_a_clock_that_went_back_lowers_no_version(
    first: Retrained, copy: Callable[[Retrained], Retrained]
) -> None:
    job, far = copy(first), 30000101000000
    for place in job.models.glob("*/[0-9]*"):
        place.rename(place.with_name(str(far)))
    write_configs(str(job.models))
    assert job.run(job.data.slices[1]) == 0
    assert job.versions == [far, far + 1]


def test_a_second_job_at_once_is_told_who_works(
    first: Retrained, capsys: pytest.CaptureFixture[str]
) -> None:
    from data.locks import locked

    with locked(str(first.out)):
        assert first.run(first.data.slices[1]) == 4
        assert first.rollback() == 4
    assert capsys.readouterr().err.count(f"process {os.getpid()} on") == 2


def test_what_a_newer_release_serves_is_left_alone(
    first: Retrained,
    copy: Callable[[Retrained], Retrained],
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = copy(first)
    place = job.models / "ranking" / str(job.versions[0]) / "manifest.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "format": 2}))
    before = snapshot(job.models)
    assert job.run(job.data.slices[1]) == 2
    assert "a newer Tandem" in capsys.readouterr().err
    assert snapshot(job.models) == before


def test_a_rollback_takes_the_data_set_back(
    second: Retrained,
    copy: Callable[[Retrained], Retrained],
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = copy(second)
    old, _ = job.versions
    assert job.rollback() == 0
    assert job.versions == [old]
    assert job.current == job.record(old)["dataset"]
    assert "until their files are named again" in capsys.readouterr().out
    # A schedule that names the same file again does not bring the version back.
    assert job.run(job.data.slices[1]) == 0
    assert "rolled back since" in capsys.readouterr().out
    assert job.versions == [old]
    # Named beside a later one its rows are new again.
    assert job.run(*job.data.slices[1:]) == 0
    counts = json.loads((job.jobs[-1] / "ingest" / "manifest.json").read_text())
    both = sum(len(pd.read_parquet(p)) for p in job.data.slices[1:])
    assert counts["counts"]["new"] == both


@pytest.mark.parametrize("start", ["scratch", "warm"])
def test_the_last_weeks_are_replayed_beside_what_serves(
    first: Retrained, copy: Callable[[Retrained], Retrained], start: str
) -> None:
    job = copy(first)
    (old,) = job.versions
    settings = ("--set", "retrain.replay_weeks=0.1", "--set", f"retrain.start={start}")
    words = ("retrain", job.data.toml, "--out", job.out, "--replay", *settings)
    assert run_trainer(*words) == 0
    assert job.versions[0] == old
    assert len(job.versions) == 2


class Unreachable:
    """A store whose network is down, with errors as TensorFlow's."""

    class UnavailableError(Exception):
        error_code = 14

    def __getattr__(self, name: str) -> Callable[..., None]:
        def fail(*_: object, **__: object) -> None:
            raise self.UnavailableError("could not resolve host")

        return fail


@pytest.mark.parametrize("where", ["out", "new"])
def test_an_unreachable_bucket_is_a_mistake_to_mend(
    first: Retrained,
    copy: Callable[[Retrained], Retrained],
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = copy(first)
    monkeypatch.setattr("data.files._gfile", lambda: Unreachable())
    out, new = str(job.out), str(job.data.slices[1])
    given = {"out": "gs://nobody/out", "new": "gs://nobody/new.parquet"}[where]
    if where == "out":
        out = given
    else:
        new = given
    words = ("retrain", job.data.toml, "--out", out, "--new", new)
    assert run_trainer(*words) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "cannot be reached (could not resolve host)" in told
    assert "Traceback" not in told
    assert snapshot(job.models) == job.before


def test_a_server_that_is_not_there_is_told_before_the_work(
    first: Retrained,
    copy: Callable[[Retrained], Retrained],
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = copy(first)
    with socket.socket() as nobody:  # Bound, so that nobody else listens there.
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        assert job.run(job.data.slices[1], words=("--server", address)) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"{address}: UNAVAILABLE" in told
    assert "Start it (make serve), or leave --server out" in told
    assert len(job.jobs) == 1
    assert snapshot(job.models) == job.before


def test_what_no_label_names_is_told_with_the_command_that_moves_them(
    first: Retrained,
    copy: Callable[[Retrained], Retrained],
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = copy(first)
    both = dict.fromkeys(("stable", "canary"), job.versions[0])
    write_labels(str(job.models), both)
    with listening(FakeServer(job.models)) as fake:
        fake.serve(job.versions[0], **both)
        assert job.run(job.data.slices[1]) == 0
        old, new = job.versions
        told = capsys.readouterr().out
        assert f"stable is {old}, so that no server takes version {new}" in told
        (line,) = (one for one in told.splitlines() if "python -m trainer" in one)
        words = shlex.split(line.partition("python -m trainer ")[2])
        grown = job.current
        # What is printed is what works, and leaves the data set as it has grown.
        assert run_trainer(*words[:-1], fake.address) == 0
        assert fake.labels == dict.fromkeys(both, new)
    assert job.current == grown != first.current
    assert words[-2:] == ["--server", "HOST:PORT"]


def test_a_withdrawn_canary_takes_its_data_along(
    second: Retrained, copy: Callable[[Retrained], Retrained]
) -> None:
    job = copy(second)
    old, new = job.versions
    write_labels(str(job.models), {"stable": old, "canary": new})
    assert job.rollback() == 0
    assert read_labels(str(job.models)) == {"stable": old, "canary": old}
    assert job.current == job.record(old)["dataset"] != second.current


def test_a_rollback_by_label_and_forward_again(
    second: Retrained, copy: Callable[[Retrained], Retrained]
) -> None:
    job = copy(second)
    old, new = job.versions
    write_labels(str(job.models), {"stable": new, "canary": new})
    assert job.rollback() == 0
    assert job.current == job.record(old)["dataset"]
    assert job.rollback("--to", new) == 0
    assert job.current == job.record(new)["dataset"]
    assert job.versions == [old, new]


def test_a_rollback_may_leave_the_data(
    second: Retrained, copy: Callable[[Retrained], Retrained]
) -> None:
    job = copy(second)
    assert job.rollback("--keep-data") == 0
    assert job.current == second.current
    assert job.run(job.data.slices[2]) == 0
    assert len(job.versions) == 2


def test_the_champion_outlives_its_first_label(
    first: Retrained, copy: Callable[[Retrained], Retrained]
) -> None:
    job = copy(first)
    (champion,) = job.versions
    words = ("--set", "export.keep_versions=1", "--set", "retrain.label=canary")
    with listening(FakeServer(job.models)) as fake:
        server = ("--server", fake.address)
        assert job.run(job.data.slices[1], words=(*words, *server)) == 0
    old, new = job.versions
    assert old == champion
    assert read_labels(str(job.models)) == {"canary": new, "stable": champion}


def test_what_no_version_needs_is_removed(
    second: Retrained, copy: Callable[[Retrained], Retrained]
) -> None:
    job = copy(second)
    keep = ("--set", "export.keep_versions=1")
    (job.jobs[0] / ".train.0.tmp").mkdir()
    (job.models / "ranking" / ".20200101000000.tmp").mkdir()
    assert job.run(job.data.slices[2], words=keep) == 0
    kept = [(one / "prepare" / "data").exists() for one in job.jobs]
    assert kept == [False, False, True]
    assert all((one / "publish" / "manifest.json").exists() for one in job.jobs)
    states = {
        p.name for p in (job.out / "retrain" / "dataset").glob("[0-9a-f]*[0-9a-f]")
    }
    assert states - {"current.json"} == {second.current, job.current}
    assert not list(job.out.rglob("*.tmp"))
