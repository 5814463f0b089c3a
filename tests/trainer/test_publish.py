"""Versions rise, come whole or not at all, and the oldest go."""

import datetime
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from data import files
from trainer.errors import ExportError
from trainer.export.publish import (
    new_version,
    prune,
    publish,
    servables,
    versions,
    write_configs,
)

NAMES = ("ranking", "recommender", "retrieval")
NOON = datetime.datetime(2026, 5, 1, 12, 0, 0, tzinfo=datetime.UTC)


def saver(
    ops: list[str] | None = None, error: BaseException | None = None
) -> Callable[[str], None]:
    """Make a function that fills a folder as an export does, or fails halfway."""

    def save(folder: str) -> None:
        files.make_folder(folder)
        files.write_text(files.join(folder, "saved_model.pb"), "graph")
        if error is not None:
            raise error
        manifest = {"ops_beyond_stock": ops or []}
        files.write_json(files.join(folder, "manifest.json"), manifest)

    return save


def publish_all(models: Path, version: int) -> None:
    ops = {"retrieval": ["Scann>ScannSearchBatched"]}
    publish(str(models), version, {name: saver(ops.get(name)) for name in NAMES})


def test_a_version_is_the_time(tmp_path: Path) -> None:
    assert new_version(str(tmp_path), NOON) == 20260501120000
    now = datetime.datetime.now(datetime.UTC)
    assert abs(new_version(str(tmp_path)) - int(now.strftime("%Y%m%d%H%M%S"))) < 100


def test_versions_rise_when_the_clock_goes_back(tmp_path: Path) -> None:
    models = str(tmp_path)
    found = []
    for hours in (0, -1, 0, 1, -24):
        version = new_version(models, NOON + datetime.timedelta(hours=hours))
        publish_all(tmp_path, version)
        found.append(version)
    assert found == sorted(set(found))
    assert found[1] == found[0] + 1
    assert all(versions(models, name) == found for name in NAMES)


def test_files_beside_the_servables_are_none(tmp_path: Path) -> None:
    publish_all(tmp_path, 7)
    write_configs(str(tmp_path))
    (tmp_path / "notes").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "ranking" / "later").mkdir()
    assert servables(str(tmp_path)) == list(NAMES)
    assert new_version(str(tmp_path), NOON) == 20260501120000
    assert versions(str(tmp_path), "ranking") == [7]
    write_configs(str(tmp_path))


@pytest.mark.parametrize("error", [ValueError("full"), KeyboardInterrupt()])
def test_half_an_export_is_not_seen(tmp_path: Path, error: BaseException) -> None:
    publish_all(tmp_path, 1)
    savers = {"ranking": saver(), "recommender": saver(error=error)}
    with pytest.raises(type(error)):
        publish(str(tmp_path), 2, savers)
    for name in NAMES:
        assert os.listdir(tmp_path / name) == ["1"]


def test_the_first_export_that_fails_leaves_no_servable(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        publish(str(tmp_path), 2, {"ranking": saver(error=KeyboardInterrupt())})
    assert servables(str(tmp_path)) == []


def test_nothing_is_visible_before_all_are_complete(tmp_path: Path) -> None:
    def look(folder: str) -> None:
        assert not list(tmp_path.glob("*/[0-9]*"))
        saver()(folder)

    publish(str(tmp_path), 3, dict.fromkeys(NAMES, look))
    assert len(list(tmp_path.glob("*/3/manifest.json"))) == 3


def test_a_version_is_never_replaced(tmp_path: Path) -> None:
    publish_all(tmp_path, 1)
    with pytest.raises(ExportError, match=r"/1: the version is there already"):
        publish(str(tmp_path), 1, {"ranking": saver()})


def test_what_an_earlier_failure_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "ranking" / ".5.tmp"
    left.mkdir(parents=True)
    (left / "old").touch()
    publish_all(tmp_path, 5)
    assert not (tmp_path / "ranking" / "5" / "old").exists()
    assert os.listdir(tmp_path / "ranking") == ["5"]


def test_the_newest_versions_are_kept(tmp_path: Path) -> None:
    for version in (9, 10, 100, 11):
        publish_all(tmp_path, version)
    prune(str(tmp_path), 2)
    assert all(versions(str(tmp_path), name) == [11, 100] for name in NAMES)
    prune(str(tmp_path), 5)
    assert all(versions(str(tmp_path), name) == [11, 100] for name in NAMES)


def test_configs_part_those_that_need_scann(tmp_path: Path) -> None:
    publish_all(tmp_path, 1)
    write_configs(os.path.relpath(tmp_path))
    stock = (tmp_path / "models.config").read_text()
    everything = (tmp_path / "models.scann.config").read_text()
    for name in NAMES:
        line = f'base_path: "{tmp_path / name}"'  # Absolute: servers refuse others.
        assert line in everything
        assert (line in stock) == (name != "retrieval")
