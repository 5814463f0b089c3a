"""Which kind of feature a column of items or users makes, or why it makes none."""

import re
from typing import Literal

import numpy as np

from data.init.choice import Choice
from data.init.columns import (
    CODE,
    DECIMAL_COMMA,
    EMAIL,
    NO,
    URL,
    YES,
    Profile,
    is_row_number,
)
from data.init.parts import MAX_PART_WORDS, REPEATS, Parts, count_parts, find_parts
from data.init.times import read_times
from data.init.wording import percent, shown
from data.init.words import ID_WORDS, means, typed_name, words_of
from data.schema import Column

TableName = Literal["items", "users"]

FEW = 30  # So few whole numbers are names of something rather than amounts.
MAX_CATEGORIES = 10_000
DEFAULT_MAX_VALUES, MOST_VALUES = 16, 64
LETTERS = re.compile(r"[^\W\d_]{2,}")


def feature(column: Profile, table: TableName) -> Choice:
    """Return what becomes of a column that is not the key."""
    for judge in (_no_content, _flag, _unreadable, _identifier):
        choice = judge(column, table)
        if choice is not None:
            return choice
    if column.separator is not None:
        return _lists(column, table, column.separator)
    if column.is_numeric:
        return _numeric(column, table)
    return _strings(column, table)


def _left_out(column: Profile, why: str, hint: Column | None = None) -> Choice:
    return Choice(column=column, spec=None, why=why, hint=hint)


def _no_content(column: Profile, table: TableName) -> Choice | None:
    if column.is_nested:
        why = f"objects, such as {column.examples(1)}, which no kind of feature reads"
        return _left_out(column, why)
    if column.is_list and column.separator is None:
        return _left_out(column, f"lists, such as {column.examples(1)}: write a|b")
    if column.filled == 0:
        return _left_out(column, "empty in every row")
    if column.distinct == 1 and (column.gaps < 0.01 or column.gaps > 0.99):
        return _left_out(column, f"{column.examples(1)} wherever it is filled")
    if column.is_json:
        return _left_out(column, f"JSON, such as {column.examples(1)}: write a|b")
    if typed_name(column.name)[1] == "float_seq":
        return _left_out(column, "several numbers in each cell")
    return None


def _flag(column: Profile, table: TableName) -> Choice | None:
    """Return the choice for a column that says which items can be had."""
    if table != "items" or column.distinct > 4:
        return None
    lower = {str(value).strip().lower() for value in column.values}
    off = column.share_with({v for v in column.values if v.strip().lower() in NO})
    if means(column.name, "unavailable") and lower <= {*YES, *NO}:
        return _left_out(
            column,
            f"the opposite of available ({column.examples()}): write a column that is "
            'no for these and give it role = "available"',
        )
    if not means(column.name, "available"):
        return None
    if lower <= {*YES, *NO}:
        why = f"{percent(off)} of the items are not recommended"
        return Choice(column=column, spec=Column(role="available"), why=why)
    return _left_out(
        column, f"says what can be had, but with {column.examples()}: write yes or no"
    )


def _unreadable(column: Profile, table: TableName) -> Choice | None:
    if column.share_of(URL) > 0.9:
        return _left_out(column, f"addresses, such as {column.examples(1)}")
    if column.share_of(EMAIL) > 0.9:
        return _left_out(column, "e-mail addresses")
    if means(column.name, "personal") and table == "users" and column.uniqueness > 0.5:
        return _left_out(column, "personal, and another value for each user")
    if not means(column.name, "year") and read_times(column) is not None:
        why = f"dates, such as {column.examples(1)}, which no kind of feature reads"
        return _left_out(column, f"{why}; a column of years is numeric")
    return None


def _identifier(column: Profile, table: TableName) -> Choice | None:
    noun = table.removesuffix("s")
    if is_row_number(column) or _is_numbering(column):
        return _left_out(column, "counts the rows")
    if column.uniqueness < 0.95 and not _has_id_name(column):
        return None
    if table == "items" and means(column.name, "title") and not column.is_numeric:
        return None
    if _has_id_name(column) and column.uniqueness > REPEATS:
        return _left_out(
            column, f"another id of the {noun}, such as {column.examples(1)}"
        )
    if (
        column.numeric_share < 0.9
        and column.share_of(CODE) > 0.9
        and column.filled > FEW
    ):
        return _left_out(
            column, f"a code, another for each {noun}: {column.examples(1)}"
        )
    return None


def _is_numbering(column: Profile) -> bool:
    """Tell whole numbers that come once each, without a gap between them."""
    if column.distinct < column.rows or not column.is_integer or column.rows < FEW:
        return False
    return column.high - column.low + 1 == column.filled


