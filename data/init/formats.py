"""How a table is written: format, encoding, separator, whether it has a header."""

import ast
import contextlib
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from data.errors import ConfigError
from data.init.encodings import find_encoding, is_wide
from data.init.raw import HEAD_BYTES, PARQUET, Raw
from data.init.words import ID_WORDS, VOCABULARY, typed_name, words_of

Format = Literal["csv", "json_lines", "parquet"]

SEPARATORS = ("\t", "::", "\x01", ",", ";", "|")
SNIFFED_ROWS = 1_000
SHOWN_CHARACTERS = 60
NAME_LIKE = re.compile(r"[^\W\d][\w .:()/#%-]{0,40}")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a table is written. `header`: the names it gives its columns, if any."""

    path: str
    packed: bool
    format: Format
    encoding: str = "utf-8"
    separator: str = ","
    header: tuple[str, ...] | None = None
    num_columns: int = 0
    says: tuple[str, ...] = ()


def find_layout(raw: Raw) -> Layout:
    """Find out how a table is written. Raises: ConfigError if it is no table."""
    if raw.head.startswith(PARQUET):
        return Layout(path=raw.path, packed=False, format="parquet")
    encoding, note = find_encoding(raw.pieces)
    text = decode(raw, encoding)[0][:HEAD_BYTES]
    if not raw.is_whole or len(text) == HEAD_BYTES:
        text = text[: text.rfind("\n") + 1] or text
    start = text.lstrip()[:1]
    if start in ("{", "["):
        _check_json_lines(raw.path, text)
        return Layout(
            path=raw.path,
            packed=raw.packed,
            format="json_lines",
            encoding=encoding,
            says=(note,) if note else (),
        )
    layout = _separated(raw, encoding, text)
    return replace(layout, says=(*layout.says, note)) if note else layout


def decode(raw: Raw, encoding: str) -> list[str]:
    """Return the text of a file's pieces, of whole lines each, line breaks as they are.

    Of a long file in an encoding of wide characters it is the start alone.
    """
    if raw.is_whole:
        text = raw.head.decode(encoding, "replace").removeprefix("\ufeff")
        return [text.lstrip("\r\n")]
    if is_wide(encoding):
        text = raw.head.decode(encoding, "ignore").removeprefix("\ufeff")
        return [text[: text.rfind("\n") + 1].lstrip("\r\n")]
    texts = []
    for number, piece in enumerate(raw.pieces):
        start = piece.find(b"\n") + 1 if number else 0
        lines = piece[start : piece.rfind(b"\n") + 1]
        text = lines.decode(encoding, "replace").removeprefix("\ufeff")
        texts.append(text.lstrip("\r\n"))
    return texts


def _check_json_lines(path: str, text: str) -> None:
    line = next(line for line in text.splitlines() if line.strip())
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: {_no_json_lines(text, line)}")


def _no_json_lines(text: str, line: str) -> str:
    expected = "expected one JSON object in each line"
    if text.lstrip().startswith("["):
        return (
            f"found one JSON array, {expected}. Convert it: pandas.read_json(file)"
            '.to_json("table.jsonl", orient="records", lines=True).'
        )
    try:
        is_python = isinstance(ast.literal_eval(line), dict)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        is_python = False
    if is_python:
        return (
            f"found Python dictionaries, {expected}. Convert each line: "
            "json.dumps(ast.literal_eval(line))."
        )
    return f"found {line[:SHOWN_CHARACTERS]!r}, {expected}. Write it so."


def _separated(raw: Raw, encoding: str, text: str) -> Layout:
    separator, rows = _find_separator(raw.path, text)
    width = Counter(map(len, rows)).most_common(1)[0][0]
    if len(rows[0]) != width:
        raise ConfigError(
            f"{raw.path}: the first line has {len(rows[0])} fields, most lines have "
            f"{width}: {text.splitlines()[0][:SHOWN_CHARACTERS]!r}. Take away the "
            "lines before the table, or mend the header."
        )
    rows = [row for row in rows if len(row) == width]
    named, why = _has_header(rows)
    if named and len(rows) == 1:
        raise ConfigError(
            f"{raw.path}: found a header and no rows, expected a table. Put the rows "
            "there, or name another file."
        )
    return Layout(
        path=raw.path,
        packed=raw.packed,
        format="csv",
        encoding=encoding,
        separator=separator,
        header=tuple(rows[0]) if named else None,
        num_columns=width,
        says=(why,),
    )


def _find_separator(path: str, text: str) -> tuple[str, list[list[str]]]:
    """Return the separator that cuts most lines into as many fields, and the rows."""
    best: tuple[tuple[float, bool, int], str, list[list[str]]] | None = None
    for separator in (*SEPARATORS, " "):
        if separator == " " and best is not None:
            break
        rows = split_rows(text, separator)
        width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
        share = round(count / max(len(rows), 1), 2)
        if width < 2 or share < (0.99 if separator == " " else 0.7):
            continue
        score = (share, len(rows[0]) == width, width)
        if best is None or score > best[0]:
            best = (score, separator, rows)
    if best is None:
        line = next(line for line in text.splitlines() if line.strip())
        raise ConfigError(
            f"{path}: found one column ({line[:SHOWN_CHARACTERS]!r}), expected "
            "several, parted by a tab, comma, semicolon, '|' or '::', or JSON lines "
            "or Parquet. Export the table so."
        )
    _, separator, rows = best
    if separator == "," and '"' not in text and text.count(", ") == text.count(","):
        return ", ", split_rows(text, ", ")
    return separator, rows


def split_rows(text: str, separator: str) -> list[list[str]]:
    """Cut the first lines of a text into fields; quotes count as they do in CSV."""
    if len(separator) > 1:
        lines = [line for line in text.splitlines()[:SNIFFED_ROWS] if line]
        return [line.split(separator) for line in lines]
    limit = csv.field_size_limit(HEAD_BYTES)  # Of the whole process.
    try:
        return _read_rows(
            csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        )
    finally:
        csv.field_size_limit(limit)


def _read_rows(read: Iterator[list[str]]) -> list[list[str]]:
    rows: list[list[str]] = []
    # What was read up to a broken line tells enough.
    with contextlib.suppress(csv.Error):
        for row in read:
            if row:
                rows.append(row)
            if len(rows) >= SNIFFED_ROWS:
                break
    return rows


def _has_header(rows: list[list[str]]) -> tuple[bool, str]:
    """Tell whether the first row names the columns, and what tells."""
    first, body = rows[0], rows[1:]
    if all(typed_name(cell)[1] for cell in first):
        return True, "the first line names columns and their types"
    columns = list(zip(*body, strict=True)) if body else [() for _ in first]
    numeric = [_mostly_numbers(column) for column in columns]
    above = [cell for cell, n in zip(first, numeric, strict=True) if n or not body]
    values = [cell for cell in above if is_number(cell)]
    names = [cell for cell in above if cell and not is_number(cell)]
    if len(values) >= max(len(names), 1):
        return False, f"no header: the first line holds the number {values[0]}"
    if names and body:
        return True, "header: the first line holds names above numbers"
    for cell, column in zip(first, columns, strict=True):
        if cell and cell in column:
            return False, f"no header: {cell!r} of the first line comes again below it"
    known = [cell for cell in first if _names_something(cell)]
    if known:
        return True, f"header: {known[0]!r} is a column's name"
    if all(NAME_LIKE.fullmatch(cell) or not cell for cell in first):
        return True, "header: the first line reads like names (a guess)"
    return False, "no header: the first line reads like values (a guess)"


def _names_something(cell: str) -> bool:
    """Tell whether a cell is made of the words that columns are named with alone."""
    words = words_of(cell)
    known = ID_WORDS.union(*VOCABULARY.values())
    return 0 < len(words) <= 3 and known.issuperset(words)


def _mostly_numbers(column: tuple[str, ...]) -> bool:
    filled = [cell for cell in column if cell]
    return bool(filled) and sum(map(is_number, filled)) >= 0.9 * len(filled)


def is_number(cell: str) -> bool:
    """Tell whether a cell is a finite number."""
    try:
        return abs(float(cell)) < float("inf") and "_" not in cell
    except ValueError:
        return False
