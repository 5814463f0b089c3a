"""Labels move on a server once it serves the version, and on disk after that."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.support import snapshot
from tests.trainer.fake_server import NO_ROOM, FakeServer, listening
from tests.trainer.test_retrain_rollback import publish_all
from trainer.config import RetrainConfig
from trainer.errors import ExportError
from trainer.export.labels import FILE, read_labels, write_labels
from trainer.export.publish import SERVABLES
from trainer.retrain.publishing import check_server, release
from trainer.retrain.request import Request
from trainer.retrain.rollback import INTENT, rollback
from trainer.retrain.server import Server, root_of

OLD, NEW = 3, 4
Start = Callable[..., FakeServer]


class Clock:
    """Time that passes only where somebody waits."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.retrain.server.time", Clock())


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for version in (2, OLD):
        publish_all(tmp_path / "models", version)
    return tmp_path / "models"


@pytest.fixture
def start(models: Path) -> Iterator[Start]:
    """Return what starts a server of the folder, which it serves as it is then."""
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(listening(FakeServer(models, **how)))


@pytest.fixture
def labelled(models: Path, start: Start) -> Start:
    """Return what starts a server that serves the version that both labels name."""
    both = {"stable": OLD, "canary": OLD}
    write_labels(str(models), both)

    def started(**how: Any) -> FakeServer:
        fake = start(**how)
        fake.serve(OLD, **both)
        return fake

    return started