def _has_id_name(column: Profile) -> bool:
    words = set(words_of(column.name))
    plain = ID_WORDS - {"number", "num", "no", "index"}
    return bool(words & plain) or (
        means(column.name, "id") and not words & {"number", "num", "no", "index"}
    )


def _numeric(column: Profile, table: TableName) -> Choice:
    numeric, categorical = Column(kind="numeric"), Column(kind="categorical")
    gaps = f", {percent(column.gaps)} empty" if column.gaps > 0 else ""
    span = f"{column.span}{gaps}"
    if table == "items" and means(column.name, "aggregate"):
        why = f"sums up what all users did ({span}), later events too: tells the answer"
        return _left_out(column, why, numeric)
    if typed_name(column.name)[1] == "float" or means(column.name, "year"):
        return Choice(column=column, spec=numeric, why=span)
    is_name = means(column.name, "code") or _has_id_name(column) or column.are_codes
    if is_name and column.uniqueness > REPEATS:
        why = f"numbers that name something, {column.distinct:,} different: too many"
        return _left_out(column, why, categorical)
    is_amount = means(column.name, "amount") or means(column.name, "count")
    few = column.is_integer and column.distinct <= FEW and not is_amount
    if is_name or (few and column.uniqueness <= REPEATS):
        why = f"{column.distinct:,} whole numbers, taken for names: {column.examples()}"
        return Choice(column=column, spec=categorical, why=why)
    return Choice(column=column, spec=numeric, why=span)


def _strings(column: Profile, table: TableName) -> Choice:
    if column.share_of(DECIMAL_COMMA) > 0.9:
        why = f"numbers with a comma, such as {column.examples(1)}: write 4.5"
        return _left_out(column, why, Column(kind="numeric"))
    if column.numeric_share > 0.9 and not column.are_codes:
        bad = str(column.values[np.isnan(column.numbers)][0])
        number = int(column.counts[np.isnan(column.numbers)].sum())
        if column.distinct > FEW:
            why = f"numbers, but for {number:,} cells such as {shown(bad)}: empty those"
            return _left_out(column, why, Column(kind="numeric"))
    parts = find_parts(column)
    if parts is not None:
        return Choice(column=column, spec=_multi(parts), why=_parts_why(parts))
    is_title = table == "items" and means(column.name, "title")
    if column.uniqueness <= REPEATS and not (is_title and column.uniqueness > 0.2):
        if column.mean_words <= 6 or column.distinct <= FEW:
            return _categorical(column)
    if column.distinct <= 10 and column.mean_words <= 3 and not is_title:
        return _categorical(column)
    return _text(column, table)


def _lists(column: Profile, table: TableName, separator: str) -> Choice:
    """Return the choice for lists, which the reader joins by a separator."""
    parts = count_parts(column, separator)
    if parts.words > MAX_PART_WORDS and table == "items":
        spec = Column(kind="text", separator=" ")
        return Choice(column=column, spec=spec, why=f"lists of {parts.words:.0f} words")
    if parts.distinct > REPEATS * parts.total:
        why = f"lists of {parts.distinct:,} different values, next to no two alike"
        return _left_out(column, why, _multi(parts))
    return Choice(column=column, spec=_multi(parts), why=_parts_why(parts))


def _categorical(column: Profile) -> Choice:
    why = f"{column.distinct:,} different values: {column.examples()}"
    if column.distinct > MAX_CATEGORIES:
        why += f"; the {MAX_CATEGORIES:,} most frequent count"
    return Choice(column=column, spec=Column(kind="categorical"), why=why)


def _text(column: Profile, table: TableName) -> Choice:
    share = column.share_of(re.compile(rf".*{LETTERS.pattern}.*", re.DOTALL))
    if table == "users":
        why = f"{column.distinct:,} different values, too many to learn one by one"
        return _left_out(column, f"{why}: {column.examples(1)}")
    if share < 0.5:
        why = (
            f"{column.distinct:,} different values without words: {column.examples(1)}"
        )
        return _left_out(column, why)
    why = f"{column.mean_words:.0f} words on average"
    if column.gaps > 0:
        why += f", {percent(column.gaps)} empty"
    return Choice(column=column, spec=Column(kind="text"), why=why)


def _multi(parts: Parts) -> Column:
    most = min(max(parts.most, DEFAULT_MAX_VALUES), MOST_VALUES)
    return Column(kind="multi_categorical", separator=parts.separator, max_values=most)


def _parts_why(parts: Parts) -> str:
    top = ", ".join(map(repr, parts.top))
    sign = "spaces" if parts.separator == " " else repr(parts.separator)
    return (
        f"{parts.distinct:,} different values, {percent(parts.share)} of the cells "
        f"with several, parted by {sign}: {top}"
    )
