"""What each column of the interactions table is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data.errors import ConfigError, nearest
from data.init.choice import Choice
from data.init.clock import choose_time
from data.init.columns import Profile, profiles_of
from data.init.events import event_positives, find_event, find_impression
from data.init.ids import Ids, find_ids
from data.init.labels import (
    Positives,
    best_label,
    is_count,
    is_weight,
    labels_among,
    rated_positives,
)
from data.init.leftovers import Leftovers
from data.init.orders import counts_events, is_in_order, sorts_rows
from data.init.samples import Sample
from data.init.times import Reading, read_times
from data.init.wording import number
from data.schema import Column


@dataclass(frozen=True, kw_only=True, eq=False)
class Interactions:
    """The interactions table, each column's place in it, and what counts.

    `time`: the column that tells the time, `reading`: how; `order`: one that numbers
    each user's events; `sorted_by`: what the rows are sorted by where it is no time;
    `unread`: times that no unit reads.
    """

    sample: Sample
    ids: Ids
    choices: tuple[Choice, ...]
    positives: Positives
    reading: Reading | None
    time: Profile | None
    order: Profile | None
    sorted_by: Profile | None
    unread: Profile | None


def read_interactions(
    sample: Sample,
    items: Sequence[Profile],
    users: Sequence[Profile],
    wanted: Mapping[str, str],
) -> Interactions:
    """Settle what each column is.

    In: `items`, `users`: columns of the other tables; `wanted`: what options name, by
    role: "user", "item", "time", "label". Raises: ConfigError when user or item
    cannot be found, or an option names no column or one that cannot be that.
    """
    columns = profiles_of(sample)
    chosen = _wanted(sample.path, columns, wanted)
    readings = {c.place: r for c in columns if (r := read_times(c)) is not None}
    ids = find_ids(sample.path, columns, readings, items, users, chosen)
    return _Reader(sample, columns, ids, readings, chosen).read()


def _wanted(
    path: str, columns: list[Profile], wanted: Mapping[str, str]
) -> dict[str, Profile]:
    by_key = {column.key: column for column in columns}
    chosen: dict[str, Profile] = {}
    for role, name in wanted.items():
        if name not in by_key:
            raise ConfigError(
                f"{path}: no column {name!r}, which --{role} names. "
                f"{nearest(name, by_key)}"
            )
        taken = [r for r, column in chosen.items() if column.key == name]
        if taken:
            raise ConfigError(
                f"{path}: column {name!r} is named by --{taken[0]} and by --{role}; "
                "expected two columns."
            )
        chosen[role] = by_key[name]
    return chosen


class _Reader:
    """Gives the columns that are no ids their roles, one role after the other."""

    def __init__(
        self,
        sample: Sample,
        columns: list[Profile],
        ids: Ids,
        readings: dict[int, Reading],
        wanted: dict[str, Profile],
    ) -> None:
        self.sample, self.columns, self.ids = sample, columns, ids
        self.readings, self.wanted = readings, wanted
        self.has_names = any(sample.names)
        self.choices: dict[int, Choice] = {}
        self.positives: Positives | None = None

    def read(self) -> Interactions:
        """Return the table with every column settled."""
        self._settle(self.ids.user, Column(role="user_id"), self.ids.user_why)
        self._settle(self.ids.item, Column(role="item_id"), self.ids.item_why)
        time = self._find_time()
        self._find_empty()
        order = self._find_order()
        label = self._find_label()
        self._find_event()
        self._find_impression(label)
        self._find_weight()
        rest = Leftovers(ids=self.ids, readings=self.readings, has_names=self.has_names)
        for column in self._left():
            self.choices[column.place] = rest.settle(column)
        return Interactions(
            sample=self.sample,
            ids=self.ids,
            choices=tuple(self.choices[column.place] for column in self.columns),
            positives=self.positives or self._every_row(),
            reading=None if time is None else self.readings[time.place],
            time=time,
            order=order,
            sorted_by=None if time else self._sorted_by(label, order),
            unread=None if time else self._unread(),
        )

    def _settle(
        self,
        column: Profile,
        spec: Column | None,
        why: str,
        hint: Column | None = None,
    ) -> None:
        choice = Choice(column=column, spec=spec, why=why, hint=hint)
        self.choices[column.place] = choice

    def _left(self) -> list[Profile]:
        return [c for c in self.columns if c.place not in self.choices]

    def _free(self) -> list[Profile]:
        """Return what is left but for the column that --label names."""
        return [c for c in self._left() if c is not self.wanted.get("label")]

    def _find_time(self) -> Profile | None:
        found = choose_time(
            self.sample.path,
            self._free(),
            self.readings,
            self.ids.user,
            self.wanted.get("time"),
        )
        for choice in found:
            self.choices[choice.column.place] = choice
        return found[0].column if found else None

    def _unread(self) -> Profile | None:
        unread = [c for c in self.columns if c.place in self.readings]
        return next((c for c in unread if c.distinct > 1), None)

    def _find_empty(self) -> None:
        for column in self._free():
            if column.filled == 0:
                self._settle(column, None, "empty in every row")
            elif column.distinct == 1 and column.gaps == 0:
                self._settle(column, None, f"{column.examples()} in every row")

    def _find_order(self) -> Profile | None:
        found = [c for c in self._free() if counts_events(c, self.ids.user)]
        for column in found:
            start = f"{number(column.low)}, {number(column.low + 1)}, ..."
            why = f"counts {start} for each user: an order, not a time"
            if is_in_order(column, self.ids.user):
                why += ", and the rows stand in it already"
            else:
                why += "; sort the rows by it, as their order is what counts"
            self._settle(column, None, why)
        return next(iter(found), None)

    def _find_label(self) -> Profile | None:
        label = self.wanted.get("label")
        found = labels_among(self._left(), self.has_names, self.ids)
        if label is None:
            label = best_label(found)
        elif not (label.is_numeric and label.distinct > 1):
            self._check_wanted_event(label)
            return None
        if label is None or self._says_less(label):
            return None
        self.positives = rated_positives(label)
        for column in found:
            if column is not label:
                why = f"rates too, {column.span}; '{label.key}' is taken"
                self._settle(column, None, why, Column(role="label"))
        why = f"{label.span}, {label.distinct} different values"
        self._settle(label, Column(role="label"), why)
        return label

    def _check_wanted_event(self, label: Profile) -> None:
        if find_event([label], self.has_names) is not label:
            raise ConfigError(
                f"{self.sample.path}: column {label.key!r}, which --label names, holds "
                f"{label.examples()}; expected different numbers, or names of events."
            )

    def _says_less(self, label: Profile) -> bool:
        """Tell whether most rows have no label and all name an event."""
        if label is self.wanted.get("label") or label.gaps <= 0.5:
            return False
        event = find_event(self._left(), self.has_names)
        return event is not None and event.gaps < label.gaps

    def _find_event(self) -> None:
        wanted = self.wanted.get("label")
        left = [c for c in self._left() if wanted is None or c is wanted]
        event = find_event(left, self.has_names)
        if event is None:
            return
        if self.positives is None:
            self.positives = event_positives(event)
            why = f"{event.distinct} kinds of events"
            self._settle(event, Column(role="event"), why)
        else:
            why = f"kinds of events ({event.examples()}), but the label says more"
            self._settle(event, None, why, Column(role="event"))

    def _find_impression(self, label: Profile | None) -> None:
        found = find_impression(self._left(), label, self.positives)
        if found is None:
            return
        column, is_chosen = found
        spec = Column(role="impression")
        if not is_chosen:
            self._settle(column, spec, "marks what was shown and not chosen")
            return
        why = "marks chosen rows too; an impression is what was shown and not chosen"
        self._settle(column, None, why, spec)

    def _find_weight(self) -> None:
        for column in filter(is_weight, self._left()):
            why = f"{column.span}: what an event counts"
            self._settle(column, Column(role="weight"), why)
            return

    def _every_row(self) -> Positives:
        counts = [c for c in self.columns if is_count(c, self.has_names)]
        counts = [c for c in counts if self.choices[c.place].spec is None]
        why = "no column rates or names kinds of events: every row is a positive"
        if counts:
            why = (
                f"'{counts[0].key}' says how much, not how good, and once is no "
                "dislike: every row is a positive"
            )
        return Positives(why=why)

    def _sorted_by(
        self, label: Profile | None, order: Profile | None
    ) -> Profile | None:
        """Return what each user's rows are sorted by that is no time."""
        if order is not None and is_in_order(order, self.ids.user):
            return None
        counts = [c for c in self.columns if is_count(c, self.has_names)]
        chosen = [*([label] if label else []), *counts, self.ids.item]
        return next((c for c in chosen if sorts_rows(c, self.ids.user)), None)