@pytest.fixture
def nobody() -> Iterator[str]:
    """Return an address that is taken, and where nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{one.getsockname()[1]}"


def released(
    fake: FakeServer, champion: int | None = OLD, label: Any = "stable"
) -> None:
    """Publish a new version, and give it to a server."""
    publish_all(fake.folder, NEW)
    config = RetrainConfig(label=label, wait_s=30)
    server = Server(fake.address, str(fake.folder), config.wait_s)
    release(server, str(fake.folder), NEW, champion, config)


def test_a_label_moves_once_all_have_the_version(
    models: Path, labelled: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = labelled(slow={"recommender": 2})
    released(fake)
    before, after = fake.told
    assert (before.labels, before.versions) == ({"stable": 3, "canary": 3}, [3, 4])
    assert (after.labels, after.versions) == ({"stable": 4, "canary": 4}, [4])
    # Nothing is moved on disk before it is on the server.
    assert before.on_disk == after.on_disk == before.labels
    assert read_labels(str(models)) == after.labels
    asked = list(SERVABLES)
    assert fake.calls == [*asked, *asked, before, *(3 * asked), after]
    assert f"{fake.address}: canary is 4, stable is 4" in capsys.readouterr().out


def test_a_canary_leaves_stable_where_it_is(models: Path, labelled: Start) -> None:
    fake = labelled()
    released(fake, label="canary")
    assert fake.labels == read_labels(str(models)) == {"stable": 3, "canary": 4}
    assert fake.told[-1].versions == [3, 4]


@pytest.mark.parametrize(
    ("label", "champion", "stable"),
    [("canary", OLD, OLD), ("canary", None, NEW), ("stable", OLD, NEW)],
)
def test_the_first_labels(
    models: Path, start: Start, label: str, champion: int | None, stable: int
) -> None:
    fake = start()
    released(fake, champion, label)
    assert fake.told[0].labels == {}
    assert fake.labels == read_labels(str(models)) == {"stable": stable, "canary": NEW}


def test_a_version_that_never_comes(models: Path, labelled: Start) -> None:
    fake = labelled(slow={"ranking": 10**9, "recommender": 10**9})
    before = (models / FILE).read_bytes()
    expected = (
        r"version 4 of ranking, recommender is not AVAILABLE after 30 s "
        r"\(\[retrain\] wait_s\)\. No label was moved"
    )
    with pytest.raises(ExportError, match=expected):
        released(fake)
    assert fake.labels == fake.told[-1].labels == {"stable": 3, "canary": 3}
    assert fake.told[-1].versions == [3]
    assert (models / FILE).read_bytes() == before


def test_a_version_that_never_comes_where_no_labels_are(
    models: Path, start: Start
) -> None:
    fake = start(slow={"retrieval": 10**9})
    with pytest.raises(ExportError, match="version 4 of retrieval is not AVAILABLE"):
        released(fake)
    assert (fake.told[-1].labels, fake.told[-1].versions) == ({}, [])
    assert not (models / FILE).exists()


@pytest.mark.parametrize("in_answer", [False, True])
@pytest.mark.parametrize("number", [0, 1])
def test_a_refused_configuration(
    models: Path, labelled: Start, number: int, in_answer: bool
) -> None:
    fake = labelled(refuses=(number,), in_answer=in_answer)
    before = (models / FILE).read_bytes()
    expected = f"refused the configuration: {NO_ROOM}. The labels are as they were"
    with pytest.raises(ExportError, match=expected):
        released(fake)
    assert fake.labels == {"stable": 3, "canary": 3}
    assert list(fake.loaded["ranking"]) == [3]
    assert (models / FILE).read_bytes() == before


def test_where_nothing_listens_it_says_what_to_do(nobody: str) -> None:
    expected = rf"{nobody}: UNAVAILABLE: .*Start it \(make serve\), or leave --server"
    with pytest.raises(ExportError, match=expected):
        Server(nobody, "/models", 1.0)


def test_a_server_of_other_models(start: Start) -> None:
    fake = start(names=())
    expected = "serves none of retrieval, ranking, recommender, .*Name another one"
    with pytest.raises(ExportError, match=expected):
        released(fake)
    assert not fake.told


def asked_for(address: str, models: Path) -> Request:
    """Return what is asked of a job, as far as its server goes."""
    config: Any = SimpleNamespace(retrain=RetrainConfig())
    return Request(config=config, toml=Path(), out=str(models.parent), server=address)


def test_a_job_asks_its_server_first(models: Path, start: Start, nobody: str) -> None:
    check_server(asked_for("", models))
    check_server(asked_for((fake := start()).address, models))
    assert not fake.told
    with pytest.raises(ExportError, match="UNAVAILABLE"):
        check_server(asked_for(nobody, models))
    # Publishing would be refused there too, the first version as any.
    with pytest.raises(ExportError, match="serves none of"):
        check_server(asked_for(start(names=()).address, models))


def test_a_server_keeps_to_the_servables_that_it_has(labelled: Start) -> None:
    fake = labelled(names=("retrieval", "ranking"))
    released(fake)
    assert list(fake.base_paths) == ["retrieval", "ranking"]
    assert fake.labels["stable"] == NEW


def test_a_server_is_told_the_folder_as_it_sees_it(
    models: Path, labelled: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = labelled()
    monkeypatch.chdir(models.parent)
    root = RetrainConfig(server_root="/srv")
    rollback("models", server=fake.address, config=root)
    assert fake.base_paths == {name: f"/srv/{name}" for name in SERVABLES}
    rollback("models", OLD, server=fake.address)
    assert fake.base_paths == {name: str(models / name) for name in SERVABLES}
    assert root_of("gs://bucket/models", "") == "gs://bucket/models"
    assert root_of("models", "") == os.path.abspath("models")


def test_a_rollback_moves_labels_on_the_server_first(
    models: Path, labelled: Start
) -> None:
    fake = labelled()
    assert rollback(str(models), server=fake.address) == 2
    old, new = {"stable": 3, "canary": 3}, {"stable": 2, "canary": 2}
    assert [one.labels for one in fake.told] == [old, new]
    assert [one.on_disk for one in fake.told] == [old, old]
    assert fake.labels == read_labels(str(models)) == new


@pytest.mark.parametrize("number", [0, 1])
def test_a_refused_rollback_leaves_everything(
    models: Path, labelled: Start, number: int
) -> None:
    fake = labelled(refuses=(number,))
    before = snapshot(models)
    with pytest.raises(ExportError, match=NO_ROOM):
        rollback(str(models), server=fake.address)
    assert snapshot(models) == before  # That it was begun is forgotten too.
    assert fake.labels == {"stable": 3, "canary": 3}


def test_a_rollback_that_was_begun_outlives_a_refusal(
    models: Path, labelled: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trainer.retrain.rollback.write_labels", killed)
        with pytest.raises(KeyboardInterrupt):
            rollback(str(models))
    begun = (models / INTENT).read_bytes()
    with pytest.raises(ExportError, match=NO_ROOM):
        rollback(str(models), server=labelled(refuses=(1,)).address)
    assert (models / INTENT).read_bytes() == begun


def test_a_server_that_missed_a_rollback_is_told_of_it_later(
    models: Path, labelled: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = labelled()
    rollback(str(models))
    assert not fake.calls
    rollback(str(models), 2, server=fake.address)
    # A label on a version that is not loaded would have been refused.
    before, after = fake.told
    assert (before.labels, before.versions) == ({"stable": 3, "canary": 3}, [2, 3])
    assert after.labels == fake.labels == {"stable": 2, "canary": 2}
    assert capsys.readouterr().out.count("Running servers keep") == 1


def test_a_canary_that_missed_a_rollback_is_not_promoted(
    models: Path, start: Start
) -> None:
    publish_all(models, 1)
    fake = start()
    fake.serve(2, OLD, stable=2, canary=OLD)
    write_labels(str(models), {"stable": 1, "canary": 1})
    rollback(str(models), 1, server=fake.address)
    assert [one.labels["stable"] for one in fake.told] == [2, 1]


def test_a_server_that_missed_one_stays_as_it_was_where_the_version_never_comes(
    models: Path, labelled: Start
) -> None:
    fake = labelled(slow={"ranking": 10**9})
    rollback(str(models))
    with pytest.raises(ExportError, match="version 2 of ranking"):
        rollback(str(models), 2, server=fake.address, config=RetrainConfig(wait_s=30))
    assert fake.labels == {"stable": 3, "canary": 3}


def test_a_server_that_has_loaded_nothing_has_no_labels(
    models: Path, labelled: Start
) -> None:
    fake = labelled()
    fake.loaded["ranking"] = {OLD: 10}
    rollback(str(models), server=fake.address)
    assert [one.labels for one in fake.told] == [{}, {"stable": 2, "canary": 2}]


def test_without_labels_a_server_is_asked_and_not_told(
    models: Path, start: Start, nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake, before = start(), snapshot(models)
    with pytest.raises(ExportError, match="UNAVAILABLE"):
        rollback(str(models), server=nobody)
    with pytest.raises(ExportError, match="serves none of"):
        rollback(str(models), server=start(names=()).address)
    assert snapshot(models) == before
    assert rollback(str(models), server=fake.address) == 2
    assert fake.calls == list(SERVABLES)
    told = capsys.readouterr().out
    assert f"{fake.address}: no label to move" in told
    assert "a server that polls goes back by itself" in told


def test_a_rollback_that_was_begun_outlives_a_server_that_is_away(
    models: Path, nobody: str
) -> None:
    begun = models / INTENT
    begun.write_text(json.dumps({"of": 3, "to": 2, "data": {}}))
    with pytest.raises(ExportError, match="UNAVAILABLE"):
        rollback(str(models), server=nobody)
    assert begun.exists()
