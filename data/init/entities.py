"""What each column of a table of items or of users is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.errors import ConfigError
from data.init.choice import Choice
from data.init.columns import Profile
from data.init.kinds import TableName, feature
from data.init.matches import Match, near_miss
from data.init.samples import Sample
from data.init.twins import without_twins
from data.init.wording import percent, shown
from data.init.words import means, words_of
from data.schema import Column, Role

DISPLAYED = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Entities:
    """A table of items or users: its key, and what becomes of each column."""

    name: TableName
    sample: Sample
    match: Match
    choices: tuple[Choice, ...]
    says: tuple[str, ...]


def read_entities(
    name: TableName,
    sample: Sample,
    columns: Sequence[Profile],
    found: Match | None,
    ids: Profile,
    ids_name: str,
) -> Entities:
    """Settle what each column of a table of items or users is.

    In: `found`: its key; `ids`: the interactions' column that speaks of it, and what
    the TOML calls that.
    Raises: ConfigError when no column holds those ids.
    """
    if found is None:
        raise _no_key(name, sample, columns, ids)
    role: Role = "item_id" if name == "items" else "user_id"
    choices = []
    for column in columns:
        if column is found.key:
            spec = Column(role=role)
            choices.append(
                Choice(column=column, spec=spec, why=_key_why(found, ids_name))
            )
        else:
            choices.append(feature(column, name))
    choices = without_twins(choices)
    choices = _drop_disagreeing(found.key, choices)
    if name == "items":
        choices = _display(_entitle(choices))
    return Entities(
        name=name,
        sample=sample,
        match=found,
        choices=tuple(choices),
        says=_says(name, found, ids, sample),
    )


def _no_key(
    name: TableName, sample: Sample, columns: Sequence[Profile], ids: Profile
) -> ConfigError:
    seen = "\n".join(f"  {c.key}: {c.examples()}" for c in columns)
    noun = name.removesuffix("s")
    miss = near_miss(list(ids.values), columns)
    advice = (
        f"Note: {miss}; bring both to one spelling."
        if miss
        else (
            f"Name the table of these {name}, leave --{name} out, or say with --{noun} "
            f"which column of the interactions holds the {noun}."
        )
    )
    return ConfigError(
        f"{sample.path}: no column holds the {noun} ids of the interactions, which are "
        f"in column '{ids.key}', such as {ids.examples()}. The columns here are\n"
        f"{seen}\n{advice}"
    )


def _key_why(found: Match, ids_name: str) -> str:
    why = f"has {percent(found.share)} of the interactions' {ids_name}"
    if found.key.uniqueness < 1:
        why += f"; {found.key.filled - found.key.distinct:,} rows repeat an id"
    return why


def _says(name: str, found: Match, ids: Profile, sample: Sample) -> tuple[str, ...]:
    known = np.isin(ids.values.astype(str), found.key.values.astype(str))
    says = []
    if not known.all():
        events = int(ids.counts[~known].sum())
        meaning = "never recommended" if name == "items" else "known by id alone"
        examples = ", ".join(shown(str(v)) for v in ids.values[~known][:3])
        note = (
            f"{_counted(int((~known).sum()), name)} of the interactions not in the "
            f"table ({examples}; {percent(events / max(ids.filled, 1))} of the "
            f"events): {meaning}"
        )
        miss = near_miss([str(v) for v in ids.values[~known]], [found.key])
        says.append(note + (f"; {miss}" if miss else ""))
    unused = found.key.distinct - round(found.used * found.key.distinct)
    if unused:
        of = f"{found.key.distinct:,} {name}"
        says.append(f"{unused:,} of the {of} of the table without an event")
    if not sample.is_whole:
        says.append("the table is long: a sample of it was read, so counts are too low")
    return tuple(says)


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name.removesuffix('s') if number == 1 else name}"


def _drop_disagreeing(key: Profile, choices: list[Choice]) -> list[Choice]:
    """Leave out columns that say two things of one id, which stops a preparation."""
    if key.uniqueness == 1:
        return choices
    return [
        choice if choice.spec is None or choice.column is key else _agreed(key, choice)
        for choice in choices
    ]


def _agreed(key: Profile, choice: Choice) -> Choice:
    column = choice.column
    both = key.codes >= 0
    # An empty cell and a value are two things too.
    stacked = key.codes[both].astype(np.int64) * (column.distinct + 2)
    found = np.unique(stacked + column.codes[both] + 1)
    owners, number = np.unique(found // (column.distinct + 2), return_counts=True)
    torn = owners[number > 1]
    if len(torn) == 0:
        return choice
    example = shown(str(key.values[torn[0]]))
    why = (
        f"says different things of {len(torn):,} ids, such as {example}: keep one row "
        "for each id to use it"
    )
    return Choice(column=column, spec=None, why=why, hint=choice.spec)


def _entitle(choices: list[Choice]) -> list[Choice]:
    """Mark the title and put it first among the texts."""
    texts = [c for c in choices if c.spec is not None and c.spec.kind == "text"]
    if not texts:
        return choices
    title = min(texts, key=_title_rank)
    marked = replace(
        title,
        spec=replace(title.spec, title=True),  # type: ignore[type-var]
        why=_title_why(title),
    )
    return [marked if c is title else c for c in choices]


def _title_why(choice: Choice) -> str:
    example = choice.column.examples(1)
    if means(choice.column.name, "title") or not choice.column.name:
        return f"the title: {example}"
    return f"{choice.why}; shown as the title for want of a plainer one: {example}"


def _title_rank(choice: Choice) -> tuple[int, float]:
    column = choice.column
    words = words_of(column.name)
    if not means(column.name, "title") or "original" in words:
        return 2, column.mean_length
    return int(words not in (("title",), ("name",))), column.mean_length


def _display(choices: list[Choice]) -> list[Choice]:
    """Show a few features beside the title: what a person tells items apart by."""
    wanted = [c for c in choices if _shows(c)]
    wanted.sort(
        key=lambda c: (c.spec is not None and c.spec.kind == "numeric", c.column.place)
    )
    chosen = wanted[:DISPLAYED]
    return [
        replace(c, spec=replace(c.spec, display=True)) if c in chosen else c  # type: ignore[type-var]
        for c in choices
    ]


def _shows(choice: Choice) -> bool:
    spec = choice.spec
    if spec is None or spec.role != "feature":
        return False
    is_named = spec.kind in ("categorical", "multi_categorical")
    return (is_named and not choice.column.is_numeric) or means(
        choice.column.name, "year"
    )
