"""What the columns of a data set mean, read from the `[data]` tables of a TOML file.

Words used everywhere: an *event* is a row of the interactions table; a *positive*
is an event that `[data.label].positive` accepts; *seen* is any event; an
*impression* was shown and not chosen; *servable* items are in the item table and
not marked unavailable.
"""

import dataclasses
import math
import operator
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from data.errors import ConfigError, nearest
from data.settings import build
from data.thresholds import Drift

Role = Literal[
    "user_id",
    "item_id",
    "time",
    "label",
    "event",
    "weight",
    "impression",
    "context",
    "available",
    "feature",
]
Kind = Literal["categorical", "multi_categorical", "numeric", "text"]
SplitKind = Literal[
    "temporal", "leave_one_out", "held_out_users", "cold_items", "rolling", "random"
]

ROLES_OF = {
    "interactions": {
        *("user_id", "item_id", "time", "label", "event", "weight"),
        *("impression", "context"),
    },
    "items": {"item_id", "available", "feature"},
    "users": {"user_id", "feature"},
}
NEEDED_ROLES = {
    "interactions": ("user_id", "item_id"),
    "items": ("item_id",),
    "users": ("user_id",),
}
SERVED_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
RESERVED_NAMES = {"user_id", "history", "exclude", "k", "time", "boost", "bury"}
COMPARISONS = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
COMPARISON = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(-?(?:\d+\.?\d*|\.\d+))\s*")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table: its role, and for features and context its kind.

    `display` columns come back from the `describe` signature; the first text column
    is the title unless another one is marked `title`. An item's `in_text` columns stand
    in its text too, so that a new item's text says all that is known of it.
    """

    role: Role = "feature"
    kind: Kind | None = None
    separator: str = "|"
    max_values: int = 16
    unit: Literal["s", "ms", "us", "iso"] = "s"
    display: bool = False
    title: bool = False
    in_text: bool = False

    def __post_init__(self) -> None:
        needs_kind = self.role in ("feature", "context")
        if needs_kind and self.kind is None:
            raise ConfigError(
                f"a column of role '{self.role}' needs a kind: categorical, "
                "multi_categorical, numeric or text."
            )
        if not needs_kind and self.kind is not None:
            raise ConfigError(f"a column of role '{self.role}' takes no kind.")
        if self.role == "context" and self.kind not in ("categorical", "numeric"):
            raise ConfigError("a context column is categorical or numeric.")
        if self.in_text and self.role != "feature":
            raise ConfigError(f"a column of role '{self.role}' takes no in_text.")
        if not self.separator:
            raise ConfigError("separator is empty.")
        if self.max_values < 1:
            raise ConfigError(f"max_values is {self.max_values}, expected 1 or more.")


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table: where it is, how it is written, what its columns mean.

    `path` is relative to the catalog's folder if `[data].catalog` names a set, else
    to the TOML. `format` "auto" goes by the file's name: .jsonl, .ndjson and .json
    are JSON lines, .parquet is Parquet, all else is separated text; .gz may follow.
    `separator`, `encoding`, `header` and `names` are for separated text, which without
    a header needs `names`, the columns' names in order.
    """

    path: str
    columns: dict[str, Column]
    format: Literal["auto", "csv", "json_lines", "parquet"] = "auto"
    separator: str = ","
    encoding: str = "utf-8"
    header: bool = True
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.header and not self.names:
            raise ConfigError("a table without a header needs names = [...].")
        if not self.separator or set(self.separator) & {"\n", "\r"}:
            raise ConfigError(
                f"separator is {self.separator!r}, expected what parts the cells of a "
                "line."
            )
        try:
            "".encode(self.encoding)  # Some codecs, such as hex, are of no text.
        except (LookupError, UnicodeError) as err:
            raise ConfigError(
                f"encoding is {self.encoding!r}, expected one that Python knows, such "
                "as utf-8 or latin-1."
            ) from err

    def column(self, role: Role) -> str | None:
        """Return the name of the column that has a role; None if there is none."""
        return next((n for n, c in self.columns.items() if c.role == role), None)

    def of_role(self, role: Role) -> dict[str, Column]:
        """Return the columns that have a role, by name, in the TOML's order."""
        return {n: c for n, c in self.columns.items() if c.role == role}


