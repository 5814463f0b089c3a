"""Amazon reviews of 2018: JSON lines of reviews and of products, and a stand-in.

`interactions.csv` user_id, item_id, rating (stars), timestamp (Unix seconds, UTC, whole
days), in the order of time, ties as in the publisher's file. `items.csv` item_id,
title, description, brand, categories: of the reviewed products, those that the
publisher describes in its order, then the others with empty cells.
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from data.errors import DataError
from data.fetch.archives import Members
from data.fetch.sources import Reader
from data.readers import INTERACTIONS, ITEMS
from data.readers.delimited import read_csv, write_table
from data.readers.ordered import write_ordered

INTERACTION_COLUMNS = ("user_id", "item_id", "rating", "timestamp")
ITEM_COLUMNS = ("item_id", "title", "description", "brand", "categories")
POSITION_COLUMNS = ("user_id", "item_id", "position")
POSITION_FILES = ("interactions.csv.gz", "items.csv.gz")

_MARKUP = re.compile(r"<[a-zA-Z/!][^<>]*>")
_SCRIPT = "getTime"  # A page's script, which the crawl took for some titles.


def reader_of(reviews: str, products: str) -> Reader:
    """Make the reader of a category's two files.

    Raises: a line that is no JSON object or lacks a field -> DataError with its line.
    """

    def write(members: Members, folder: Path) -> None:
        reviewed: set[str] = set()
        events = _events(members, reviews, reviewed)
        write_ordered(folder / INTERACTIONS, INTERACTION_COLUMNS, events)
        items = _items(members, products, reviewed)
        write_table(folder / ITEMS, ITEM_COLUMNS, items)

    return write


def write_positions(members: Members, folder: Path) -> None:
    """Write both tables from interactions that tell a place in the user's order only.

    All users' first events come first, then all second ones: no user's events stand
    before another's, as they would in the order of the file.
    Raises: an absent column, a position that is no whole number -> DataError.
    """
    interactions, items = POSITION_FILES
    events = _positions(members, interactions)
    write_ordered(folder / INTERACTIONS, POSITION_COLUMNS, events)
    rows = read_csv(members, items, ITEM_COLUMNS)
    write_table(folder / ITEMS, ITEM_COLUMNS, map(_stand_in_item, rows))


def _events(
    members: Members, member: str, reviewed: set[str]
) -> Iterator[tuple[int, bytes]]:
    """Yield the time and the row of each review; note the products in `reviewed`."""
    for line, review in _json_lines(members, member):
        try:
            user, item = str(review["reviewerID"]), str(review["asin"])
            rating, time = float(review["overall"]), int(review["unixReviewTime"])
        except (KeyError, TypeError, ValueError) as err:
            raise DataError(
                f"{member} line {line}: expected reviewerID, asin, overall and "
                f"unixReviewTime, found {err!r}. The file is of another version."
            ) from err
        reviewed.add(item)
        yield time, f"{_cell(user)},{_cell(item)},{rating:g},{time}\n".encode()


def _items(members: Members, member: str, reviewed: set[str]) -> Iterator[list[str]]:
    """Yield the reviewed products once each: some stand twice in the file."""
    left = set(reviewed)
    for _, product in _json_lines(members, member):
        item = str(product.get("asin"))
        if item in left:
            left.discard(item)
            yield _described(item, product)
    for item in sorted(left):
        yield [item, "", "", "", ""]


def _described(item: str, product: dict[str, Any]) -> list[str]:
    title = _plain(product.get("title"))
    brand = _plain(product.get("brand")).removeprefix("by ")
    categories = product.get("category") or []
    names = [_plain(c) for c in categories if not _MARKUP.search(html.unescape(c))]
    return [
        item,
        "" if _SCRIPT in title else title,
        _plain(product.get("description")),
        brand,
        _joined(names),
    ]


def _plain(value: Any) -> str:
    """Return a text, or several, on one line without the marks of a web page."""
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    return " ".join(_MARKUP.sub(" ", html.unescape(text)).split())


def _joined(names: list[str]) -> str:
    return "|".join(dict.fromkeys(name.replace("|", "/") for name in names if name))


def _positions(members: Members, member: str) -> Iterator[tuple[int, bytes]]:
    rows = read_csv(members, member, POSITION_COLUMNS)
    for number, (user, item, position) in enumerate(rows, start=1):
        if not position.isdecimal():
            raise DataError(
                f"{member}, row {number}, column 'position': expected a whole number, "
                f"found {position!r}. Mend the row."
            )
        row = f"{_cell(user)},{_cell(item)},{position}\n"
        yield int(position), row.encode()


def _stand_in_item(row: list[str]) -> list[str]:
    item, title, description, brand, categories = row
    names = [_plain(name) for name in categories.split(",")]
    return [item, _plain(title), _plain(description), _plain(brand), _joined(names)]


def _json_lines(members: Members, member: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with members.open(member) as file:
        for number, line in enumerate(file, start=1):
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as err:
                raise _no_object(member, number, str(err)) from err
            if not isinstance(row, dict):
                raise _no_object(member, number, type(row).__name__)
            yield number, row


def _no_object(member: str, line: int, found: str) -> DataError:
    return DataError(
        f"{member} line {line}: expected a JSON object, found {found}. The file is "
        "damaged or of another version; fetch it again."
    )


def _cell(text: str) -> str:
    """Quote an id that would break a row; those of the publisher never do."""
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
