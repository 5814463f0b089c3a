"""Reads JSON lines: one object in each line, its values text, numbers or lists.

By orjson, line by line, and not by pyarrow's reader: that one refuses a column of
ids that are text here and numbers there, takes whole numbers among others as floats,
and does not tell in which line a mistake is. It would be twice as fast; this reads
some 350,000 rows of four columns in a second.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from data.errors import DataError
from data.schema import Column, Table
from data.tables import source
from data.tables.problems import OddRows, check_columns, empty_file, excerpt
from data.tables.source import readable
from data.tables.text import BadCells, as_text, join

_MEND = (
    "Mend these lines: one JSON object in each, its values text, numbers, true, false, "
    "null or lists of them (jq -c '.[]' unpacks a JSON array)."
)
EXACT = 2.0**63  # From here on orjson reads whole numbers as floats.
PARSED_BYTES = 1 << 21  # As objects they take ten times as much.
_NESTED = "found an object or a list of lists, expected text, a number or a list"


@dataclass(frozen=True, kw_only=True)
class _Objects:
    """What lines say, `rows`, with their `numbers` in the file and their `lines`."""

    numbers: Sequence[int]
    lines: Sequence[bytes]
    rows: Sequence[dict[str, Any]]

    def keys(self) -> list[str]:
        return list(dict.fromkeys(chain.from_iterable(self.rows)))


def column_names(path: str, table: Table, name: str | None = None) -> list[str]:
    """Return the keys of the first lines in the order in which they appear.

    Raises: DataError for an empty file and for broken first lines.
    """
    odd = OddRows(path)
    with readable(path, name, table.encoding):
        for first, lines in _lines(path, table):
            if (objects := _parse(first, lines, odd)).rows:
                return objects.keys()
            odd.raise_any(_MEND)
    raise empty_file(path, name)


def read(path: str, name: str, table: Table) -> Iterator[pa.Table]:
    """Read a table's columns block by block. For the rest see `read_batches`.

    A key that a line does not have is an empty cell; one that no line has is an
    absent column.
    """
    odd, names = OddRows(path), list[str]()
    with readable(path, name, table.encoding):
        for first, lines in _lines(path, table):
            objects = _parse(first, lines, odd)
            names = names or objects.keys()
            absent = [column for column in table.columns if column not in names]
            names += [n for n in absent if any(n in row for row in objects.rows)]
            if objects.rows:
                yield _block(objects, table, odd)
    odd.raise_any(_MEND)
    if not names:
        raise empty_file(path, name)
    check_columns(path, name, table, names)


def _lines(path: str, table: Table) -> Iterator[tuple[int, list[bytes]]]:
    """Yield some lines at a time, and before them the number of the first."""
    file = source.open_blocks(source.blocks(path, table.encoding))
    number, rest = 1, b""
    while block := file.read(PARSED_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        yield number, lines
        number += len(lines)
        if len(rest) > source.BLOCK_BYTES:
            raise DataError(
                f"{path}, line {number}: found more than {source.BLOCK_BYTES:,} bytes "
                f"in a line, expected one object in each. {_MEND}"
            )
    yield number, [rest]


def _parse(first: int, lines: list[bytes], odd: OddRows) -> _Objects:
    with contextlib.suppress(ValueError):
        rows = [orjson.loads(line) for line in lines]
        if set(map(type, rows)) == {dict}:
            numbers = range(first, first + len(lines))
            return _Objects(numbers=numbers, lines=lines, rows=rows)
    found = []  # More slowly, as some lines are blank or broken.
    for number, line in enumerate(lines, first):
        row, why = _parse_alone(line)
        if type(row) is dict:
            found.append((number, line, row))
        elif line and not line.isspace():
            text = excerpt(line.decode())
            odd.add(f"line {number}", f"found {text}, expected one object{why}.")
    return _Objects(
        numbers=[number for number, _, _ in found],
        lines=[line for _, line, _ in found],
        rows=[row for _, _, row in found],
    )


def _parse_alone(line: bytes) -> tuple[Any, str]:
    """Return what a line says, and why if it cannot be read."""
    try:
        return orjson.loads(line), ""
    except ValueError:
        pass
    try:  # NaN is no JSON, and yet Python writes it.
        row = json.loads(line.decode())
        json.dumps(row, ensure_ascii=False).encode()  # Refuses half a character.
        return row, ""
    except (ValueError, RecursionError) as err:
        return None, f" ({err})"


def _block(objects: _Objects, table: Table, odd: OddRows) -> pa.Table:
    cells = {}
    for name, column in table.columns.items():
        values, problems = _values(objects, name)
        try:
            cells[name] = _texts(values, column)
        except BadCells as err:
            cells[name] = pa.nulls(len(values), pa.string())
            problems |= err.problems
        for index, problem in sorted(problems.items()):
            odd.add(f"line {objects.numbers[index]}, column '{name}'", problem)
    return pa.table(cells)


def _values(objects: _Objects, name: str) -> tuple[list[Any], dict[int, str]]:
    """Return a column's values, and what is wrong with those that are no cells."""
    values = [row.get(name) for row in objects.rows]
    kinds = set(map(type, values))
    problems = {}
    if float in kinds or list in kinds:
        for index in [i for i, v in enumerate(values) if _is_inexact(v)]:
            values[index] = json.loads(objects.lines[index].decode())[name]
    if dict in kinds or list in kinds:
        problems = {i: _NESTED for i, v in enumerate(values) if _is_nested(v)}
        values = [None if i in problems else v for i, v in enumerate(values)]
    return values, problems


def _is_inexact(value: Any) -> bool:
    if type(value) is float:
        return not -EXACT < value < EXACT
    return type(value) is list and any(map(_is_inexact, value))


def _is_nested(value: Any) -> bool:
    if type(value) is list:
        return any(type(inner) in (dict, list) for inner in value)
    return type(value) is dict


def _texts(values: list[Any], column: Column) -> pa.Array:
    """Return the text of each value; of several kinds each is read for itself.

    Raises: BadCells.
    """
    kinds = set(map(type, values)) - {NoneType}
    if not kinds:
        return pa.nulls(len(values), pa.string())
    if len(kinds) > 1:
        parts = ([v if type(v) is kind else None for v in values] for kind in kinds)
        return pc.coalesce(*(_texts(part, column) for part in parts))
    if kinds == {list}:
        lists = [value or [] for value in values]
        offsets = np.cumsum([0, *map(len, lists)])
        return join(_texts(list(chain.from_iterable(lists)), column), offsets, column)
    try:
        return as_text(pa.array(values), column)
    except OverflowError:  # Whole numbers of more than 64 bits.
        texts = [None if value is None else str(value) for value in values]
        return pa.array(texts, pa.string())
