"""What the rows of each user stand in the order of."""

import numpy as np

from data.init.columns import Profile

# A user of fewer rows is in some order by chance.
TELLING_STEPS = 5


def counts_events(column: Profile, user: Profile) -> bool:
    """Tell whether a column numbers each user's events: 0, 1, 2, ..."""
    if not column.is_integer or column.gaps or column.low not in (0, 1):
        return False
    order = np.lexsort((column.numbers[column.codes], user.codes))
    numbers, users = column.numbers[column.codes][order], user.codes[order]
    new = np.r_[True, users[1:] != users[:-1]]
    if new.all():
        return False
    fits = np.where(new, numbers == column.low, np.r_[0, np.diff(numbers)] == 1)
    broken = np.unique(users[~fits])
    return len(broken) <= 0.05 * new.sum()


def is_in_order(column: Profile, user: Profile) -> bool:
    """Tell whether each user's rows stand in the order that a column counts."""
    return bool((_steps(column, user)[0] >= 0).all())


def sorts_rows(column: Profile, user: Profile, *, upwards: bool = False) -> bool:
    """Tell whether nearly all users' rows are sorted by a column.

    In: `upwards`: whether rows sorted the other way do not count.
    """
    if column.holds_several or column.gaps or column.distinct < TELLING_STEPS:
        return False
    steps, users = _steps(column, user)
    if len(users) == 0:
        return False
    starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
    sizes = np.diff(np.r_[starts, len(users)])
    least, most = np.minimum.reduceat(steps, starts), np.maximum.reduceat(steps, starts)
    telling = (sizes >= TELLING_STEPS) & ((least != 0) | (most != 0))
    one_way = least >= 0 if upwards else (least >= 0) | (most <= 0)
    return bool(telling.any()) and bool(one_way[telling].mean() > 0.9)


def _steps(column: Profile, user: Profile) -> tuple[np.ndarray, np.ndarray]:
    """Return whether values rise from each of a user's rows to the next.

    Out: -1, 0 or 1 and the user, both (n,), users together.
    """
    values = column.numbers if column.is_numeric else column.values.astype(str)
    ranks = np.unique(values, return_inverse=True)[1][column.codes]
    order = np.argsort(user.codes, kind="stable")
    ranks, users = ranks[order], user.codes[order]
    same = (users[1:] == users[:-1]) & (users[1:] >= 0)
    return np.sign(np.diff(ranks))[same], users[1:][same]
