"""Separated text comes back as it stands, or one message says what to mend."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from data.schema import Column, Table
from data.tables import (
    column_names,
    read_batches,
    read_table,
    separated,
    source,
    table_format,
    table_path,
)

COLUMNS = {
    "item": Column(role="item_id"),
    "title": Column(kind="text"),
}


def _read(folder: Path, content: bytes, name: str = "t.csv", **table: object) -> Any:
    (folder / name).write_bytes(content)
    spec = Table(path=name, columns=COLUMNS, **table)  # type: ignore[arg-type]
    frame = read_table("items", spec, str(folder))
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"item,title\n007,NA\n 1 ,\n", [["007", "NA"], [" 1 ", None]]),
        (b'item,title\r\n"a,""b""",x\r\n"l\nm",y\r\n', [['a,"b"', "x"], ["l\nm", "y"]]),
        (b"\xef\xbb\xbfitem,title\n\xc3\xa9,1.0\n", [["é", "1.0"]]),
        (b"title,other,item\nx,1,y\n\nz,2,w\n", [["y", "x"], ["w", "z"]]),
        (b'item,title\n1,5" disk\n', [["1", '5" disk']]),
        (b'item,title\n1,"x\ny"\n\n', [["1", "x\ny"]]),
        (b'\r\n\nitem,title\n1,"x\ny"', [["1", "x\ny"]]),
        (b'item,"o\np",title\n1,,x\n', [["1", "x"]]),
        (b"item,x,x,title\n1,2,3,4\n", [["1", "4"]]),
        (b'item,title\n1,"a"\n""," "\n', [["1", "a"], [None, " "]]),
    ],
)
def test_cells_come_back_as_they_stand(
    tmp_path: Path, content: bytes, rows: list[list[str | None]]
) -> None:
    assert _read(tmp_path, content) == rows


@pytest.mark.parametrize(
    ("content", "name", "table"),
    [
        (b"1\tx y\n", "t.tsv", {"separator": "\t"}),
        (b"1::x y\n", "t.dat", {"separator": "::"}),
        (b"1||x y\n", "t.dat", {"separator": "||"}),
        ("1§x y\n".encode(), "t.dat", {"separator": "§"}),
        (gzip.compress(b"1,x y\n", mtime=0), "t.csv.gz", {}),
        (gzip.compress(b"1,", mtime=0) + gzip.compress(b"x y\n", mtime=0), "t.csv", {}),
        (b"1,x y\n", "t.csv.gz", {}),
        ("1,x y\n".encode("utf-16"), "t.csv", {"encoding": "utf-16"}),
        ("\ufeff1,x y\n".encode("utf-16-le"), "t.csv", {"encoding": "utf-16-le"}),
        ("1::x y\n".encode("utf-16"), "t", {"separator": "::", "encoding": "utf-16"}),
    ],
)
def test_tables_without_a_header(
    tmp_path: Path, content: bytes, name: str, table: dict[str, str]
) -> None:
    names = ("item", "title")
    assert _read(tmp_path, content, name, header=False, names=names, **table) == [
        ["1", "x y"]
    ]


def test_other_encodings(tmp_path: Path) -> None:
    content = "item,title\n1,é\n".encode("latin-1")
    assert _read(tmp_path, content, encoding="latin-1") == [["1", "é"]]


@pytest.mark.parametrize("header", [b"a,b", b"a,b,c", b'"a\nb",c'])
def test_names_replace_a_header(tmp_path: Path, header: bytes) -> None:
    rows = _read(tmp_path, header + b"\n1,x\n", names=("item", "title"))
    assert rows == [["1", "x"]]


@pytest.mark.parametrize(
    ("name", "named", "expected"),
    [
        ("a.csv", "auto", "csv"),
        ("a.csv.gz", "auto", "csv"),
        ("a.inter", "auto", "csv"),
        ("folder.json/a", "auto", "csv"),
        ("a.jsonl", "auto", "json_lines"),
        ("a.ndjson.gz", "auto", "json_lines"),
        ("a.JSON", "auto", "json_lines"),
        ("a.b.parquet", "auto", "parquet"),
        ("a.parquet", "csv", "csv"),
        ("a", "parquet", "parquet"),
    ],
)
def test_the_format_goes_by_the_name(name: str, named: Any, expected: str) -> None:
    assert table_format(Table(path=name, columns=COLUMNS, format=named)) == expected


