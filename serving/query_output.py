"""What `query` prints: tables for people, JSON for programs."""

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from serving.client import Item, ModelVersion, Recommendation
from serving.question import Question

_UNKNOWN = -1e29
"""Below this a score says "not a known item"."""
_NARROW, _HEAD = 40, 10
"""Columns of a terminal below which there is no room for a table, and for a head."""
# Control characters move a terminal's cursor, and these its writing direction.
_UNPRINTED = {"Cc", "Cs", "Zl", "Zp"}
_DIRECTIONS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def print_json(question: Question, answer: Sequence[Any]) -> None:
    """Print the answer for programs: one document."""
    if question.status:
        rows = [asdict(version) for version in answer]
        document: dict[str, Any] = {"model": question.status, "versions": rows}
    elif question.describe:
        document = {"items": [_item(item) for item in answer]}
    else:
        rows = [{"rank": n, **_item(item)} for n, item in enumerate(answer, start=1)]
        document = {**_asked(question), "items": rows}
    text = json.dumps(document, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=2)
    click.echo(text)


def print_table(question: Question, answer: Sequence[Any]) -> None:
    """Print the answer for people."""
    console = Console(highlight=False, emoji=False)
    if not answer:
        title = _title(question)
        sentence = f"No item {title[0].lower()}{title[1:]}."
        console.print(_plain(sentence), soft_wrap=True)
    elif question.status:
        console.print(_versions(question.status, answer))
    elif question.describe:
        console.print(_items(answer))
    else:
        heads = _heads(answer) if question.rank else []
        if console.width < _NARROW + len(heads) * _HEAD:
            console.print(_lines(_title(question), answer, heads))
        else:
            console.print(_ranks(_title(question), answer, heads))


def _ranks(title: str, items: Sequence[Recommendation], heads: list[str]) -> Table:
    table = _table(title)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("title", overflow="fold")
    table.add_column("item id", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    for head in heads:
        table.add_column(_plain(head), justify="right", no_wrap=True)
    for rank, item in enumerate(items, start=1):
        more = _predictions(item, heads)
        cells = (str(rank), item.title, item.item_id, _number(item.score), *more)
        table.add_row(*map(_plain, cells))
    return table


def _lines(title: str, items: Sequence[Recommendation], heads: list[str]) -> Text:
    """Return the rows as sentences, where a table would leave titles no room."""
    lines = [title]
    for rank, item in enumerate(items, start=1):
        more = zip(heads, _predictions(item, heads), strict=True)
        scores = [_number(item.score), *(f"{head} {value}" for head, value in more)]
        name = f"{item.title} ({item.item_id})" if item.title else item.item_id
        lines.append(f"{rank}. {name}: {', '.join(scores)}")
    return Text("\n").join(map(_plain, lines))


def _predictions(item: Recommendation, heads: list[str]) -> list[str]:
    if item.score < _UNKNOWN:
        return ["-"] * len(heads)
    return [_number(item.columns.get(head)) for head in heads]


def _items(items: Sequence[Item]) -> Table:
    names = list(dict.fromkeys(name for item in items for name in item.columns))
    table = _table("")
    for name in ("item id", "title", *names):
        table.add_column(_plain(name), overflow="fold")
    for item in items:
        more = (str(item.columns.get(name, "")) for name in names)
        table.add_row(*map(_plain, (item.item_id, item.title, *more)))
    return table


def _versions(model: str, versions: Sequence[ModelVersion]) -> Table:
    table = _table(f"Versions of {model}")
    table.add_column("version", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("error", overflow="fold")
    for one in versions:
        error = "" if one.error_code == "OK" else one.error_code
        text = f"{error}: {one.error_message}" if one.error_message else error
        table.add_row(*map(_plain, (str(one.version), one.state, text)))
    return table


def _heads(items: Iterable[Recommendation]) -> list[str]:
    """Return the columns that are predictions: they are numbers, as floats."""
    names = dict.fromkeys(name for item in items for name in item.columns)
    return [
        name
        for name in names
        if all(isinstance(item.columns.get(name), float) for item in items)
    ]


def _asked(question: Question) -> dict[str, str | None]:
    if question.similar:
        return {"item_id": question.similar}
    return {"text": question.search} if question.search else {"user_id": question.user}


def _title(question: Question) -> str:
    if question.similar:
        return f"Like {question.similar}"
    if question.search:
        return f'For "{question.search}"'
    return f"For user {question.user}"


def _item(item: Item | Recommendation) -> dict[str, Any]:
    found: dict[str, Any] = {"item_id": item.item_id, "title": item.title}
    if isinstance(item, Recommendation):
        found["score"] = item.score
    return {**found, "columns": dict(item.columns)}


def _number(value: object) -> str:
    if not isinstance(value, float):
        return ""
    return "-" if value < _UNKNOWN else f"{value:.4f}"


def _table(title: str) -> Table:
    return Table(title=_plain(title) if title else None, title_justify="left")


def _plain(text: str) -> Text:
    """Return text that is shown as it is: no markup, nothing a terminal obeys."""
    encoding = sys.stdout.encoding or "utf-8"
    shown = "".join("\ufffd" if _obeyed(char) else char for char in text)
    # What the terminal's encoding lacks is a question mark, not an exception.
    return Text(shown.encode(encoding, "replace").decode(encoding))


def _obeyed(char: str) -> bool:
    return unicodedata.category(char) in _UNPRINTED or char in _DIRECTIONS
