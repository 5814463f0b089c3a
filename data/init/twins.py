"""Columns that say in other words what another one says."""

import numpy as np

from data.init.choice import Choice
from data.init.columns import Profile, pairs
from data.init.words import words_of

SAME_TEXT = 0.5


def without_twins(choices: list[Choice]) -> list[Choice]:
    """Leave out columns that say in other words what another one says."""
    kept: list[Choice] = []
    for choice in choices:
        twin = next((c for c in choices if _is_better_twin(c, choice)), None)
        if twin is None:
            kept.append(choice)
        else:
            why = f"says the same as {twin.column.key}"
            kept.append(
                Choice(column=choice.column, spec=None, why=why, hint=choice.spec)
            )
    return kept


def _is_better_twin(better: Choice, choice: Choice) -> bool:
    """Tell whether a column can stand for another: the plainer, else the first."""
    if better is choice or better.spec is None or choice.spec is None:
        return False
    if better.spec.kind != choice.spec.kind:
        return False
    if better.spec.kind == "text":
        twins = _same_text(better.column, choice.column)
    elif better.spec.kind == "categorical":
        twins = _same_groups(better.column, choice.column)
    else:
        return False
    return twins and _plainness(better) > _plainness(choice)


def _plainness(choice: Choice) -> tuple[bool, bool, int]:
    column = choice.column
    words = words_of(column.name)
    return words == ("title",), not column.is_numeric, -column.place


def _same_groups(left: Profile, right: Profile) -> bool:
    if left.distinct != right.distinct or left.distinct < 3:
        return False
    same_gaps = bool(((left.codes < 0) == (right.codes < 0)).all())
    return same_gaps and pairs(left, right) == left.distinct


def _same_text(left: Profile, right: Profile) -> bool:
    """Tell whether most cells of one column are found in the other's."""
    both = np.flatnonzero((left.codes >= 0) & (right.codes >= 0))[:2_000]
    if len(both) == 0:
        return False
    texts = zip(
        left.values[left.codes[both]], right.values[right.codes[both]], strict=True
    )
    same = sum(a in b or b in a for a, b in texts)
    return same > SAME_TEXT * len(both)
