"""Which column of the interactions tells the time."""

from collections.abc import Mapping, Sequence

from data.errors import ConfigError
from data.init.choice import Choice
from data.init.columns import Profile
from data.init.times import ADVICE, Reading, read_relative
from data.init.words import means
from data.schema import Column

MANY = 1_000_000


def choose_time(
    path: str,
    columns: Sequence[Profile],
    readings: dict[int, Reading],
    user: Profile,
    wanted: Profile | None,
) -> list[Choice]:
    """Settle the column that tells the time, first, and others that do as well.

    In: `columns`: those that are left; `readings`: by place, of those that read as
    times, to which numbers that only order events are added; `wanted`: what --time
    names. Out: nothing if no column tells the time.
    Raises: ConfigError when `wanted` cannot be read.
    """
    chosen = list(columns) if wanted is None else [wanted]
    for column in chosen:
        relative = read_relative(column, user, is_wanted=column is wanted)
        if column.place not in readings and relative is not None:
            readings[column.place] = relative
    usable = [c for c in chosen if c.place in readings and readings[c.place].unit]
    if not usable:
        if wanted is not None:
            raise _unreadable(path, wanted, readings)
        return []
    time = max(usable, key=lambda column: _rank(column, readings))
    reading = readings[time.place]
    spec = Column(role="time", unit=reading.unit or "s")
    found = [Choice(column=time, spec=spec, why=f"{reading.what}, {reading.span}")]
    for column in usable:
        if column is not time:
            why = f"tells the time too; '{time.key}' is taken"
            found.append(Choice(column=column, spec=None, why=why))
    return found


def _rank(
    column: Profile, readings: Mapping[int, Reading]
) -> tuple[bool, bool, int, int]:
    """Prefer dates to mere numbers, plain names, fine steps, and the first column."""
    named = means(column.name, "time")
    is_date = readings[column.place].is_date
    return is_date, named, min(column.distinct, MANY), -column.place


def _unreadable(
    path: str, column: Profile, readings: Mapping[int, Reading]
) -> ConfigError:
    reading = readings.get(column.place)
    found = reading.what if reading else f"it holds {column.examples()}"
    return ConfigError(
        f"{path}: column {column.key!r}, which --time names, cannot be read as times: "
        f"{found}. Name another column, or {ADVICE}."
    )
