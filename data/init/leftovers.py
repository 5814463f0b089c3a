"""Columns of the interactions that have no role of their own: context, or no use."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.init.choice import Choice
from data.init.columns import DECIMAL_COMMA, Profile, depends_on, is_row_number
from data.init.ids import Ids
from data.init.labels import is_count
from data.init.times import ADVICE, Reading
from data.init.wording import number, percent, shown
from data.init.words import means
from data.schema import Column

MAX_CONTEXT = 100
FEW_ROWS = 20
IF_KNOWN = "as context only if known before the choice"


@dataclass(frozen=True, kw_only=True, eq=False)
class Leftovers:
    """Settles what is left when users, items, times and labels are known."""

    ids: Ids
    readings: Mapping[int, Reading]
    has_names: bool

    def settle(self, column: Profile) -> Choice:
        """Return what becomes of a column: context by its name, else not used."""
        if self._is_context(column):
            why = (
                "by its name known when recommendations are asked for; "
                f"{column.distinct} values: {column.examples()}"
            )
            spec = Column(role="context", kind="categorical")
            return Choice(column=column, spec=spec, why=why)
        for judge in (self._no_content, self._count, self._attribute):
            choice = judge(column)
            if choice is not None:
                return choice
        return _values(column)

    def _is_context(self, column: Profile) -> bool:
        if not (self.has_names and means(column.name, "context")):
            return False
        few = column.distinct <= MAX_CONTEXT and not column.holds_several
        return few and self._owner(column) is None

    def _owner(self, column: Profile) -> str | None:
        """Return whose attribute a column is: the item's or the user's."""
        if depends_on(column, self.ids.item):
            return "item"
        return "user" if depends_on(column, self.ids.user) else None

    def _no_content(self, column: Profile) -> Choice | None:
        reading = self.readings.get(column.place)
        if reading is not None and reading.unit is None:
            why = f"a time that cannot be used: {reading.what}; {ADVICE}"
        elif column.holds_several:
            why = f"lists or objects, such as {column.examples(1)}"
        elif is_row_number(column):
            why = "the number of the row"
        elif _is_another_everywhere(column):
            why = f"another value in every row, such as {column.examples(1)}"
        else:
            return None
        return Choice(column=column, spec=None, why=why)

    def _count(self, column: Profile) -> Choice | None:
        if not is_count(column, self.has_names):
            return None
        half = number(column.quantile(0.5))
        why = f"a count, {column.span}, half of them up to {half}: how much, not how "
        why += "good"
        if column.low < 0:
            share = percent(1 - column.gaps - column.share_above(0))
            why += f"; below 0 in {share} of the rows: drop them if they are returns"
        return Choice(column=column, spec=None, why=why, hint=Column(role="label"))

    def _attribute(self, column: Profile) -> Choice | None:
        owner = self._owner(column)
        if owner is None:
            return None
        why = (
            f"the same in all rows of {'an item' if owner == 'item' else 'a user'}: "
            f"belongs in a table of {owner}s, --{owner}s"
        )
        return Choice(column=column, spec=None, why=why)


def _is_another_everywhere(column: Profile) -> bool:
    measures = column.is_numeric and not column.is_integer
    return column.uniqueness == 1 and column.filled > FEW_ROWS and not measures


def _values(column: Profile) -> Choice:
    """Say what a column that nothing else is known of holds."""
    hint = None
    if column.is_numeric:
        known = ", known only when the item is" * means(column.name, "amount")
        why = f"a number, {column.span}{known}; {IF_KNOWN}"
        hint = Column(role="context", kind="numeric")
    elif column.share_of(DECIMAL_COMMA) > 0.9:
        why = f"numbers with a comma, such as {column.examples(1)}: write 4.5"
    elif column.numeric_share > 0.9:
        bad = shown(str(column.values[np.isnan(column.numbers)][0]))
        why = f"numbers, but for {bad} and the like"
    elif column.distinct <= MAX_CONTEXT:
        why = f"{column.examples()}; {IF_KNOWN}"
        hint = Column(role="context", kind="categorical")
    else:
        why = f"{column.distinct:,} different values, such as {column.examples(1)}"
    return Choice(column=column, spec=None, why=why, hint=hint)
