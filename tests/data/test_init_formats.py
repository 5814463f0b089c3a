"""How a table is written is found out from its bytes, whatever its name is."""

import csv
import gzip
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.errors import ConfigError
from data.init import raw
from data.init.encodings import find_encoding
from data.init.formats import find_layout
from data.init.raw import read_raw
from data.init.samples import Sample, read_sample

HEADER = ("user", "item", "title")
ROWS = [(f"u{i % 7}", f"{i % 11:03d}", f"Café {i}") for i in range(60)]


def _text(separator: str, header: tuple[str, ...] = HEADER) -> str:
    rows = [header, *ROWS] if header else ROWS
    return "".join(separator.join(row) + "\n" for row in rows)


def _sample(path: Path, content: bytes | str) -> Sample:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_sample(str(path))


def _cells(sample: Sample, place: int) -> list[str | None]:
    cells: list[str | None] = sample.columns[place].to_pylist()
    return cells


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "::", "\x01", " ", ", "])
@pytest.mark.parametrize("has_header", [True, False])
def test_separators_and_headers(
    tmp_path: Path, separator: str, has_header: bool
) -> None:
    rows = _text(separator, HEADER if has_header else ()).replace("Café ", "Café")
    sample = _sample(tmp_path / "t.dat", rows)
    assert sample.layout.separator == separator
    assert sample.layout.header == (HEADER if has_header else None)
    assert _cells(sample, 1)[:3] == ["000", "001", "002"]
    assert sample.num_rows == len(ROWS)


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("latin-1", "latin-1"),
        ("cp1252", "latin-1"),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, found: str) -> None:
    sample = _sample(tmp_path / "t.csv", _text(",").encode(encoding))
    assert sample.layout.encoding == found
    assert _cells(sample, 2)[0] == "Café 0"


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        ("Amélie \u2013 L\u2019été, Où est la main, À bout de souffle", "cp1252"),
        ("Über den Wolken, Größe, schön, Fräulein Müller, Köln", "latin-1"),
        ("¿Qué he hecho yo?, El niño, La mañana, Años después", "latin-1"),
        ("Człowiek z żelaza, Nóż w wodzie, Popiół i diament, Pociąg, Miłość", "cp1250"),
        ("Москва слезам не верит, Сталкер, Солярис, Андрей Рублёв", "cp1251"),
        ("七人の侍, 東京物語, となりのトトロ, 千と千尋の神隠し", "shift_jis"),
        ("霸王别姬, 活着, 花样年华, 卧虎藏龙, 红高粱", "gb18030"),
    ],
)
def test_other_encodings_are_guessed_from_the_lines_that_tell(
    words: str, encoding: str
) -> None:
    plain = "".join(f"{i},plain\n" for i in range(500)).encode()
    telling = "".join(f"{i},{w}\n" for i, w in enumerate(words.split(", ")))
    assert find_encoding((plain + telling.encode(encoding),)) == (encoding, "")


def test_a_few_broken_lines_of_utf_8_are_said() -> None:
    good = "".join(f"{i},é\n" for i in range(50)).encode()
    encoding, note = find_encoding((good + b"51,\xe9t\xe9\n",))
    assert encoding == "latin-1"
    assert note.endswith("one is b'51,\\xe9t\\xe9\\n'")


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        (["1,2", "3,4"], False),
        (["user,item", "3,4"], True),
        (["user_id:token,item_id:token", "a,b"], True),
        (["userId,movie", "ann,Alien", "bob,Brazil"], True),
        (["ann,Alien", "bob,Brazil", "ann,Casablanca"], False),
        ([",rating", "0,4", "1,5"], True),
        (["ann,4", "bob,5"], False),
        (["ann;A Time to Kill", "bob;Brazil", "ann;Ran"], False),
        (["kund,vara", "ann,Alien", "bob,Brazil", "bob,Ran"], True),
    ],
)
def test_headers_are_told_from_rows(
    tmp_path: Path, rows: list[str], header: bool
) -> None:
    sample = _sample(tmp_path / "t.csv", "\n".join(rows) + "\n")
    assert (sample.layout.header is not None) == header


def test_gzip_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    sample = _sample(tmp_path / "t.csv", gzip.compress(_text(",").encode()))
    assert (sample.layout.packed, sample.num_rows) == (True, len(ROWS))


def test_quoted_cells_hold_separators_and_line_breaks(tmp_path: Path) -> None:
    cell = 'a, "b"\nc'
    quoted = '"' + cell.replace('"', '""') + '"'
    text = "user,item\n" + f"1,{quoted}\n2,x\n" * 20
    sample = _sample(tmp_path / "t.csv", text)
    assert _cells(sample, 1)[:2] == [cell, "x"]
    assert sample.odd == ()


def test_a_separator_inside_texts_misleads_nobody(tmp_path: Path) -> None:
    lines = [f"{i}\tOne, two; three|{i}\t2001-01-01 10:00:00" for i in range(50)]
    assert _sample(tmp_path / "t", "\n".join(lines)).layout.separator == "\t"
    lines = [f"{i};{i % 5};3,5" for i in range(50)]
    assert _sample(tmp_path / "t", "\n".join(lines)).layout.separator == ";"
    lines = ["user,genres", *(f"{i},a|b|c" for i in range(50))]
    assert _sample(tmp_path / "t", "\n".join(lines)).layout.separator == ","