@dataclass(frozen=True, kw_only=True)
class Label:
    """What counts as a positive: a comparison with the label, or names of events.

    Without either every event is a positive. `weights` gives what an event of a name
    counts in the losses, 1 if it is not listed; a weight column multiplies it.
    `history`: which of a user's events the models read; what was met is never
    recommended again, whichever it is.
    """

    positive: str | tuple[str, ...] = ()
    history: Literal["all", "positives"] = "all"
    weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.positive, str):
            self.comparison()
        for name, weight in self.weights.items():
            if not 0 <= weight < math.inf:
                raise ConfigError(f"weights: {name} is {weight}, expected 0 or more.")

    def comparison(self) -> tuple[str, float]:
        """Return the operator and the bound of a comparison such as ">= 4"."""
        match = COMPARISON.fullmatch(str(self.positive))
        if not match:
            raise ConfigError(
                f"positive is {self.positive!r}, expected a comparison with the "
                'label such as ">= 4", or a list of event names.'
            )
        return match[1], float(match[2])


@dataclass(frozen=True, kw_only=True)
class Split:
    """How events are parted into train, validation and test.

    `temporal`: `validation` and `test` are the shares of events, newest last.
    `leave_one_out`: each user's last event tests, the last but one validates.
    `held_out_users`: shares of the users, none of whose events are trained on; the
    share `fold_in` of their events is their history, the rest, the `newest` or a
    `random` choice (`targets`), is asked for.
    `cold_items`: shares of the items, none of whose events are trained on.
    `rolling`: `cuts` temporal splits whose test parts, `test` of the events each, lie
    one after the other at the end; the model is fitted for each, results are pooled.
    `random`: shares of the events, whenever they were; what is asked for comes after
    what is known of a user.
    `seed` chooses users, items, events and random targets. `ties` orders a user's
    events of one time, and so says which is the last: by their rows in the file, or
    by the rows of their items, lower ones first.
    """

    kind: SplitKind = "temporal"
    validation: float = 0.1
    test: float = 0.1
    fold_in: float = 0.8
    targets: Literal["newest", "random"] = "newest"
    cuts: int = 5
    seed: int = 0
    ties: Literal["file", "item"] = "file"

    def __post_init__(self) -> None:
        for name in ("validation", "test", "fold_in"):
            share = getattr(self, name)
            if not 0 < share < 1:
                raise ConfigError(f"{name} is {share}, expected between 0 and 1.")
        if self.cuts < 1:
            raise ConfigError(f"cuts is {self.cuts}, expected 1 or more.")
        tests = self.cuts if self.kind == "rolling" else 1
        if self.validation + tests * self.test >= 1:
            times = f", {tests} times," if tests > 1 else ""
            raise ConfigError(f"validation and test{times} leave nothing to train on.")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which events are kept before the split.

    `positives_only` drops the others, `label` those whose label does not compare so,
    such as "!= 3". Users and items of fewer events than `min_user_events` and
    `min_item_events` are dropped by turns until all that are left have as many (the
    k-core when both are k).
    """

    positives_only: bool = False
    label: str | None = None
    min_user_events: int = 1
    min_item_events: int = 1

    def __post_init__(self) -> None:
        for name in ("min_user_events", "min_item_events"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 up.")
        self.comparison()

    def comparison(self) -> tuple[str, float] | None:
        """Return the operator and the bound that labels must meet, if any must."""
        if self.label is None:
            return None
        match = COMPARISON.fullmatch(self.label)
        if not match:
            raise ConfigError(
                f"label is {self.label!r}, expected a comparison such as '!= 3'."
            )
        return match[1], float(match[2])


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The whole `[data]` part of an experiment's TOML.

    `popularity_prior`: with 0 an item is as popular lately as it has events in the
    window; above 0, so many events an item stand beside them that are spread as all
    events before, and what counts is the share: see `statistics.Statistics`. For data
    whose traffic rises and falls by much.
    """

    interactions: Table
    items: Table | None = None
    users: Table | None = None
    catalog: str | None = None
    label: Label = field(default_factory=Label)
    split: Split = field(default_factory=Split)
    filter: Filter = field(default_factory=Filter)
    drift: Drift = field(default_factory=Drift)
    popularity_window_days: float = 30.0
    popularity_prior: float = 0.0
    max_categories: int = 10_000

    def __post_init__(self) -> None:
        for name in ("interactions", "items", "users"):
            table = getattr(self, name)
            if table is not None:
                _check_roles(name, table)
        if not 0 < self.popularity_window_days < math.inf:
            raise ConfigError(
                f"popularity_window_days is {self.popularity_window_days}, expected "
                "a number of days above 0."
            )
        if not 0 <= self.popularity_prior < math.inf:
            raise ConfigError(
                f"popularity_prior is {self.popularity_prior}, expected a number of "
                "events an item, 0 or more."
            )
        if self.max_categories < 1:
            raise ConfigError("max_categories must be 1 or more.")
        self._check_label()

    def _check_label(self) -> None:
        if self.filter.label and not self.interactions.column("label"):
            raise ConfigError(
                f"[data.filter] label = {self.filter.label!r} compares a label, and no "
                "column of the interactions has the role 'label'."
            )
        positive = self.label.positive
        if isinstance(positive, str) and not self.interactions.column("label"):
            raise ConfigError(
                f"[data.label] positive = {positive!r} compares a label, and no "
                "column of the interactions has the role 'label'."
            )
        listed = [n for n in ("positive", "weights") if getattr(self.label, n)]
        if isinstance(positive, str):
            listed.remove("positive")
        if listed and not self.interactions.column("event"):
            raise ConfigError(
                f"[data.label] {listed[0]} lists events, and no column of the "
                "interactions has the role 'event'."
            )

    def tables(self) -> dict[str, Table]:
        """Return the tables that the TOML names, by name."""
        tables = {n: getattr(self, n) for n in ("interactions", "items", "users")}
        return {name: table for name, table in tables.items() if table is not None}

    def text_columns(self) -> dict[str, Column]:
        """Return the item columns that an item's text is made of, in the TOML's order.

        Those of kind text, and those marked `in_text`.
        """
        if self.items is None:
            return {}
        columns = self.items.columns.items()
        return {n: c for n, c in columns if c.kind == "text" or c.in_text}

    def title_column(self) -> str | None:
        """Return the item column that is the title: the marked one, else a text."""
        if self.items is None:
            return None
        columns = self.items.columns.items()
        marked = [n for n, c in columns if c.title]
        texts = [n for n, c in columns if c.kind == "text"]
        return next(iter([*marked, *texts]), None)

    def display_columns(self) -> tuple[str, ...]:
        """Return the item columns that `describe` returns beside the title."""
        if self.items is None:
            return ()
        return tuple(n for n, c in self.items.columns.items() if c.display)


