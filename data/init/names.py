"""What the columns are called in the TOML, which may not be what the file says.

Separated text can be renamed: `names` stands in for a missing header or replaces one.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from data.init.choice import Choice
from data.init.columns import Profile
from data.init.samples import Sample
from data.init.words import typed_name
from data.schema import RESERVED_NAMES, SERVED_NAME

ROLE_NAMES = {
    "user_id": "user_id",
    "item_id": "item_id",
    "time": "timestamp",
    "label": "rating",
    "event": "event",
    "weight": "weight",
    "impression": "shown",
    "available": "available",
}
GENDERS = {"m", "f", "male", "female", "w", "d", "x", "o", "other", "unknown"}
GENRES = {"comedy", "drama", "action", "romance", "rock", "pop", "fiction", "thriller"}


@dataclass(frozen=True, kw_only=True)
class Naming:
    """The columns' names by place, and those of all columns if the TOML lists them."""

    keys: tuple[str, ...]
    listed: tuple[str, ...] = ()
    why: str = ""


def name_columns(sample: Sample, choices: Sequence[Choice]) -> Naming:
    """Name the columns of a table, in the file's order.

    In: `choices`: of every column, in the file's order.
    """
    if sample.layout.format != "csv":
        return Naming(keys=tuple(c.column.key for c in choices))
    if sample.layout.header is None:
        listed = _unique([_name_by_content(choice) for choice in choices])
        why = "the file has no header: these names are as good as others"
        return Naming(keys=listed, listed=listed, why=why)
    bad = [c for c in choices if c.spec is not None and not _is_good(c, sample)]
    if not bad:
        return Naming(keys=tuple(c.column.name for c in choices))
    renamed = [
        _plain_name(c) if c in bad or _is_typed(c) else c.column.key for c in choices
    ]
    listed = _unique(renamed)
    first = bad[0].column
    why = f"in place of the header's, {_fault(sample, first, listed[first.place])}"
    return Naming(keys=listed, listed=listed, why=why)


def _fault(sample: Sample, column: Profile, new: str) -> str:
    if not column.name:
        return f"which gives column {column.place + 1} no name: here it is {new!r}"
    if sample.names.count(column.name) > 1:
        return f"which says {column.name!r} of several columns"
    return (
        "as models take names of letters, digits and '_' only: "
        f"{column.name!r} is {new!r}"
    )


def refuse_unservable(sample: Sample, choices: Sequence[Choice]) -> list[Choice]:
    """Leave out what JSON lines or Parquet name as no served model's input can be."""
    if sample.layout.format == "csv":
        return list(choices)
    why = (
        "models take names of letters, digits and '_' only, beginning with a letter: "
        "rename it"
    )
    return [
        c
        if c.spec is None or _is_good(c, sample)
        else replace(c, spec=None, why=why, hint=c.spec)
        for c in choices
    ]


def _is_good(choice: Choice, sample: Sample) -> bool:
    name = choice.column.name
    if sample.names.count(name) > 1 or choice.spec is None:
        return False
    if not name or "\n" in name:
        return False
    if choice.spec.role not in ("feature", "context"):
        return True
    is_taken = choice.spec.role == "context" and name in RESERVED_NAMES
    return bool(SERVED_NAME.fullmatch(name)) and not is_taken


def _is_typed(choice: Choice) -> bool:
    return typed_name(choice.column.name)[1] is not None


def _plain_name(choice: Choice) -> str:
    """Spell a name with ASCII letters, digits and `_`: `Größe (cm)` is Grosse_cm."""
    name = typed_name(choice.column.name)[0].replace("ß", "ss")
    ascii_ = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9]+", "_", ascii_).strip("_")
    if not plain:
        return f"c{choice.column.place + 1}"
    return plain if plain[0].isalpha() and plain not in RESERVED_NAMES else f"c_{plain}"


def _name_by_content(choice: Choice) -> str:
    spec, column = choice.spec, choice.column
    lower = {str(value).strip().lower() for value in column.top(20)}
    if spec is None:
        return f"c{column.place + 1}"
    if spec.role in ROLE_NAMES:
        return ROLE_NAMES[spec.role]
    if spec.title:
        return "title"
    if spec.kind == "categorical" and column.distinct <= 5 and lower <= GENDERS:
        return "gender"
    if spec.kind == "multi_categorical":
        words = {word for value in lower for word in re.split(r"[^a-z]+", value)}
        return "genres" if words & GENRES else f"c{column.place + 1}"
    return f"c{column.place + 1}"


def _unique(names: list[str]) -> tuple[str, ...]:
    taken: list[str] = []
    for name in names:
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.append(unique)
    return tuple(taken)
