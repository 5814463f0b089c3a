"""Rolling back: all servables together, by label or out of sight, even if cut short."""

import datetime
import os
from pathlib import Path

import pytest

from data import files
from trainer.errors import ExportError
from trainer.export.labels import read_labels, write_labels
from trainer.export.publish import (
    SERVABLES,
    new_version,
    prune,
    publish,
    remove_version,
    versions,
    write_configs,
)
from trainer.retrain.champion import champion_version, check_format
from trainer.retrain.rollback import rollback


def version_with(form: int = 1) -> dict[str, object]:
    return {"format": form, "ops_beyond_stock": []}


def publish_all(models: Path, version: int, form: int = 1) -> None:
    def save(folder: str) -> None:
        files.write_json(files.join(folder, "manifest.json"), version_with(form))

    publish(str(models), version, dict.fromkeys(SERVABLES, save))
    write_configs(str(models))


def found(models: Path) -> dict[str, list[int]]:
    return {name: versions(str(models), name) for name in SERVABLES}


def all_have(numbers: list[int]) -> dict[str, list[int]]:
    return {name: numbers for name in SERVABLES}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for version in (1, 2, 3):
        publish_all(tmp_path / "models", version)
    return tmp_path / "models"


def test_the_newest_goes_out_of_sight_of_servers(models: Path) -> None:
    assert rollback(str(models)) == 2
    assert found(models) == all_have([1, 2])
    kept = models / "ranking" / ".3.withdrawn" / "manifest.json"
    assert kept.exists()  # Nothing is lost, and its name is no number.
    assert champion_version(str(models)) == 2
    assert rollback(str(models), 1) == 1
    assert found(models) == all_have([1])


def test_cut_short_it_ends_at_the_same_version(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, calls = os.rename, []

    def once(source: str, target: str) -> None:
        if calls:
            raise KeyboardInterrupt
        calls.append(source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", once)
    with pytest.raises(KeyboardInterrupt):
        rollback(str(models))
    monkeypatch.undo()
    assert sorted(map(len, found(models).values())) == [2, 3, 3]
    assert rollback(str(models)) == 2
    assert found(models) == all_have([1, 2])


def test_cut_short_and_overtaken_it_is_forgotten(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.retrain.rollback.withdraw", killed)
    with pytest.raises(KeyboardInterrupt):
        rollback(str(models), 1)
    monkeypatch.undo()
    publish_all(models, 4)  # By python -m trainer export, say.
    assert rollback(str(models)) == 3
    assert found(models) == all_have([1, 2, 3])


def test_labels_move_and_no_folder_does(models: Path) -> None:
    write_labels(str(models), {"stable": 3, "canary": 3})
    assert rollback(str(models)) == 2
    assert read_labels(str(models)) == {"canary": 2, "stable": 2}
    assert found(models) == all_have([1, 2, 3])
    config = (models / "models.config").read_text()
    assert config.count("versions: 2") == 3
    assert config.count('key: "stable"\n      value: 2') == 3
    assert "3" not in config.replace(str(models), "")


def test_a_newer_canary_is_withdrawn_first(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_all(models, 4)
    write_labels(str(models), {"stable": 2, "canary": 4})
    assert rollback(str(models)) == 2
    assert read_labels(str(models)) == {"canary": 2, "stable": 2}
    assert "serves again, not 4" in capsys.readouterr().out
    assert rollback(str(models)) == 1


@pytest.mark.parametrize(("to", "of"), [(1, 3), (2, 3), (3, 2), (4, 2)])
def test_a_canary_is_in_the_way_of_what_is_older(
    models: Path, to: int, of: int, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_all(models, 4)
    write_labels(str(models), {"stable": 2, "canary": 3})
    assert rollback(str(models), to) == to
    assert read_labels(str(models)) == {"canary": to, "stable": to}
    assert f"serves again, not {of}" in capsys.readouterr().out


def test_a_canary_s_stable_version_has_to_be_there(models: Path) -> None:
    write_labels(str(models), {"stable": 2, "canary": 3})
    remove_version(str(models), "ranking", 2)
    with pytest.raises(ExportError, match=r"no version 2 .* expected one of: 1, 3"):
        rollback(str(models))


def test_labels_that_moved_on_disk_alone_are_told_with_a_command(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rollback(str(models))
    assert "--server" not in capsys.readouterr().out
    write_labels(str(models), {"stable": 2, "canary": 2})
    rollback(str(models))
    told = capsys.readouterr().out
    assert "Running servers keep what they serve until they start again" in told
    command = f"rollback --models {models} --to 1 --keep-data --server HOST:PORT"
    assert f"python -m trainer {command}" in told


def test_a_labelled_version_is_never_pruned(models: Path) -> None:
    write_labels(str(models), {"stable": 1})
    publish_all(models, 4)
    prune(str(models), keep=1)
    assert found(models) == all_have([1, 4])


def test_what_is_not_there_is_named(models: Path) -> None:
    with pytest.raises(ExportError, match=r"no version 9 .* expected one of: 1, 2, 3"):
        rollback(str(models), 9)
    rollback(str(models), 1)
    with pytest.raises(ExportError, match="no version before 1"):
        rollback(str(models))


def test_what_a_newer_release_wrote_is_left_alone(models: Path) -> None:
    publish_all(models, 4, form=2)
    with pytest.raises(ExportError, match="a newer Tandem"):
        champion_version(str(models))
    with pytest.raises(ExportError, match="a newer Tandem"):
        check_format(str(models), 4)
    assert rollback(str(models)) == 3


def test_a_withdrawn_number_is_not_used_again(models: Path) -> None:
    publish_all(models, 30000101000000)
    rollback(str(models))
    now = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)
    assert new_version(str(models), now) == 30000101000001


def test_a_withdrawn_version_goes_with_those_of_its_age(models: Path) -> None:
    place = models / "ranking" / ".3.withdrawn"
    rollback(str(models))
    publish_all(models, 4)
    prune(str(models), 2)
    assert found(models) == all_have([2, 4])
    assert place.exists()  # It is newer than what is kept.
    publish_all(models, 5)
    prune(str(models), 2)
    assert found(models) == all_have([4, 5])
    assert not place.exists()
