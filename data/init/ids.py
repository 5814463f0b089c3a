"""Which column of the interactions is the user and which the item."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data.errors import ConfigError
from data.init.columns import Profile
from data.init.matches import Match, best_match
from data.init.parts import find_parts
from data.init.times import Reading
from data.init.wording import percent
from data.init.words import (
    ID_WORDS,
    Meaning,
    entity_hint,
    means,
    words_of,
)

Role = Literal["user", "item"]
OPPOSITE: dict[Role, Role] = {"user": "item", "item": "user"}
# Names of what may be meant if nothing plainer stands beside it.
WEAK: dict[Role, frozenset[str]] = {
    "user": frozenset(("session", "sess", "visit", "cookie", "household")),
    "item": frozenset(
        (
            *("artist", "album", "brand", "shop", "store", "series", "url", "link"),
            *("title", "channel", "place", "location", "photo", "car", "fish", "room"),
            *("page", "ad", "offer", "deal", "food", "drug", "dish", "media", "show"),
        )
    ),
}
OTHER: tuple[Meaning, ...] = (
    *("time", "label", "count", "event", "weight", "impression", "order", "context"),
    *("available", "unavailable", "amount", "personal", "code", "year"),
)
ENOUGH = 4.0
SURE = 10.0
MAX_LENGTH = 300


@dataclass(frozen=True, kw_only=True, eq=False)
class Ids:
    """The two columns, what tells, and how they match the other tables."""

    user: Profile
    item: Profile
    user_why: str
    item_why: str
    item_match: Match | None = None
    user_match: Match | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Candidate:
    column: Profile
    score: float
    enough: bool
    hint: int
    match: Match | None


def find_ids(
    path: str,
    columns: Sequence[Profile],
    times: dict[int, Reading],
    items: Sequence[Profile],
    users: Sequence[Profile],
    wanted: dict[str, Profile],
) -> Ids:
    """Choose the user and the item among the columns.

    In: `times`: columns that read as times, by place; `items`, `users`: the columns
    of the other tables, none if there is no such table; `wanted`: what options name,
    by role. Raises: ConfigError when there is no user or no item to be seen.
    """
    free = [c for c in columns if c not in wanted.values()]
    has_names = any(column.name for column in columns)
    candidates: dict[Role, list[_Candidate]] = {}
    tables: dict[Role, Sequence[Profile]] = {"user": users, "item": items}
    for role, table in tables.items():
        chosen = [wanted[role]] if role in wanted else [c for c in free if _may_be(c)]
        candidates[role] = [
            _judge(role, column, times, table, has_names) for column in chosen
        ]
    pair = _best_pair(candidates, wanted)
    if pair is None:
        raise not_found(path, columns)
    user, item = pair
    return Ids(
        user=user.column,
        item=item.column,
        user_why=_why("user", user, wanted),
        item_why=_why("item", item, wanted),
        user_match=user.match,
        item_match=item.match,
    )


def _may_be(column: Profile) -> bool:
    if column.distinct < 2 or column.gaps > 0.5 or column.holds_several:
        return False
    if column.is_numeric and not column.is_integer:
        return False
    return column.mean_length <= MAX_LENGTH


def _judge(
    role: Role,
    column: Profile,
    times: dict[int, Reading],
    table: Sequence[Profile],
    has_names: bool,
) -> _Candidate:
    hint = hint_of(column.name, role)
    other = hint_of(column.name, OPPOSITE[role])
    found = best_match(column, table) if table else None
    score = 10.0 * hint + (found.strength if found else 0.0) + _content(column)
    if not hint:
        said = any(means(column.name, meaning) for meaning in OTHER)
        score -= 14 * said + 30 * (column.place in times)
        score += 5 * bool(ID_WORDS & set(words_of(column.name)))
    if not has_names:  # Nearly every table names the user first, then the item.
        score += 3 * (column.place == (role == "item")) - column.place
    enough = score >= ENOUGH
    score -= 15 * (other > hint)
    return _Candidate(column=column, score=score, enough=enough, hint=hint, match=found)


def hint_of(name: str, role: Role) -> int:
    """Return how plainly a name is that of a user's or an item's id: 0 to 3."""
    hint = entity_hint(name, role)
    return min(hint, 2) if hint and WEAK[role] & set(words_of(name)) else hint


def _content(column: Profile) -> float:
    score = 0.0
    if not column.is_integer or column.distinct > 20:
        score += 5
    if column.distinct >= min(10, 0.05 * column.rows):
        score += 1
    if column.uniqueness > 0.98 and column.rows > 20:  # Rather the number of the row.
        score -= 8
    return score


def _best_pair(
    candidates: dict[Role, list[_Candidate]], wanted: dict[str, Profile]
) -> tuple[_Candidate, _Candidate] | None:
    pairs = [
        (user, item)
        for user, item in itertools.product(candidates["user"], candidates["item"])
        if user.column is not item.column
        and (user.enough or "user" in wanted)
        and (item.enough or "item" in wanted)
    ]
    pairs = [pair for pair in pairs if wanted or not _is_entity_table(*pair)]
    return max(
        pairs, key=lambda p: (p[0].score + p[1].score, -p[0].column.place), default=None
    )


def _is_entity_table(user: _Candidate, item: _Candidate) -> bool:
    """Tell a table of users, or of items, from one of what users did with items."""
    for one, other in ((user, item), (item, user)):
        unproven = other.hint < 2 and (other.match is None or not other.match.proves)
        if one.column.uniqueness == 1 and one.column.rows > 20 and unproven:
            return True
    return False


def _why(role: str, found: _Candidate, wanted: dict[str, Profile]) -> str:
    column, match = found.column, found.match
    rows = column.filled / max(column.distinct, 1)
    reasons = [f"{column.distinct:,} values, {rows:.1f} rows each"]
    if role in wanted:
        reasons.append(f"named by --{role}")
    elif found.hint:
        reasons.append("named like a user" if role == "user" else "named like an item")
    elif match and match.strength >= SURE:
        reasons.append(f"{percent(match.share)} of its rows fit the table of {role}s")
    else:
        place = "place and " if not column.name else ""
        reasons.append(f"a guess, by its {place}values: --{role} says otherwise")
    if column.filled < column.rows:
        empty = column.rows - column.filled
        reasons.append(f"{empty:,} rows without it are left out")
    return "; ".join(reasons)


def not_found(path: str, columns: Sequence[Profile]) -> ConfigError:
    """Return the error that lists what was seen and how to say what it means."""
    seen = "\n".join(f"  {c.key}: {c.examples()}" for c in columns)
    lists = [c.key for c in columns if c.holds_several or find_parts(c) is not None]
    if lists:
        seen += f"\nNote: '{lists[0]}' holds several in a cell; write a row for each."
    return ConfigError(
        f"{path}: cannot tell the column of users and that of items, expected a row "
        f"for each time a user met an item. The columns are\n{seen}\nSay which is "
        "which: --user COLUMN --item COLUMN [--time COLUMN] [--label COLUMN]."
    )
