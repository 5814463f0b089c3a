"""The TOML of a draft, with a comment for each thing that was decided."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data import files
from data.init.choice import Choice
from data.init.interactions import Interactions
from data.init.names import Naming
from data.init.samples import Sample
from data.init.spelling import WIDTH, comment, inline, key_of, plain, sentence, string
from data.init.splits import SplitChoice
from data.schema import Column, Split

LONG_TEXT_WORDS = 40
AUTO_ENDINGS = {
    "json_lines": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet",),
}
ORDER = (
    *("user_id", "item_id", "label", "event", "weight", "impression", "time"),
    *("context", "feature", "available"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TableDraft:
    """A table of the TOML: its file, the columns' names, what becomes of each."""

    name: str
    sample: Sample
    choices: Sequence[Choice]
    naming: Naming
    says: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Draft:
    """All that is decided."""

    interactions: Interactions
    tables: tuple[TableDraft, ...]
    split: SplitChoice


def toml_text(draft: Draft, out: str) -> str:
    """Return the TOML that says what a draft decided.

    In: `out`: where it will stand, which paths are relative to.
    """
    lines = [
        *comment(
            "Drafted by `python -m data init` from what the tables hold. Comments say "
            "why; what is not set has its default, see data/schema.py and "
            "trainer/config.py."
        ),
        *comment(f"Check it: python -m data check {out}"),
        *comment(f"Train:    make train CONFIG={out}"),
        *_window(draft),
    ]
    for table in draft.tables:
        lines += ["", *_table(table, out)]
    lines += ["", *_label(draft), "", *_split(draft.split), *_models(draft)]
    return "\n".join(lines) + "\n"


def _window(draft: Draft) -> Iterable[str]:
    days = draft.split.window_days
    reading = draft.interactions.reading
    if days is None or reading is None:
        return
    yield from ("", "[data]")
    yield from comment(
        f"How far back 'popular now' looks. The events span {reading.days:.0f} days; "
        "the default of 30 days is too large a part of them."
    )
    yield f"popularity_window_days = {days!r}"


def _table(table: TableDraft, out: str) -> Iterable[str]:
    yield f"[data.{table.name}]"
    yield from comment(describe(table.sample))
    for note in table.says:
        yield from comment(sentence(note))
    layout = table.sample.layout
    yield f"path = {string(relative_path(layout.path, out))}"
    if layout.format != _auto_format(layout.path):
        yield f"format = {string(layout.format)}"
    if layout.encoding != "utf-8":
        yield f"encoding = {string(layout.encoding)}"
    if layout.format == "csv":
        yield from _separated(table)
    yield ""
    yield f"[data.{table.name}.columns]"
    used = [c for c in table.choices if c.spec is not None]
    for choice in sorted(used, key=_place):
        yield from _used(choice, table.naming)
    unused = [c for c in table.choices if c.spec is None]
    if unused:
        yield "# Not used:"
    for choice in unused:
        yield from _unused(choice, table.naming)


def _separated(table: TableDraft) -> Iterable[str]:
    layout = table.sample.layout
    if layout.separator != ",":
        yield f"separator = {string(layout.separator)}"
    if layout.header is None:
        yield "header = false"
    if table.naming.listed:
        yield from comment(sentence(table.naming.why))
        names = ", ".join(map(string, table.naming.listed))
        line = f"names = [{names}]"
        if len(line) <= WIDTH:
            yield line
        else:
            cells = [f"    {string(name)}," for name in table.naming.listed]
            yield from ("names = [", *cells, "]")


def _place(choice: Choice) -> tuple[int, bool, int]:
    spec = choice.spec or Column(role="time")
    return ORDER.index(spec.role), not spec.title, choice.column.place


def _used(choice: Choice, naming: Naming) -> Iterable[str]:
    key = key_of(naming.keys[choice.column.place])
    line = f"{key} = {inline(choice.spec or Column(role='time'))}"
    note = plain(choice.why)
    if len(line) + len(note) + 4 <= WIDTH:
        yield f"{line}  # {note}"
        return
    yield from comment(choice.why)
    yield line


def _unused(choice: Choice, naming: Naming) -> Iterable[str]:
    key = key_of(naming.keys[choice.column.place])
    yield from comment(f"{key}: {choice.why}", "#   ")
    if choice.hint is not None:
        yield f"#   {key} = {inline(choice.hint)}"


def _label(draft: Draft) -> Iterable[str]:
    found = draft.interactions.positives
    yield "[data.label]"
    yield from comment(sentence(found.why))
    if isinstance(found.positive, str):
        yield f"positive = {string(found.positive)}"
    elif found.positive:
        yield f"positive = [{', '.join(map(string, found.positive))}]"
    if found.weights:
        yield from ("", "# What one counts in the losses.", "[data.label.weights]")
        for name, weight in found.weights.items():
            yield f"{key_of(name)} = {weight!r}"


def _split(chosen: SplitChoice) -> Iterable[str]:
    split, default = chosen.split, Split()
    yield "[data.split]"
    yield from comment(sentence(chosen.why))
    yield from comment(
        'Other kinds: "temporal" and "rolling" need a time column, "leave_one_out", '
        '"held_out_users" and "cold_items" do not; data/schema.py says what each is.'
    )
    yield f"kind = {string(split.kind)}"
    yield f"validation = {split.validation!r}"
    yield f"test = {split.test!r}"
    if split.fold_in != default.fold_in:
        yield f"fold_in = {split.fold_in!r}  # users have few events"
    if split.targets != default.targets:
        yield f"targets = {string(split.targets)}"


def _models(draft: Draft) -> Iterable[str]:
    reading = draft.interactions.reading
    if reading is not None and not reading.is_date:
        yield from ("", "[retrieval]")
        yield from comment("The times are no dates: they have no hour and no weekday.")
        yield "use_time = false"
    words = sum(
        choice.column.mean_words
        for table in draft.tables
        for choice in table.choices
        if choice.spec is not None and choice.spec.kind == "text"
    )
    if words > LONG_TEXT_WORDS:
        yield from ("", "# [text]")
        yield from comment(
            f"Items have about {words:.0f} words; the default reads the first 48 "
            "pieces of words. More take longer."
        )
        yield "# max_tokens = 128"


def describe(sample: Sample) -> str:
    """Say how a table is written and how long it is."""
    layout = sample.layout
    parts = ["gzip"] if layout.packed else []
    if layout.format == "csv":
        parts += [layout.encoding, f"separated by {layout.separator!r}", *layout.says]
    else:
        parts.append({"json_lines": "JSON lines", "parquet": "Parquet"}[layout.format])
        parts += layout.says
    rows = f"{sample.num_rows:,} rows"
    parts.append(rows if sample.is_whole else f"{rows} of more were looked at")
    return "; ".join(parts) + "."


def relative_path(path: str, out: str) -> str:
    """Return a table's path from the TOML's folder, if they share a folder at all."""
    if files.is_remote(path):
        return path
    place, folder = os.path.abspath(path), os.path.dirname(os.path.abspath(out))
    if os.path.commonpath([place, folder]) == os.path.sep:
        return place
    return os.path.relpath(place, folder)


def _auto_format(path: str) -> str:
    name = path.lower().removesuffix(".gz")
    for name_of, endings in AUTO_ENDINGS.items():
        if name.endswith(endings):
            return name_of
    return "csv"
