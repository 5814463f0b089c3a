"""Files and folders are whole or absent, whatever happens while they are written."""

import errno
import os
from pathlib import Path

import pytest

from data import files

FAILURES = (OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError("bug"))


@pytest.mark.parametrize("failure", FAILURES, ids=["full disk", "interrupt", "bug"])
@pytest.mark.parametrize("standing", [True, False])
def test_a_failed_folder_leaves_what_stood_there(
    tmp_path: Path, failure: BaseException, standing: bool
) -> None:
    place = tmp_path / "place"
    if standing:
        place.mkdir()
        (place / "old").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(type(failure)):
        _fill_and_fail(place, failure)
    assert sorted(tmp_path.rglob("*")) == before


def _fill_and_fail(place: Path, failure: BaseException) -> None:
    with files.new_folder(place) as beside:
        Path(beside, "new").write_text("half")
        raise failure


def test_a_new_folder_replaces_the_old_one(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "place"
    for name in ("first", "second"):
        with files.new_folder(place) as beside:
            Path(beside, name).touch()
            assert not (place / name).exists()
        assert [p.name for p in place.iterdir()] == [name]
    assert [p.name for p in place.parent.iterdir()] == ["place"]


def test_a_failed_rename_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "old").touch()
    rename = Path.rename

    def fail_of_new(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_of_new)
    with pytest.raises(KeyboardInterrupt), files.new_folder(place):
        pass
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == [
        "place",
        "place/old",
    ]


@pytest.mark.parametrize("failure", FAILURES, ids=["full disk", "interrupt", "bug"])
def test_a_failed_text_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"old": "é"})

    def fail(_: int) -> None:
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(failure)):
        files.write_json(path, {"new": 1})
    assert files.read_json(path) == {"old": "é"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_with_its_place(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with pytest.raises(OSError, match="place") as caught:
        _fill_and_fail(place, OSError(errno.ENOSPC, "No space left on device"))
    assert caught.value.filename == str(place)


def test_fingerprints_change_with_any_value() -> None:
    first = files.fingerprint(1, {"a": [1, "é"], "b": None})
    assert first == files.fingerprint(1, {"b": None, "a": [1, "é"]})
    others = ((2, {"a": [1, "é"], "b": None}), (1, {"a": ["é", 1], "b": None}))
    assert first not in {files.fingerprint(*values) for values in others}


def test_joining_and_listing(tmp_path: Path) -> None:
    assert files.join("gs://bucket/folder/", "a", "b") == "gs://bucket/folder/a/b"
    assert files.is_remote("gs://bucket")
    assert not files.is_remote("/plain")
    (tmp_path / "b").mkdir()
    (tmp_path / "a").touch()
    assert files.listdir(tmp_path) == ["a", "b"]
    assert files.listdir(tmp_path / "absent") == []


@pytest.mark.parametrize(
    "place", ["gs://bucket/my.toml", "s3://b/c", "/gs:/b", "a/b.toml", "c:/b", "."]
)
def test_a_path_is_told_as_it_was_written(place: str) -> None:
    assert files.as_written(Path(place)) == place
