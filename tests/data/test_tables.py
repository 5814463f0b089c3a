"""Tables come back as text, row by row, or one message says what to mend."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from data.schema import Column, Table
from data.tables import read_table

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
        (gzip.compress(b"1,x y\n"), "t.csv.gz", {}),
        ("1,x y\n".encode("utf-16"), "t.csv", {"encoding": "utf-16"}),
    ],
)
def test_tables_without_a_header(
    tmp_path: Path, content: bytes, name: str, table: dict[str, str]
) -> None:
    names = ("item", "title")
    assert _read(tmp_path, content, name, header=False, names=names, **table) == [
        ["1", "x y"]
    ]


def test_names_replace_a_header(tmp_path: Path) -> None:
    rows = _read(tmp_path, b"a,b\n1,x\n", names=("item", "title"))
    assert rows == [["1", "x"]]


def test_other_encodings(tmp_path: Path) -> None:
    content = "item,title\n1,é\n".encode("latin-1")
    assert _read(tmp_path, content, encoding="latin-1") == [["1", "é"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv: the file is empty, expected a table of items."),
        (b"item,title\n", "t.csv: found a header and no rows, expected items."),
        (b"item,titel\n1,x\n", "t.csv: no column 'title', which [data.items.columns]"),
        (b"item,titel\n1,x\n", "Did you mean 'titel'? Known: item, titel."),
        (b"item,title,item\n1,x,2\n", "t.csv: found 2 columns 'item', expected one."),
        (b"item,title\n1,x\n2\n", "t.csv, row 2: found 1 fields, expected 2: '2'"),
        (b"item,title\n1,x,9\n", "t.csv, row 1: found 3 fields, expected 2: '1,x,9'"),
        (b'item,title\n1,x\n2,"y\n3,z\n', "t.csv, row 2: found a quote that is"),
        (b'item,title\n1,x\n"2,y\n3,z\n', "t.csv, row 2: found 1 fields, expected"),
        (b"item,title\n1,x\n2\n", "close every quote"),
        (b"item,title\n1,x\n\n2,\xff\n", "t.csv, line 4: cannot be read as a table"),
        (b"item,title\n2,\xff\n", "set separator and encoding in [data.items]."),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        _read(tmp_path, content)
    assert message in str(caught.value)


def test_many_odd_rows_are_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        _read(tmp_path, b"item,title\n" + b"1\n" * 25)
    assert str(caught.value).count("found 1 fields") == 10
    assert "... and 15 rows more." in str(caught.value)


def test_odd_rows_under_a_long_separator(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2: found 1 fields, expected 2"):
        _read(tmp_path, b"item::title\n1::x\n2\n", separator="::")


def test_an_absent_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "items.csv").touch()
    table = Table(path="itens.csv", columns=COLUMNS)
    with pytest.raises(DataError, match=r"no such file. Did you mean 'items.csv'"):
        read_table("items", table, str(tmp_path))


@pytest.mark.parametrize("content", [b"item,title\n", gzip.compress(b"i,t\n1,2")[:-9]])
def test_damaged_gzip_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="expected gzip, as the name says"):
        _read(tmp_path, content, "t.csv.gz")
