"""JSON lines come back as the text of their values, or named by their lines."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from data.schema import Column, Table
from data.tables import column_names, json_lines, read_batches, source

COLUMNS = {
    "item": Column(role="item_id", separator="; "),
    "price": Column(kind="numeric", separator="; "),
    "tags": Column(kind="multi_categorical", separator="; "),
}
LINE = '{"item": "a", "price": 1, "tags": []}\n'


def _read(folder: Path, content: str | bytes, **table: Any) -> dict[str, list[Any]]:
    content = content if isinstance(content, bytes) else content.encode()
    (folder / "t.jsonl").write_bytes(content)
    spec = Table(path="t.jsonl", columns=COLUMNS, **table)
    rows: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for block in read_batches("items", spec, str(folder)):
        assert set(map(str, block.schema.types)) == {"string"}
        for name, cells in block.to_pydict().items():
            rows[name] += cells
    return rows


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"5"', "5"),
        ('""', None),
        ("null", None),
        ("5", "5"),
        ("5.0", "5"),
        ("5.50", "5.5"),
        ("1e3", "1000"),
        ("-0.1", "-0.1"),
        ("NaN", None),
        ("true", "true"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("1e300", "1e+300"),
        ('"\\u00e9\\ud83d\\ude00 "', "é😀 "),
        ('["x", "y z"]', "x; y z"),
        ('["x", null, "", 5, 0.5, 5.0, true]', "x; 5; 0.5; 5; true"),
        ("[123456789012345678901234567890]", "123456789012345678901234567890"),
        ("[]", None),
        ("[null]", None),
    ],
)
def test_values_as_text(tmp_path: Path, value: str, expected: str | None) -> None:
    others = '{"item": "text"}\n{"item": 1, "price": 0.25, "tags": ["x"]}\n'
    lines = others + "".join(f'{{"item": {value}, "{n}": {value}}}\n' for n in COLUMNS)
    rows = _read(tmp_path, lines)
    assert rows["item"][:2] == ["text", "1"]
    assert rows["price"][:2] == [None, "0.25"]
    assert rows["tags"][:2] == [None, "x"]
    assert rows["item"][2] == rows["price"][3] == rows["tags"][4] == expected


def test_whole_ids_have_all_digits_and_numbers_are_short(tmp_path: Path) -> None:
    rows = _read(tmp_path, '{"item": 1e15, "price": 1e15, "tags": 0.1}\n')
    assert rows == {"item": ["1000000000000000"], "price": ["1e+15"], "tags": ["0.1"]}


def test_kinds_may_differ_between_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "PARSED_BYTES", 50)
    values = ["1", "2.0", '"x"', "null", "2.5", "true", "10"] * 3
    lines = [f'{{"item": {value}, "price": 1, "tags": "t"}}\n' for value in values]
    rows = _read(tmp_path, "".join(lines))
    assert rows["item"] == ["1", "2", "x", None, "2.5", "true", "10"] * 3


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + LINE.encode(),
        b"\n  \n" + LINE.replace("\n", "\r\n\r\n").encode(),
        LINE.rstrip().encode(),
        gzip.compress(LINE.encode(), mtime=0),
    ],
)
def test_blank_lines_marks_and_packing(tmp_path: Path, content: bytes) -> None:
    assert _read(tmp_path, content) == {"item": ["a"], "price": ["1"], "tags": [None]}


def test_other_encodings(tmp_path: Path) -> None:
    content = LINE.replace("a", "é").encode("utf-16")
    (tmp_path / "t.jsonl").write_bytes(content)
    table = Table(path="t.jsonl", columns={"itém": COLUMNS["item"]}, encoding="utf-16")
    with pytest.raises(DataError, match=r"no column 'itém'.*Did you mean 'item'"):
        list(read_batches("items", table, str(tmp_path)))
    assert column_names(table, str(tmp_path)) == ["item", "price", "tégs"]


def test_a_key_may_appear_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "PARSED_BYTES", 30)
    rows = _read(tmp_path, '{"item": 1}\n' * 9 + '{"price": 2, "tags": 3}\n')
    assert rows["item"] == ["1"] * 9 + [None]
    assert rows["price"] == [None] * 9 + ["2"]


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ("", ["t.jsonl: the file is empty, expected a table of items."]),
        ("\n \n", ["t.jsonl: the file is empty, expected a table of items."]),
        (
            '{"item": 1, "prise": 2}\n',
            ["no column 'price', which [data.items.columns]", "Did you mean 'prise'?"],
        ),
        (
            LINE + '\n{"item": 1\n',
            ["line 3: found '{\"item\": 1', expected one object"],
        ),
        (LINE + "[1]\n5\n", ["line 2: found '[1]', expected one", "line 3: found '5'"]),
        (LINE + '{"item": "\\ud800"}\n', ["line 2: found", "surrogates not allowed"]),
        (LINE + '{"item": ' + "[" * 9999 + "\n", ["line 2: found"]),
        (
            LINE + '{"item": {"a": 1}}\n{"tags": [["x"]]}\n',
            [
                "line 2, column 'item': found an object or a list of lists, expected",
                "line 3, column 'tags': found an object or a list of lists, expected",
                "Mend these lines: one JSON object in each",
            ],
        ),
        (
            LINE + '{"tags": ["x", "y; z"]}\n',
            ["line 2, column 'tags': found 'y; z', expected values without the sep"],
        ),
        ("item,title\n", ["line 1: found 'item,title', expected one object"]),
        (LINE.encode() + b'{"item": "\xff"}\n', ["line 2: cannot be read as a table"]),
    ],
)
def test_bad_lines_are_refused(
    tmp_path: Path, content: str | bytes, messages: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        _read(tmp_path, content)
    assert [m for m in messages if m not in str(caught.value)] == []


def test_many_broken_lines_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "PARSED_BYTES", 10)
    with pytest.raises(DataError) as caught:
        _read(tmp_path, "{\n" * 20 + LINE + "{\n" * 5)
    assert str(caught.value).count("expected one object") == 10
    assert "... and 15 rows more." in str(caught.value)


def test_an_array_in_one_long_line_is_not_hoarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(json_lines, "PARSED_BYTES", 100)
    with pytest.raises(DataError, match="line 1: found more than 1,000 bytes"):
        _read(tmp_path, "[" + LINE.strip() * 500 + "]")


def test_names_of_columns(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"b": 1}\n{"a": {"x": 1}, "b": 2}\n')
    table = Table(path="t.json", columns=COLUMNS)
    assert column_names(table, str(tmp_path)) == ["b", "a"]
    (tmp_path / "t.json").write_text("{\n}\n")
    with pytest.raises(DataError, match=r"line 1: found '\{', expected one object"):
        column_names(table, str(tmp_path))
