"""Parts events into train, validation and test."""

import numpy as np

from data.errors import DataError
from data.events import TEST, TRAIN, VALIDATION
from data.schema import Split


def temporal_cuts(time: np.ndarray, split: Split) -> tuple[int, int]:
    """Return the times at which validation and test begin, Unix seconds.

    In: `time`: int64 (n,). Raises: DataError when a part would be empty.
    """
    shares = (1 - split.validation - split.test, 1 - split.test)
    first, second = (int(np.quantile(time, s, method="higher")) for s in shares)
    parts = ((time < first), (time >= first) & (time < second), (time >= second))
    names = ("train", "validation", "test")
    for name, part in zip(names, parts, strict=True):
        if not part.any():
            raise DataError(
                f"[data.split] temporal: no event falls into {name} (cuts at "
                f"{first} and {second}, times from {time.min()} to {time.max()}). "
                "Take another split, or larger shares."
            )
    return first, second


def temporal(time: np.ndarray, cuts: tuple[int, int]) -> np.ndarray:
    """Part events by time. Out: uint8 (n,), TRAIN, VALIDATION or TEST."""
    part = np.full(len(time), TRAIN, np.uint8)
    part[time >= cuts[0]] = VALIDATION
    part[time >= cuts[1]] = TEST
    return part


def leave_one_out(user: np.ndarray) -> np.ndarray:
    """Part events so that each user's last tests and the last but one validates.

    In: `user`: (n,), sorted by user, time and place in the file. Users of one or two
    events train only. Out: uint8 (n,).
    """
    part = np.full(len(user), TRAIN, np.uint8)
    ends = np.flatnonzero(np.r_[user[1:] != user[:-1], True])
    sizes = np.diff(np.r_[-1, ends])
    ends = ends[sizes >= 3]
    if len(ends) == 0:
        raise DataError(
            "[data.split] leave_one_out: no user has three events or more. Take the "
            "temporal split."
        )
    part[ends], part[ends - 1] = TEST, VALIDATION
    return part