def test_long_cells_are_read_and_no_limit_of_the_process_is_moved(
    tmp_path: Path,
) -> None:
    limit = csv.field_size_limit()
    text = "user,item\n" + f"1,{'x' * (limit + 1)}\n2,y\n"
    assert _sample(tmp_path / "t.csv", text).num_rows == 2
    assert csv.field_size_limit() == limit


def test_odd_rows_are_counted(tmp_path: Path) -> None:
    sample = _sample(tmp_path / "t.csv", _text(",") + "u1,003\n")
    assert len(sample.odd) == 1
    assert "2 fields in 'u1,003'" in sample.odd[0]


def test_json_lines(tmp_path: Path) -> None:
    values = [
        {
            "user": 1,
            "item": "a",
            "ok": True,
            "score": 0.5,
            "tags": ["x|y", "", "z", 3.0],
        },
        {"user": 2.0, "item": "", "new": None, "deep": {"a": [1]}},
    ]
    text = "\n".join(json.dumps(value) for value in values)
    for content in (text, "\ufeff" + text, gzip.compress(text.encode())):
        sample = _sample(tmp_path / "t.txt", content)
        assert sample.layout.format == "json_lines"
        assert sample.names == ("user", "item", "ok", "score", "tags", "new", "deep")
        assert [_cells(sample, i)[0] for i in range(4)] == ["1", "a", "true", "0.5"]
        assert _cells(sample, 1)[1] is None
        assert sample.nested == {6}
        assert sample.lists == {4: ";"}
        assert _cells(sample, 4) == ["x|y;z;3", None]


def test_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "user": pd.Categorical(["a", "b", ""]),
            "number": [1, 2, None],
            "when": pd.to_datetime(["2020-01-01"] * 3),
            "tags": [["x", "y"], [], None],
        }
    )
    frame.to_parquet(tmp_path / "t.dat")
    sample = read_sample(str(tmp_path / "t.dat"))
    assert sample.layout.format == "parquet"
    assert _cells(sample, 0) == ["a", "b", None]
    assert _cells(sample, 1) == ["1", "2", None]
    assert _cells(sample, 2)[0] == "2020-01-01T00:00:00Z"
    assert (sample.nested, sample.lists) == (frozenset(), {3: "|"})
    assert _cells(sample, 3) == ["x|y", None, None]
    assert all(len(column) == 3 for column in sample.columns)


@pytest.mark.parametrize("packed", [True, False])
def test_long_files_are_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(raw, "WHOLE_BYTES", 1 << 15)
    lines = [f"{i},{i % 97},é{i}" for i in range(20_000)]
    text = "\n".join(["user,item,name", *lines]).encode()
    sample = _sample(tmp_path / "t.csv", gzip.compress(text) if packed else text)
    users = np.array(sample.columns[0].to_pylist(), int)
    assert not sample.is_whole
    assert sample.odd == ()
    assert 100 < sample.num_rows < 5_000
    assert users.max() > 15_000
    assert len(np.unique(users)) == len(users)


def _workbook() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("t.csv", "a,b\n")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (gzip.compress(b""), "the file is empty"),
        (gzip.compress(b"a,b\n1,2\n")[:-5], "found a damaged file"),
        (_workbook(), r"zip archive or a workbook .*Unpack it"),
        (gzip.compress(_workbook()), "zip archive or a workbook"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG image"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (bytes(range(256)) * 20, "found a binary file"),
        (b"PAR1 and no more", "expected Parquet, .* found a damaged file"),
        (b"one\ntwo\nthree\n", "found one column .'one'."),
        (b"a,b\n", "found a header and no rows"),
        (b"# made by x\na,b,c\n1,2,3\n4,5,6\n", "the first line has 1 fields"),
        (b'[{"a": 1, "b": 2}]', "found one JSON array"),
        (b'[\n{"a": 1, "b": 2}\n]', "found one JSON array"),
        (b"{'a': 1, 'b': 2}\n", "found Python dictionaries"),
        (b'{"a": 1, "b": 2}\nnonsense\n', "expected one JSON object in each line"),
        (b'{"a": 1}\n{"a": 2}\n', "found one column, 'a'"),
    ],
    ids=range(18),  # Archives hold the time of the day.
)
def test_what_is_no_table_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"t.csv: .*{message}"):
        read_sample(str(path))


def test_pipes_are_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="a pipe or a device"):
        read_raw(str(tmp_path / "pipe"))


def test_absent_files_and_folders_are_told(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("a,b\n1,2\n")
    with pytest.raises(
        ConfigError, match=r"no such file\. Did you mean 'ratings\.csv'"
    ):
        read_raw(str(tmp_path / "rating.csv"))
    with pytest.raises(ConfigError, match=r"a folder, .* it holds ratings\.csv"):
        read_raw(str(tmp_path))


def test_a_plain_file_name_is_looked_for_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.csv").write_text("a,b\n1,2\n")
    assert find_layout(read_raw("events.csv")).header == ("a", "b")
    with pytest.raises(ConfigError, match=r"Did you mean 'events\.csv'"):
        read_raw("event.csv")