@pytest.mark.parametrize(
    ("content", "table", "expected"),
    [
        (b'a,"b\nc",a\n1,2,3\n', {}, ["a", "b\nc", "a"]),
        (b"a::b\x1f::\x1e\n", {"separator": "::"}, ["a", "b\x1f", "\x1e"]),
        (b"1,2\n", {"header": False, "names": ("a", "b")}, ["a", "b"]),
    ],
)
def test_names_of_columns(
    tmp_path: Path, content: bytes, table: dict[str, Any], expected: list[str]
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    spec = Table(path="t.csv", columns=COLUMNS, **table)
    assert column_names(spec, str(tmp_path)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv: the file is empty, expected a table of items."),
        (b"\n\r\n", "t.csv: the file is empty, expected a table of items."),
        (b"item,title\n", "t.csv: found a header and no rows, expected items."),
        (b"item,titel\n1,x\n", "t.csv: no column 'title', which [data.items.columns]"),
        (b"item,titel\n1,x\n", "Did you mean 'titel'? Known: item, titel."),
        (b"item,title,item\n1,x,2\n", "t.csv: found 2 columns 'item', expected one."),
        (b"item,title\n1,x\n2\n", "t.csv, row 2: found 1 fields, expected 2: '2'"),
        (b"item,title\n1,x,9\n", "t.csv, row 1: found 3 fields, expected 2: '1,x,9'"),
        (b'item,title\n1,x\n2,"y\n3,z\n', "t.csv, row 2: found a quote that is"),
        (b'title,item\n1,x\n2,"y""', "t.csv, row 2: found a quote that is"),
        (b'item,title\n1,x\n"2,y\n', "row 2: found 1 fields, expected 2: '\"2,y'\n"),
        (b"item,title\n1,x\n2\n", "close every quote"),
        (b"item,title\n1,x\n\n2,\xff\n", "t.csv, line 4: cannot be read as a table"),
        (b"item,title\n1,x\n\xff\n", "t.csv, line 3: cannot be read as a table"),
        (b"item,title\n2,\xc3", "line 2: cannot be read as a table in utf-8"),
        (b"item,title\n2,\xff\n", "set encoding in [data.items]."),
        (b'"' + b"x" * 200_000, "t.csv, header: field larger than"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        _read(tmp_path, content)
    assert message in str(caught.value)


def test_undecodable_lines_of_wide_characters(tmp_path: Path) -> None:
    content = "item,title\n1,x\n".encode("utf-16-le") + b"\x00\xd8\x00\x00"
    with pytest.raises(DataError, match="line 3: cannot be read as a table in utf-16"):
        _read(tmp_path, content, encoding="utf-16-le")


def test_many_odd_rows_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 16)  # They lie in several blocks.
    with pytest.raises(DataError) as caught:
        _read(tmp_path, b"item,title\n1,x\n" + b"2\n" * 25)
    message = str(caught.value)
    assert message.count("found 1 fields") == 10
    assert "t.csv, row 11: found 1 fields" in message
    assert "... and 15 rows more." in message


def test_odd_rows_come_after_the_others(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"item,title\n1,x\n2\n3,y\n")
    blocks = read_batches("items", Table(path="t.csv", columns=COLUMNS), str(tmp_path))
    assert next(blocks).to_pydict() == {"item": ["1", "3"], "title": ["x", "y"]}
    with pytest.raises(DataError, match="row 2: found 1 fields"):
        next(blocks)


def test_odd_rows_under_a_long_separator(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2: found 1 fields, expected 2: 'a:b'"):
        _read(tmp_path, b"item::title\n1::x\na:b\n", separator="::")
    with pytest.raises(DataError, match="row 1: found 3 fields, expected 2: 'a::b::'"):
        _read(tmp_path, b"item::title\na::b::\n", separator="::")


@pytest.mark.parametrize("size", range(1, 12))
def test_long_separators_are_replaced_wherever_a_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(source, "READ_BYTES", size)
    content = 'item::title\r\n1:::a\n\x1f\x1eu::\x1ee"\x1eé\n2::b'.encode()
    assert _read(tmp_path, content, separator="::") == [
        ["1", ":a"],
        ["\x1f\x1eu", '\x1ee"\x1eé'],
        ["2", "b"],
    ]


@pytest.mark.parametrize("size", range(48, 72))
def test_line_ends_in_quotes_stay_wherever_a_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", size)
    rows = [["1", "a\r\nb"], ["2", "\r\n"], ["3", "c"]] * 9
    lines = [f'{item},"{title}"\r\n' for item, title in rows]
    assert _read(tmp_path, "".join(["item,title\r\n", *lines]).encode()) == rows


@pytest.mark.parametrize("separator", [",", "::"])
def test_a_row_without_end_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, separator: str
) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 1000)
    rows = ["item,title", *["1,x"] * 500, '2,"y', *["3,z"] * 2000]
    if separator == "::":
        rows[501] = "2," + "y" * 5000
    content = "\n".join(rows).replace(",", separator).encode()
    with pytest.raises(DataError) as caught:
        _read(tmp_path, content, separator=separator)
    assert "t.csv, row 501: found a row of more than 1,000 bytes" in str(caught.value)
    assert "Close the quote" in str(caught.value)


def test_an_absent_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "items.csv").touch()
    table = Table(path="itens.csv", columns=COLUMNS)
    with pytest.raises(DataError, match=r"no such file. Did you mean 'items.csv'"):
        read_table("items", table, str(tmp_path))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/absent.csv", "Known: in the root"),
        ("absent.csv", "Known: here"),
        ("sub/absent.csv", "Known: below"),
        ("nowhere/absent.csv", "There is no folder nowhere either"),
        ("gs://bucket/absent.csv", "There is no folder gs://bucket either"),
    ],
)
def test_an_absent_file_is_told_with_those_of_its_folder(
    monkeypatch: pytest.MonkeyPatch, path: str, told: str
) -> None:
    """The root's own files are nobody's to write: folders are told as if they stood."""
    folders = {"/": ["in the root"], ".": ["here"], "sub": ["below"]}
    monkeypatch.setattr("data.files.exists", lambda place: place in folders)
    monkeypatch.setattr("data.files.listdir", lambda folder: folders[folder])
    with pytest.raises(DataError, match=rf"^{path}: no such file\. .*{told}\.$"):
        table_path(Table(path=path, columns=COLUMNS), "")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").mkdir()
    table = Table(path="t.parquet", columns=COLUMNS)
    with pytest.raises(DataError, match="found a folder, expected a file"):
        column_names(table, str(tmp_path))


PACKED = gzip.compress(b"item,title\n" + bytes(range(32, 127)) * 9)


@pytest.mark.parametrize("content", [PACKED[:-9], PACKED[:30] + b"x" + PACKED[31:]])
def test_damaged_gzip_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="expected gzip, as its first bytes say"):
        _read(tmp_path, content)


def test_pyarrow_holds_nothing_of_a_table_that_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process that ends while one of its threads still does is aborted.
    place = tmp_path / "t.csv"
    place.write_text("user,item\n" + "u,i\n" * 200_000)
    monkeypatch.setattr(source, "BLOCK_BYTES", 1 << 12)
    held = []
    wait = separated._wait_until_returned

    def waited(lent: Any) -> None:
        assert len(lent) > 10
        wait(lent)
        held.extend(block() for block in lent)

    monkeypatch.setattr(separated, "_wait_until_returned", waited)
    table = Table(path="t.csv", columns={"user": Column(role="user_id")})
    read = read_batches("users", table, str(tmp_path))
    assert sum(block.num_rows for block in read) == 200_000
    assert held
    assert not any(block is not None for block in held)
