"""The cells of a column as the text that the reader of tables gives."""

import contextlib
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from data.schema import Column
from data.tables.text import as_text

LIST_SEPARATORS = ("|", ";", ",", "/", "\x1f")


@dataclass(frozen=True, kw_only=True)
class Cells:
    """A column: its texts, what joins them if they are lists, whether it has none."""

    texts: pa.DictionaryArray
    separator: str | None = None
    is_nested: bool = False


def of_values(values: list[Any]) -> Cells:
    """Return a column of values; lists are joined by what none of them holds."""
    is_nested = any(map(_is_nested, values))
    separator = None
    if not is_nested and any(isinstance(value, list) for value in values):
        separator = _free_separator(values)
    texts = [_as_text(value, separator or LIST_SEPARATORS[0]) for value in values]
    encoded = pa.array(texts, pa.string()).dictionary_encode()
    return Cells(texts=encoded, separator=separator, is_nested=is_nested)


def _is_nested(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(inner, list) or _is_nested(inner) for inner in value)
    return value is not None and not isinstance(value, (str, bool, int, float))


def _free_separator(values: list[Any]) -> str:
    """Return a separator that no text in the lists holds."""
    texts = [str(text) for value in values if isinstance(value, list) for text in value]
    free = (s for s in LIST_SEPARATORS if not any(s in text for text in texts))
    return next(free, LIST_SEPARATORS[-1])


def _as_text(value: Any, separator: str) -> str | None:
    """Return the text of a value as the reader of tables gives it."""
    if isinstance(value, list) and not _is_nested(value):
        texts = (_as_text(inner, separator) for inner in value)
        return separator.join(text for text in texts if text) or None
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, float) and value == int(value) and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def of_arrow(column: pa.ChunkedArray) -> Cells:
    """Return a column; what has no text, such as lists, by way of Python's values."""
    if not pa.types.is_nested(column.type):
        with contextlib.suppress(pa.ArrowException):
            chunks = [as_text(chunk, Column(role="item_id")) for chunk in column.chunks]
            return Cells(texts=encoded(pa.chunked_array(chunks, pa.string())))
    return of_values(column.to_pylist())


def encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Number the distinct strings of a column."""
    return column.combine_chunks().dictionary_encode()
