"""A prepared data set: what `prepare` wrote, read back into arrays."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data import files
from data.errors import DataError
from data.events import (
    TEST,
    TRAIN,
    VALIDATION,
    EventLog,
    Stretch,
    count_before,
    row_starts,
    untied,
)
from data.features import Feature, FeatureSet
from data.queries import Queries, Targets, evaluation_queries
from data.schema import DataConfig
from data.settings import build
from data.split import Fold, ask_last, temporal
from data.statistics import Statistics

FORMAT = 2
MANIFEST = "manifest.json"
EVENTS = "events"
IMPRESSIONS = "impressions"
CONTEXT_PREFIX = "context."
FEATURE_PREFIX = "feature."
DISPLAY_PREFIX = "display."


@dataclass(frozen=True)
class Prepared:
    """A prepared data set on disk.

    Rows of users and items count from 1; row 0 stands for padding and the unknown,
    and holds zeros and empty strings in every table. `fold`: which of several
    temporal splits parts the events; those after its end are left out.
    `other_items`: the items' table to read instead of that in the folder, whose rows
    it begins with.
    """

    folder: str
    manifest: dict[str, Any]
    fold: Fold | None = None
    other_items: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    @classmethod
    def load(cls, folder: str) -> "Prepared":
        """Open a prepared folder. Raises: DataError when it is none of ours."""
        place = files.join(folder, MANIFEST)
        if not files.exists(place):
            raise DataError(
                f"{folder}: no {MANIFEST}, expected a prepared data set. "
                "Run: python -m data prepare."
            )
        manifest = files.read_json(place)
        if manifest.get("format") != FORMAT:
            raise DataError(
                f"{place}: format {manifest.get('format')}, expected {FORMAT}. "
                "It was written by another version; run: python -m data prepare."
            )
        return cls(folder, manifest)

    def folds(self) -> list["Prepared"]:
        """Return the set once for each fold of a rolling split, else itself alone."""
        folds = self.manifest["split"]["folds"]
        if len(folds) < 2:
            return [self]
        named = [Fold(validation=v, test=t, end=e) for v, t, e in folds]
        return [Prepared(self.folder, self.manifest, fold) for fold in named]

    @property
    def fingerprint(self) -> str:
        """Return what changes whenever the raw tables or their description do."""
        return str(self.manifest["fingerprint"])

    @cached_property
    def config(self) -> DataConfig:
        """Return the data configuration that the set was prepared with."""
        return build(DataConfig, self.manifest["config"], self.folder)

    @cached_property
    def features(self) -> FeatureSet:
        """Return the fitted features."""
        return FeatureSet.from_json(self.manifest["features"])

    @cached_property
    def events(self) -> EventLog:
        """Return all events as an evaluation asks about them: see `split.ask_last`."""
        log = self.as_happened
        if self.config.split.kind in ("held_out_users", "cold_items", "random"):
            return ask_last(log)
        if self.fold is None:
            return log
        log = log if self.fold.end is None else log.earlier_than(self.fold.end)
        return log.replace(part=temporal(log.time, self.fold))

    @cached_property
    def counted(self) -> EventLog:
        """Return the events that an evaluation's statistics count, up to a request.

        All of them; where no time parts the events, those of the training part: what
        others are asked for lies before a request there, and without times a request
        knows no before. An item whose events were counted would not be cold either.
        """
        return self.to_count(self.events)

    def to_count(self, log: EventLog) -> EventLog:
        """Return what is counted of a log with this set's parts; see `counted`."""
        return log if self.cut(VALIDATION) is not None else log.through(TRAIN)

    @cached_property
    def as_happened(self) -> EventLog:
        """Read all events, in their final order: see `split.final_order`.

        Where the last event of each user is asked for, that order is what counts,
        and level times are moved apart (`events.untied`).
        """
        columns = self._columns(EVENTS)
        context = {
            name.removeprefix(CONTEXT_PREFIX): columns.pop(name)
            for name in list(columns)
            if name.startswith(CONTEXT_PREFIX)
        }
        if self.is_untied:
            columns["time"] = untied(columns["user"], columns["time"])
            columns["before"] = count_before(columns["user"], columns["time"])
        start = row_starts(columns["user"], self.num_users)
        likes_alone = self.config.label.history == "positives"
        return EventLog(
            **columns, context=context, start=start, likes_alone=likes_alone
        )

    @property
    def is_untied(self) -> bool:
        """Tell whether each event counts as earlier than the one that follows it."""
        return self.config.split.kind == "leave_one_out"

    @cached_property
    def impressions(self) -> dict[str, np.ndarray]:
        """Read what was shown and not chosen: `user`, `item` int32, `time` int64."""
        return self._columns(IMPRESSIONS)

    def _columns(self, stem: str) -> dict[str, np.ndarray]:
        """Read all shards of a stem, several at once."""
        with ThreadPoolExecutor() as pool:
            table = pa.concat_tables(pool.map(_read_shard, self.shards(stem)))
        return {name: _to_numpy(table[name]) for name in table.column_names}

    def shards(self, stem: str = EVENTS) -> list[str]:
        """Return the paths of the shards of events, in the order of their users."""
        names = [n for n in files.listdir(self.folder) if n.startswith(f"{stem}-")]
        return [files.join(self.folder, name) for name in names]

    @cached_property
    def items(self) -> pd.DataFrame:
        """Return the items' table as it is stored, a row an item, without row 0."""
        if self.other_items is not None:
            return self.other_items
        return self._read_frame("items.parquet")

    @cached_property
    def _users(self) -> pd.DataFrame:
        return self._read_frame("users.parquet")

    def _read_frame(self, name: str) -> pd.DataFrame:
        with files.open_file(files.join(self.folder, name)) as file:
            frame: pd.DataFrame = pq.read_table(file).to_pandas()
        return frame

    @property
    def num_items(self) -> int:
        """Return the number of items, row 0 not counted."""
        if self.other_items is not None:
            return len(self.other_items)
        return int(self.manifest["counts"]["items"])

    @property
    def num_users(self) -> int:
        """Return the number of users, row 0 not counted."""
        return int(self.manifest["counts"]["users"])

    @cached_property
    def item_ids(self) -> np.ndarray:
        """Return the items' ids. Out: object array of str (items + 1,)."""
        return _with_row_0(self.items["item_id"].to_numpy(object), "")

    @cached_property
    def user_ids(self) -> np.ndarray:
        """Return the users' ids. Out: object array of str (users + 1,)."""
        return _with_row_0(self._users["user_id"].to_numpy(object), "")

    @cached_property
    def servable(self) -> np.ndarray:
        """Tell which items may be recommended. Out: bool (items + 1,)."""
        return _with_row_0(self.items["servable"].to_numpy(bool), False)

    @cached_property
    def is_listed(self) -> np.ndarray:
        """Tell which items the items' table says something of. Out: bool (items + 1,).

        An item that is known from events alone, or whose row is empty, is not listed.
        """
        listed = self.servable | (self.texts != "")
        for codes in self.item_features.values():
            listed |= codes.reshape(len(codes), -1).any(axis=1)
        return listed

    @cached_property
    def texts(self) -> np.ndarray:
        """Return the items' joined texts. Out: object array of str (items + 1,)."""
        return _with_row_0(self.items["text"].to_numpy(object), "")

    @cached_property
    def titles(self) -> np.ndarray:
        """Return the items' titles. Out: object array of str (items + 1,)."""
        return _with_row_0(self.items["title"].to_numpy(object), "")

    @cached_property
    def display(self) -> dict[str, np.ndarray]:
        """Return the display columns. Out: object arrays of str (items + 1,)."""
        names = [c for c in map(str, self.items) if c.startswith(DISPLAY_PREFIX)]
        return {
            name.removeprefix(DISPLAY_PREFIX): _with_row_0(
                self.items[name].to_numpy(object), ""
            )
            for name in names
        }

    @cached_property
    def item_features(self) -> dict[str, np.ndarray]:
        """Return the items' codes: int32 (n,), int32 (n, v) or float32 (n, 2)."""
        return _codes(self.items, self.features.items)

    @cached_property
    def user_features(self) -> dict[str, np.ndarray]:
        """Return the users' codes: int32 (n,), int32 (n, v) or float32 (n, 2)."""
        return _codes(self._users, self.features.users)

    @property
    def window_s(self) -> int:
        """Return the length of the popularity window in seconds."""
        return int(self.config.popularity_window_days * 86_400)

    @property
    def end_time(self) -> int:
        """Return the second after the newest event, Unix seconds."""
        if self.fold is not None and self.fold.end is not None:
            return self.fold.end
        return int(self.manifest["time"]["last"]) + 1

    def cut(self, part: int) -> int | None:
        """Return when VALIDATION or TEST begins; None if no time parts them."""
        cuts = self.manifest["split"]["cuts"]
        if self.fold is not None:
            cuts = [self.fold.validation, self.fold.test]
        return None if cuts is None else int(cuts[part - VALIDATION])

    def queries(self, part: int, targets: Targets | None = None) -> Queries:
        """Ask about a part of the split, VALIDATION or TEST.

        In: `targets`: items with a training event or those without; None asks for
        what the split is about.
        """
        if part not in (VALIDATION, TEST):
            raise ValueError(f"part is {part}, expected VALIDATION or TEST")
        return evaluation_queries(
            self.events,
            part,
            at=self.cut(part),
            servable=self.servable,
            targets=targets or self.headline_targets,
        )

    def training(self, end: int | None = None) -> Stretch:
        """Return what models that are evaluated may be fitted on.

        In: `end`: leave out what is not before it, Unix seconds.
        """
        begin = self.cut(VALIDATION)
        if begin is None:  # No time parts the events, so their own part counts.
            return Stretch(part=TRAIN, end=end)
        return Stretch(end=begin if end is None else min(begin, end))

    @property
    def time_is_known(self) -> bool:
        """Tell whether times are times; else they are the numbers of the rows."""
        return bool(self.manifest["time"]["known"])

    @property
    def asks_for_cold_items(self) -> bool:
        """Tell whether items without any training event are what is asked for."""
        return self.headline_targets == "cold"

    @property
    def headline_targets(self) -> Targets:
        """Return which relevant items the split is about."""
        return "cold" if self.config.split.kind == "cold_items" else "warm"

    def item_statistics(self, log: EventLog) -> Statistics:
        """Index the items' statistics of a log."""
        return Statistics.of_items(
            log,
            self.num_items,
            self.window_s,
            timeless=not self.time_is_known,
            prior=self.config.popularity_prior,
            prior_items=int(self.manifest["counts"]["items"]),
        )

    def user_statistics(
        self, log: EventLog, base: EventLog | None = None
    ) -> Statistics:
        """Index the users' statistics of a log; see `Statistics.of_users`."""
        timeless = not self.time_is_known
        return Statistics.of_users(log, self.window_s, timeless=timeless, base=base)


def _with_row_0(values: np.ndarray, zero: Any) -> np.ndarray:
    padded = np.empty((len(values) + 1, *values.shape[1:]), values.dtype)
    padded[0], padded[1:] = zero, values
    return padded


def _codes(frame: pd.DataFrame, features: tuple[Feature, ...]) -> dict[str, np.ndarray]:
    codes = {}
    for feature in features:
        column = frame[FEATURE_PREFIX + feature.name]
        if feature.kind == "categorical":
            values = column.to_numpy(np.int32)
        else:
            dtype = np.float32 if feature.kind == "numeric" else np.int32
            values = np.stack(column.to_list()).astype(dtype)
        codes[feature.name] = _with_row_0(values, 0)
    return codes


def _read_shard(path: str) -> pa.Table:
    with files.open_file(path) as file:
        return pq.read_table(file)


def _to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_fixed_size_list(column.type):
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.reshape(flat, (-1, column.type.list_size))
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False))
