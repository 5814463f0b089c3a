"""Whatever text is written comes back the same, through every format."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.schema import Column, Table
from data.tables import json_lines, parquet, read_batches, source

Rows = list[tuple[Any, Any]]
COLUMNS = {"b": Column(kind="text"), "ä 1": Column(role="item_id")}
AWKWARD = st.sampled_from(list("\"',;:|\\ \t\n\r\x00\x1e\x1f\x85\u2028é😀-"))
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff")
CELLS = st.text(AWKWARD | LETTERS, max_size=12)
ROWS = st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=40)
# No row of these cells is longer than the shortest block.
BLOCKS = st.sampled_from([256, 300, 1 << 10, 1 << 22])
ENCODINGS = st.sampled_from(
    ["utf-8", "utf-8-sig", "utf-16", "utf-32-be", "gb18030", "cp1252", "latin-1"]
)
# Python quotes a carriage return only where its lines end in one.
WRITTEN = st.sampled_from(
    [("\r\n", csv.QUOTE_MINIMAL), ("\r\n", csv.QUOTE_ALL), ("\n", csv.QUOTE_ALL)]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def _cut(rows: Rows, encoding: str) -> Rows:
    """Leave out the characters that an encoding does not have."""
    return [
        tuple(cell.encode(encoding, "ignore").decode(encoding) for cell in row)  # type: ignore[misc]
        for row in rows
    ]


def _write(
    path: Path, encoding: str, packed: bool, write: Callable[[Any], Any]
) -> None:
    kind: Any = gzip.open if packed else open
    with kind(path, "wt", encoding=encoding, newline="") as file:
        write(file)


def _read(path: Path, block: int, columns: dict[str, Column], **table: Any) -> Rows:
    spec = Table(path=path.name, columns=columns, **table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "BLOCK_BYTES", block)
        patch.setattr(source, "READ_BYTES", block // 3)
        patch.setattr(json_lines, "PARSED_BYTES", block)
        patch.setattr(parquet, "BATCH_ROWS", max(block // 100, 1))
        blocks = list(read_batches("items", spec, str(path.parent)))
    assert all(block.column_names == list(columns) for block in blocks)
    return [tuple(row.values()) for block in blocks for row in block.to_pylist()]


def _expected(rows: Rows) -> Rows:
    return [(b or None, a or None) for a, b in rows]


@settings(deadline=None, max_examples=100)
@given(
    rows=ROWS,
    block=BLOCKS,
    encoding=ENCODINGS,
    packed=st.booleans(),
    separator=st.sampled_from(",;\t|"),
    written=WRITTEN,
)
def test_separated_text(
    folder: Path,
    rows: Rows,
    block: int,
    encoding: str,
    packed: bool,
    separator: str,
    written: tuple[str, Any],
) -> None:
    rows = _cut(rows, encoding)

    def write(file: Any) -> None:
        line_end, quoting = written
        writer = csv.writer(
            file, delimiter=separator, lineterminator=line_end, quoting=quoting
        )
        writer.writerows([("ä 1", "b"), *rows])

    _write(folder / "t.csv", encoding, packed, write)
    settings = {"separator": separator, "encoding": encoding}
    read = _read(folder / "t.csv", block, COLUMNS, **settings)
    assert read == _expected(rows)


@settings(deadline=None, max_examples=100)
@given(
    rows=ROWS, block=BLOCKS, encoding=ENCODINGS, separator=st.sampled_from(["::", "é"])
)
def test_long_separators(
    folder: Path, rows: Rows, block: int, encoding: str, separator: str
) -> None:
    rows = [
        tuple(_plain(cell, separator) for cell in row)  # type: ignore[misc]
        for row in _cut(rows, encoding)
    ]
    lines = [separator.join(row) + "\n" for row in [("ä 1", "b"), *rows]]
    _write(folder / "t.dat", encoding, False, lambda file: file.writelines(lines))
    settings = {"separator": separator, "encoding": encoding}
    read = _read(folder / "t.dat", block, COLUMNS, **settings)
    assert read == _expected(rows)


def _plain(cell: str, separator: str) -> str:
    """Leave out what cannot be written without quotes."""
    return "".join(c for c in cell if c not in "\r\n" + separator)


@settings(deadline=None, max_examples=100)
@given(
    rows=ROWS,
    block=BLOCKS,
    encoding=ENCODINGS,
    packed=st.booleans(),
    escaped=st.booleans(),
)
def test_json_lines(
    folder: Path, rows: Rows, block: int, encoding: str, packed: bool, escaped: bool
) -> None:
    names = {"ä 1": 0, "b": 1}
    rows = _cut(rows, encoding)
    lines = [
        json.dumps({name: row[i] for name, i in names.items()}, ensure_ascii=escaped)
        for row in rows
    ]
    _write(
        folder / "t.jsonl",
        encoding,
        packed,
        lambda file: file.writelines(line + "\n" for line in lines),
    )
    read = _read(folder / "t.jsonl", max(block, 1 << 10), COLUMNS, encoding=encoding)
    assert read == _expected(rows)


@settings(deadline=None, max_examples=100)
@given(
    rows=ROWS,
    block=BLOCKS,
    group=st.integers(1, 50),
    kind=st.sampled_from([pa.string(), pa.large_string(), pa.binary(), None]),
)
def test_parquet(folder: Path, rows: Rows, block: int, group: int, kind: Any) -> None:
    first, second = (pa.array(cells) for cells in zip(*rows, strict=True))
    table = pa.table({"ä 1": first, "b": second})
    for i in range(2):
        column = table.column(i)
        encoded = column.cast(kind) if kind else column.dictionary_encode()
        table = table.set_column(i, table.column_names[i], encoded)
    pq.write_table(table, folder / "t.parquet", row_group_size=group)
    assert _read(folder / "t.parquet", block, COLUMNS) == _expected(rows)


NUMBERS = {"id": Column(role="user_id"), "x": Column(kind="numeric")}
INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=100)
@given(
    ids=st.lists(st.none() | INTS, min_size=1, max_size=30),
    data=st.data(),
    block=BLOCKS,
)
def test_numbers(folder: Path, ids: list[int | None], data: Any, block: int) -> None:
    floats = st.lists(st.none() | FLOATS, min_size=len(ids), max_size=len(ids))
    values = data.draw(floats)
    rows = [{"id": i, "x": x} for i, x in zip(ids, values, strict=True)]
    (folder / "n.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"id": pa.array(ids, pa.int64()), "x": pa.array(values, pa.float64())}
    pq.write_table(pa.table(columns), folder / "n.parquet")
    from_json = _read(folder / "n.jsonl", block, NUMBERS)
    assert from_json == _read(folder / "n.parquet", block, NUMBERS)
    assert [i for i, _ in from_json] == [None if i is None else str(i) for i in ids]
    assert [None if x is None else float(x) for _, x in from_json] == values


@settings(deadline=None, max_examples=100)
@given(
    lists=st.lists(
        st.none() | st.lists(st.none() | CELLS.map(lambda c: c.replace("|", ""))),
        min_size=1,
        max_size=20,
    )
)
def test_lists(folder: Path, lists: list[Any]) -> None:
    columns = {"x": Column(kind="multi_categorical")}
    lines = [json.dumps({"x": one}) + "\n" for one in lists]
    (folder / "l.jsonl").write_text("".join(lines))
    table = pa.table({"x": pa.array(lists, pa.list_(pa.string()))})
    pq.write_table(table, folder / "l.parquet")
    expected = [("|".join(filter(None, one or [])) or None,) for one in lists]
    assert _read(folder / "l.jsonl", 1 << 22, columns) == expected
    assert _read(folder / "l.parquet", 1 << 22, columns) == expected
