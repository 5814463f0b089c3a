"""Separators of several characters, for a reader that knows those of one byte."""

import csv
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from data.tables import source

UNIT, ESCAPE = "\x1f", "\x1e"
# A text that holds the stand-in itself keeps it, escaped, and so the escape too.
_ESCAPED = {ESCAPE: ESCAPE + "e", UNIT: ESCAPE + "u"}


class Separator:
    """What is between the cells of a row, and the one byte that the reader sees.

    A separator of one byte stands for itself, and cells may be quoted. For a longer
    one the unit separator stands in, and a quote is a character like any other: who
    writes `a::b` quotes nothing.
    """

    def __init__(self, text: str) -> None:
        self.text, self.long = text, len(text.encode()) > 1
        self.byte = UNIT if self.long else text
        self._escapes = False

    def replace(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Put the one byte in place of the separator.

        In and out: UTF-8; out in other blocks, cut where lines end, so that no
        separator is cut in two.
        """
        if not self.long:
            yield from blocks
            return
        rest = b""
        for block in blocks:
            lines, end, rest = (rest + block).rpartition(b"\n")
            yield self._replace(lines + end)
            if (
                len(rest) > source.BLOCK_BYTES
            ):  # Too long to be read; it is not hoarded.
                yield self._replace(rest)
                rest = b""
        yield self._replace(rest)

    def _replace(self, text: bytes) -> bytes:
        separator, unit = self.text.encode(), UNIT.encode()
        if unit not in text and ESCAPE.encode() not in text:
            return text.replace(separator, unit)
        self._escapes = True
        return unit.join(map(_escape, text.split(separator)))

    def cells(self, column: pa.Array) -> pa.Array:
        """Return the cells as the file has them."""
        if self._escapes:
            for plain, escaped in reversed(_ESCAPED.items()):
                column = pc.replace_substring(column, escaped, plain)
        return column

    def row(self, text: str) -> str:
        """Return the text of a row as the file has it."""
        if not self.long:
            return text
        return self.text.join(map(_unescape, text.split(UNIT)))

    def split(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Split lines into rows one by one: a header, or to find what is wrong."""
        rows = (
            csv.reader(lines, delimiter=self.byte, quoting=csv.QUOTE_NONE)
            if self.long
            else csv.reader(lines, delimiter=self.byte)
        )
        for row in rows:
            yield [_unescape(cell) if self.long else cell for cell in row]


def _escape(text: bytes) -> bytes:
    for plain, escaped in _ESCAPED.items():
        text = text.replace(plain.encode(), escaped.encode())
    return text


def _unescape(text: str) -> str:
    for plain, escaped in reversed(_ESCAPED.items()):
        text = text.replace(escaped, plain)
    return text
