"""`python -m data init`: from tables to a TOML that trains as it is."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data import files
from data.console import say
from data.errors import ConfigError
from data.init.choice import Choice
from data.init.columns import Profile, profiles_of
from data.init.entities import read_entities
from data.init.interactions import read_interactions
from data.init.kinds import TableName
from data.init.names import name_columns, refuse_unservable
from data.init.samples import Sample, read_sample
from data.init.splits import choose_split
from data.init.wording import percent
from data.init.writer import Draft, TableDraft, describe, toml_text
from data.schema import data_config

LOW_MATCH = 0.5
NOUNS = {
    "user_id": "the user",
    "item_id": "the item",
    "label": "the label",
    "event": "the kind of event",
    "weight": "the weight",
    "impression": "the mark of impressions",
    "time": "the time",
    "available": "whether it can be had",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for: the tables, where the TOML goes, which columns are sure.

    `wanted`: columns of the interactions by "user", "item", "time" and "label".
    """

    interactions: str
    out: str
    items: str | None = None
    users: str | None = None
    force: bool = False
    wanted: Mapping[str, str] = field(default_factory=dict)

    def paths(self) -> dict[str, str]:
        """Return the tables' paths by name."""
        named = {
            "interactions": self.interactions,
            "items": self.items,
            "users": self.users,
        }
        return {name: path for name, path in named.items() if path is not None}


def init(request: Request) -> None:
    """Write a TOML that describes tables, and say what was decided and why.

    Raises: ConfigError for tables that cannot be read, a user or an item that cannot
    be found, and a place that cannot or must not be written to.
    """
    check_out(request)
    draft = make_draft(request)
    text = toml_text(draft, request.out)
    _check_text(text, request.out)
    for line in decisions(draft):
        say(line)
    files.write_text(request.out, text)
    say(f"{request.out}: written. Next: python -m data check {request.out}")


def check_out(request: Request) -> None:
    """Raise ConfigError if the TOML must not or cannot be written where it is to."""
    out = request.out
    for name, path in request.paths().items():
        if os.path.abspath(path) == os.path.abspath(out) or _is_same(path, out):
            raise ConfigError(
                f"{out}: the TOML would be written over the table of {name}. Name "
                "another place: -o my.toml."
            )
    if os.path.isdir(out):
        raise ConfigError(f"{out}: a folder, expected a file's name: -o my.toml.")
    folder = os.path.dirname(os.path.abspath(out))
    if not os.path.isdir(folder):
        raise ConfigError(
            f"{out}: no such folder as {folder}. Make it, or name another."
        )
    if os.path.exists(out) and not request.force:
        raise ConfigError(
            f"{out}: there is such a file already. Name another place, or write over "
            "it: --force."
        )


def _is_same(path: str, out: str) -> bool:
    there = os.path.exists(path) and os.path.exists(out)
    return there and os.path.samefile(path, out)


def make_draft(request: Request) -> Draft:
    """Read the tables and decide. Raises: ConfigError."""
    samples = {name: read_sample(path) for name, path in request.paths().items()}
    others: dict[str, list[Profile]] = {
        name: profiles_of(samples[name]) if name in samples else []
        for name in ("items", "users")
    }
    interactions = read_interactions(
        samples["interactions"], others["items"], others["users"], request.wanted
    )
    ids = interactions.ids
    first = _table("interactions", samples["interactions"], interactions.choices, ())
    names = first.naming.keys
    tables = [first]
    keys: tuple[TableName, ...] = ("items", "users")
    for name in keys:
        if name in samples:
            found = ids.item_match if name == "items" else ids.user_match
            column = ids.item if name == "items" else ids.user
            table = read_entities(
                name, samples[name], others[name], found, column, names[column.place]
            )
            tables.append(_table(name, table.sample, table.choices, table.says))
    return Draft(
        interactions=interactions,
        tables=tuple(tables),
        split=choose_split(interactions, names),
    )


def _table(
    name: str, sample: Sample, choices: tuple[Choice, ...], says: tuple[str, ...]
) -> TableDraft:
    kept = refuse_unservable(sample, choices)
    return TableDraft(
        name=name,
        sample=sample,
        choices=kept,
        naming=name_columns(sample, kept),
        says=says,
    )


def _check_text(text: str, out: str) -> None:
    """Raise RuntimeError, as a bug of ours, if the TOML would not be accepted."""
    try:
        data_config(tomllib.loads(text), Path(out))
    except (ConfigError, tomllib.TOMLDecodeError) as err:
        raise RuntimeError(f"the draft is not accepted: {err}\n{text}") from err


def decisions(draft: Draft) -> Iterator[str]:
    """Yield a line for each decision, with what speaks for it."""
    for table in draft.tables:
        yield f"{table.sample.path}: {describe(table.sample)}"
        for choice in table.choices:
            yield f"  {_named(table, choice)}: {_decision(choice, table)}"
        for note in table.says:
            yield f"  {note}."
        yield from _warnings(draft, table)
    yield f"Positives: {draft.interactions.positives.why}."
    yield f"Split: {draft.split.split.kind}; {draft.split.why}."


def _named(table: TableDraft, choice: Choice) -> str:
    listed = table.naming.keys[choice.column.place]
    name = choice.column.name
    if not name:
        place = f"column {choice.column.place + 1}"
        return f"{place} as {listed}" if listed else f"{place} (no name)"
    return name if name == listed else f"{name!r} as {listed}"


def _decision(choice: Choice, table: TableDraft) -> str:
    if choice.spec is None:
        return f"not used; {choice.why}"
    if choice.spec.role in ("feature", "context"):
        context = "context, " if choice.spec.role == "context" else ""
        return f"{context}{choice.spec.kind}; {choice.why}"
    noun = NOUNS[choice.spec.role]
    if table.name != "interactions" and choice.spec.role.endswith("_id"):
        noun = "the key"
    return f"{noun}; {choice.why}"


def _warnings(draft: Draft, table: TableDraft) -> Iterator[str]:
    odd = table.sample.odd
    if odd:
        yield (
            f"Warning: {table.sample.path}: {len(odd):,} rows have more or fewer "
            f"fields than the others ({odd[0]}): mend them before you train; "
            "python -m data check tells where they are."
        )
    ids = draft.interactions.ids
    found = {"items": ids.item_match, "users": ids.user_match}.get(table.name)
    if found is not None and found.share < LOW_MATCH:
        yield (
            f"Warning: {table.sample.path}: only {percent(found.share)} of the "
            f"interactions are of {table.name} in this table."
        )