def _check_roles(name: str, table: Table) -> None:
    allowed = ROLES_OF[name]
    once = allowed - {"feature", "context"}
    for column, spec in table.columns.items():
        _check_name(name, column, spec)
        if spec.role not in allowed:
            raise ConfigError(
                f"[data.{name}.columns] {column}: role '{spec.role}' is not one of "
                f"this table. {nearest(spec.role, allowed)}"
            )
        if name != "items" and spec.in_text:
            raise ConfigError(
                f"[data.{name}.columns] {column}: in_text is for columns of items, "
                "which alone have a text. Leave it out."
            )
        if name == "users" and spec.kind == "text":
            raise ConfigError(
                f"[data.users.columns] {column}: text is read from items only; make "
                "it categorical or leave it out."
            )
    for role in once:
        holders = [n for n, c in table.columns.items() if c.role == role]
        if len(holders) > 1:
            raise ConfigError(
                f"[data.{name}.columns]: role '{role}' stands at {holders}; expected "
                "one column."
            )
    for role in NEEDED_ROLES[name]:
        if role not in {c.role for c in table.columns.values()}:
            raise ConfigError(
                f'[data.{name}.columns]: no column has role = "{role}". Add it.'
            )


def _check_name(table: str, column: str, spec: Column) -> None:
    """Demand names that layers and the served models' inputs can have."""
    taken = RESERVED_NAMES if spec.role == "context" else set()
    served = spec.role in ("feature", "context")
    if served and (not SERVED_NAME.fullmatch(column) or column in taken):
        others = f", and none of {', '.join(sorted(taken))}" if taken else ""
        raise ConfigError(
            f"[data.{table}.columns] {column!r}: the name of a feature becomes an "
            "input of the served models; expected a letter, then letters, digits and "
            f"_{others}. Rename it: in separated text by names = [...], else in the "
            "file."
        )


def data_config(toml: dict[str, Any], path: Path) -> DataConfig:
    """Build the data configuration from a whole experiment's TOML.

    In: `path`: the TOML's place, for messages. Raises: ConfigError.
    """
    if "data" not in toml:
        raise ConfigError(f"{path}: no [data] table. {nearest('data', toml)}")
    return build(DataConfig, toml["data"], f"{path} [data]")


def as_table(config: Any) -> Any:
    """Return a configuration as plain dicts and lists, for JSON and fingerprints."""
    return dataclasses.asdict(config)
