"""Parquet comes back as the text of its values, whatever their types."""

import datetime
import decimal
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import DataError
from data.schema import Column, Table
from data.tables import column_names, parquet, read_batches, read_table

ID, FEATURE = Column(role="item_id"), Column(kind="categorical")
TAGS = Column(kind="multi_categorical")
NOON = datetime.datetime(2024, 5, 1, 12)
WHOLE = ["2024-05-01T12:00:00Z", None]


def _read(folder: Path, values: Any, column: Column = FEATURE) -> list[Any]:
    pq.write_table(pa.table({"x": values, "y": values}), folder / "t.parquet")
    table = Table(path="t.parquet", columns={"x": column})
    blocks = list(read_batches("items", table, str(folder)))
    assert all(block.schema == pa.schema({"x": pa.string()}) for block in blocks)
    return [cell for block in blocks for cell in block["x"].to_pylist()]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1, None, -(2**63)]), ["1", None, "-9223372036854775808"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array(["a", "", None, " é"]), ["a", None, None, " é"]),
        (pa.array(["a", ""], pa.large_string()), ["a", None]),
        (pa.array(["b", None, "", "b"]).dictionary_encode(), ["b", None, None, "b"]),
        (pa.array([b"a", None]), ["a", None]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array([5.0, 0.1, np.nan, None, 1e300]), ["5", "0.1", None, None, "1e+300"]),
        (pa.array([5.0, 0.1], pa.float32()), ["5", "0.1"]),
        (pa.array(np.array([5.0, 0.5], np.float16)), ["5", "0.5"]),
        (pa.array([decimal.Decimal("5.50"), None]), ["5.50", None]),
        (pa.array([NOON.date(), None]), ["2024-05-01T00:00:00Z", None]),
        (pa.array([NOON, None], pa.timestamp("s")), WHOLE),
        (pa.array([NOON, None], pa.timestamp("ms")), WHOLE),
        (pa.array([NOON, None], pa.timestamp("us", "UTC")), WHOLE),
        (pa.array([NOON, None], pa.timestamp("ns", "Asia/Tokyo")), WHOLE),
        (
            pa.array([NOON.replace(microsecond=500), datetime.datetime(1960, 1, 1)]),
            ["2024-05-01T12:00:00.000500Z", "1960-01-01T00:00:00Z"],
        ),
        (pa.array([["a", None, "", "b"], [], None]), ["a|b", None, None]),
        (pa.array([[1, 2], None], pa.list_(pa.int64(), 2)), ["1|2", None]),
        (pa.array([[0.5, 5.0]], pa.large_list(pa.float64())), ["0.5|5"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_values_as_text(tmp_path: Path, values: pa.Array, expected: list[Any]) -> None:
    assert _read(tmp_path, values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([5.0, None, np.nan, 2.5]), ["5", None, None, "2.5"]),
        (
            pa.array([-0.0, 1e15, 2.0**53]),
            ["0", "1000000000000000", "9007199254740992"],
        ),
        (pa.array([1e300, np.inf]), ["1e+300", "inf"]),
        (pa.array([7.0], pa.float32()), ["7"]),
        (pa.array([decimal.Decimal("5.00"), decimal.Decimal("50.50")]), ["5", "50.50"]),
        (pa.array([5.0, 6.0]).dictionary_encode(), ["5", "6"]),
    ],
)
def test_whole_ids_have_no_fraction(
    tmp_path: Path, values: pa.Array, expected: list[Any]
) -> None:
    assert _read(tmp_path, values, ID) == expected


def test_numbers_with_gaps_as_pandas_writes_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [10**6, None, 3]})
    frame.to_parquet(tmp_path / "t.parquet")
    table = Table(path="t.parquet", columns={"x": ID})
    read = read_table("items", table, str(tmp_path))
    assert read["x"].dropna().tolist() == ["1000000", "3"]


def test_blocks_of_several_row_groups_stay_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 7)
    lists = [[str(i), "x"] if i % 3 else None for i in range(50)]
    table = pa.table({"i": range(50), "l": pa.array(lists), "n": [{"a": 1}] * 50})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=20)
    spec = Table(path="t.parquet", columns={"l": TAGS, "i": ID})
    blocks = list(read_batches("items", spec, str(tmp_path)))
    assert max(block.num_rows for block in blocks) == 7
    read = pa.concat_tables(blocks).to_pydict()
    assert list(read) == ["l", "i"]
    assert read["i"] == [str(i) for i in range(50)]
    assert read["l"] == [None if one is None else "|".join(one) for one in lists]


def test_long_texts_come_in_short_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BATCH_BYTES", 10_000)
    values = pa.array([f"{i:01000}" for i in range(100)])
    pq.write_table(pa.table({"x": values}), tmp_path / "t", use_dictionary=False)
    table = Table(path="t", format="parquet", columns={"x": ID})
    blocks = list(read_batches("items", table, str(tmp_path)))
    assert max(block.num_rows for block in blocks) < 10


def test_a_value_that_holds_the_separator_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 2)
    values = pa.array([["a"], [], None, ["b", "c|d"], ["|"]])
    with pytest.raises(DataError) as caught:
        _read(tmp_path, values, TAGS)
    assert "row 4, column 'x': found 'c|d', expected values" in str(caught.value)
    assert "row 5, column 'x': found '|', expected values" in str(caught.value)
    assert _read(tmp_path, values, Column(kind="text"))[3] == "b|c|d"


@pytest.mark.parametrize(
    "values",
    [
        pa.array([{"a": 1}]),
        pa.array([[{"a": 1}]]),
        pa.array([[["a"]]]),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([bytes(16)], pa.uuid()),
    ],
)
def test_values_without_text_are_refused(tmp_path: Path, values: pa.Array) -> None:
    with pytest.raises(DataError, match="column 'x': found values of type"):
        _read(tmp_path, values)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rows 1 to 2, column 'x': found what is no"):
        _read(tmp_path, pa.array([b"a", b"\xff"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.parquet: the file is empty, expected a table of items"),
        (b"x,y\n1,2\n", "cannot be read as Parquet: .*set format in .data.items"),
        (gzip.compress(b"PAR1", mtime=0), "found gzip, expected Parquet"),
        (b"PAR1", "cannot be read as Parquet"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    table = Table(path="t.parquet", columns={"x": ID})
    with pytest.raises(DataError, match=message):
        list(read_batches("items", table, str(tmp_path)))


def test_names_of_columns_and_absent_ones(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1], "n": [{"a": 1}]}), tmp_path / "t.parquet")
    table = Table(path="t.parquet", columns={"xx": ID})
    assert column_names(table, str(tmp_path)) == ["x", "n"]
    with pytest.raises(DataError, match=r"no column 'xx'.*Did you mean 'x'\? Known"):
        list(read_batches("items", table, str(tmp_path)))


def test_a_table_without_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no rows, expected items"):
        _read(tmp_path, pa.array([], pa.string()))


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    values = pa.array([f"{i}" for i in range(10_000)])
    pq.write_table(pa.table({"x": values}), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[50:5000] = bytes(4950)
    path.write_bytes(content)
    table = Table(path="t.parquet", columns={"x": ID})
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(read_batches("items", table, str(tmp_path)))
