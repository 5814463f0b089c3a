"""Turns raw tables into a prepared data set: rows, codes, split, shards, manifest."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data import files, prepared
from data.console import say, step
from data.errors import DataError
from data.events import TRAIN, EventLog, count_before, row_starts
from data.features import Feature, FeatureSet, fit_all
from data.fetch import fetch
from data.prepared import Prepared
from data.schema import COMPARISONS, DataConfig, as_table
from data.split import leave_one_out, temporal, temporal_cuts
from data.tables import read_table, table_path
from data.validate import Report, parse_times, validate

PREPARE_VERSION = 1  # Raised when the same tables would be prepared differently.
ROW_GROUP_EVENTS = 1 << 19


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The ids of users or items in the order of their rows, and the way back."""

    values: np.ndarray
    rows: pd.Series

    @classmethod
    def of(cls, *columns: pd.Series) -> "Ids":
        """Collect the distinct ids, sorted, so that rows do not tell of the time."""
        values = np.sort(pd.concat(columns).dropna().unique().astype(object))
        rows = pd.Series(np.arange(1, len(values) + 1, dtype=np.int32), index=values)
        return cls(values=values, rows=rows)


def prepare(config: DataConfig, toml_path: Path, out: str) -> Prepared:
    """Prepare a data set, or open the one that stands there from the same inputs.

    In: `toml_path`: where relative paths start; `out`: the folder to write, whole or
    not at all. Raises: DataError, ConfigError; OSError of a full disk.
    """
    standing = _manifest_at(out)
    folder = raw_folder(config, toml_path)
    sums = {
        name: files.sha256(table_path(table, folder))
        for name, table in config.tables().items()
    }
    fingerprint = files.fingerprint(PREPARE_VERSION, as_table(config), sums)
    if standing.get("fingerprint") == fingerprint:
        return Prepared.load(out)
    with step("Preparing the data"), files.new_folder(out) as beside:
        manifest = _write(config, folder, beside)
        manifest = {"format": prepared.FORMAT, "fingerprint": fingerprint, **manifest}
        manifest["tables"] = sums
        files.write_json(files.join(beside, prepared.MANIFEST), manifest)
    return Prepared.load(out)


def _manifest_at(out: str) -> dict[str, Any]:
    """Return the manifest of what stands in a folder; empty if nothing does.

    Raises: DataError for what `prepare` did not write, and so must not replace.
    """
    try:
        names = files.listdir(out)
        manifest = {}
        if prepared.MANIFEST in names:
            manifest = dict(files.read_json(files.join(out, prepared.MANIFEST)))
    except (NotADirectoryError, ValueError, TypeError):
        names, manifest = [out], {}
    if names and "fingerprint" not in manifest:
        raise DataError(
            f"{out}: found other files ({', '.join(names[:3])}), expected an absent "
            "or empty folder, or a prepared data set to replace. Name another folder."
        )
    return manifest


def raw_folder(config: DataConfig, toml_path: Path) -> str:
    """Return where the raw tables are; a catalog's set is fetched first."""
    return str(fetch(config.catalog) if config.catalog else toml_path.parent)


def check(config: DataConfig, toml_path: Path) -> Report:
    """Read and validate the raw tables; nothing is written."""
    folder = raw_folder(config, toml_path)
    return validate(config, _read_all(config, folder))


def _read_all(config: DataConfig, folder: str) -> dict[str, pd.DataFrame]:
    return {n: read_table(n, t, folder) for n, t in config.tables().items()}


def _write(config: DataConfig, folder: str, out: str) -> dict[str, Any]:
    tables = _read_all(config, folder)
    report = validate(config, tables)
    report.raise_errors()
    for warning in report.warnings:
        say(f"Warning: {warning}")
    rows = _typed_rows(config, tables["interactions"])
    events, impressions = rows[~rows["shown"]], rows[rows["shown"]]
    items = _entity_table(config, tables, "items", "item_id")
    users = _entity_table(config, tables, "users", "user_id")
    item_ids = Ids.of(rows["item_id"], items["item_id"])
    user_ids = Ids.of(rows["user_id"], users["user_id"])
    log, cuts, order = _build_log(config, events, user_ids, item_ids)
    items = items.set_index("item_id").reindex(item_ids.values)
    users = users.set_index("user_id").reindex(user_ids.values)
    raw = tables["interactions"].loc[events.index].iloc[order]
    features = fit_all(config, items, users, raw[log.part == TRAIN])
    context = {f.name: f.encode(raw[f.name]) for f in features.context}
    _write_events(out, log.replace(context=context))  # type: ignore[arg-type]
    _write_impressions(out, impressions, user_ids, item_ids)
    _write_items(config, out, items, features, tables)
    _write_entities(files.join(out, "users.parquet"), "user_id", users, features.users)
    return _manifest(config, log, cuts, features, len(item_ids.values), report)


def _typed_rows(config: DataConfig, raw: pd.DataFrame) -> pd.DataFrame:
    table = config.interactions
    user, item = table.column("user_id"), table.column("item_id")
    events = pd.DataFrame({"user_id": raw[user], "item_id": raw[item]})
    if time := table.column("time"):
        seconds = parse_times(raw[time], table.columns[time])
        events["time"] = np.floor(seconds).astype(np.int64)
    else:  # The order of the rows is all that is known of the order in time.
        events["time"] = np.arange(1, len(raw) + 1, dtype=np.int64)
    label, kind = table.column("label"), table.column("event")
    events["label"] = pd.to_numeric(raw[label]) if label else np.nan
    events["positive"] = _positives(
        config, events["label"], raw[kind] if kind else None
    )
    weight, shown = table.column("weight"), table.column("impression")
    events["weight"] = pd.to_numeric(raw[weight]).fillna(1.0) if weight else 1.0
    yes = ("1", "true", "t", "yes", "y")
    events["shown"] = raw[shown].fillna("").str.lower().isin(yes) if shown else False
    return events.dropna(subset=["user_id", "item_id"])


def _positives(
    config: DataConfig, label: pd.Series, events: pd.Series | None
) -> np.ndarray:
    positive = config.label.positive
    if isinstance(positive, str):
        sign, bound = config.label.comparison()
        return np.asarray(COMPARISONS[sign](label, bound), bool)
    if positive and events is not None:
        return events.isin(positive).to_numpy(bool)
    return np.ones(len(label), bool)


def _entity_table(
    config: DataConfig, tables: dict[str, pd.DataFrame], name: str, role: str
) -> pd.DataFrame:
    if name not in tables:
        return pd.DataFrame({role: pd.Series(dtype=object)})
    column = getattr(config, name).column(role)
    frame = tables[name].dropna(subset=[column])
    return frame.assign(**{role: frame[column]})


def _build_log(
    config: DataConfig, events: pd.DataFrame, user_ids: Ids, item_ids: Ids
) -> tuple[EventLog, tuple[int, int] | None, np.ndarray]:
    if len(events) == 0:
        raise DataError(f"{config.interactions.path}: no event is left to learn from.")
    user = events["user_id"].map(user_ids.rows).to_numpy(np.int32)
    item = events["item_id"].map(item_ids.rows).to_numpy(np.int32)
    order = np.lexsort((events["time"].to_numpy(), user))  # Stable: file order in ties.
    user, item = user[order], item[order]
    time = events["time"].to_numpy()[order]
    cuts = None
    if config.split.kind == "temporal":
        cuts = temporal_cuts(time, config.split)
        part = temporal(time, cuts)
    else:
        part = leave_one_out(user)
    positive = events["positive"].to_numpy(bool)[order]
    if not positive.any():
        raise DataError(
            f"{config.interactions.path}: none of {len(events)} events is a positive, "
            f"which [data.label] positive = {config.label.positive!r} defines. "
            "Set it to what the label or event column holds."
        )
    log = EventLog(
        user=user,
        item=item,
        time=time,
        label=events["label"].to_numpy(np.float32)[order],
        positive=positive,
        weight=events["weight"].to_numpy(np.float32)[order],
        part=part,
        before=count_before(user, time),
        start=row_starts(user, len(user_ids.values)),
    )
    return log, cuts, order


def _write_events(out: str, log: EventLog) -> None:
    names = ("user", "item", "time", "label", "positive", "weight", "part", "before")
    columns = {name: _to_arrow(getattr(log, name)) for name in names}
    for name, values in log.context.items():
        columns[prepared.CONTEXT_PREFIX + name] = _to_arrow(values)
    path = files.join(out, f"{prepared.EVENTS}-00000-of-00001.parquet")
    _write_parquet(path, pa.table(columns))


def _write_impressions(
    out: str, impressions: pd.DataFrame, user_ids: Ids, item_ids: Ids
) -> None:
    columns = {
        "user": impressions["user_id"].map(user_ids.rows).to_numpy(np.int32),
        "item": impressions["item_id"].map(item_ids.rows).to_numpy(np.int32),
        "time": impressions["time"].to_numpy(np.int64),
    }
    path = files.join(out, f"{prepared.IMPRESSIONS}-00000-of-00001.parquet")
    _write_parquet(path, pa.table(columns))


def _to_arrow(values: np.ndarray) -> pa.Array:
    if values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(
            pa.array(values.ravel()), values.shape[1]
        )
    return pa.array(values)


def _write_parquet(path: str, table: pa.Table) -> None:
    with files.open_file(path, "wb") as file:
        pq.write_table(table, file, row_group_size=ROW_GROUP_EVENTS)


def _write_items(
    config: DataConfig,
    out: str,
    items: pd.DataFrame,
    features: FeatureSet,
    tables: dict[str, pd.DataFrame],
) -> None:
    extra = {
        "servable": pa.array(_servable(config, items, tables)),
        "text": pa.array(features.text.encode(items), pa.string()),
        "title": pa.array(_strings(items, config.title_column()), pa.string()),
    }
    for name in config.display_columns():
        strings = pa.array(_strings(items, name), pa.string())
        extra[prepared.DISPLAY_PREFIX + name] = strings
    path = files.join(out, "items.parquet")
    _write_entities(path, "item_id", items, features.items, extra)


def _servable(
    config: DataConfig, items: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> np.ndarray:
    if config.items is None:
        return np.ones(len(items), bool)
    listed = tables["items"][config.items.column("item_id")]
    servable = items.index.isin(listed)
    if column := config.items.column("available"):
        refused = ("0", "false", "f", "no", "n")
        servable &= ~items[column].fillna("").str.lower().isin(refused).to_numpy()
    return servable


def _strings(items: pd.DataFrame, column: str | None) -> np.ndarray:
    if column is None:  # Without any title the id is what a person can read.
        return items.index.to_numpy(object)
    return items[column].fillna("").to_numpy(object)


def _write_entities(
    path: str,
    id_name: str,
    frame: pd.DataFrame,
    features: tuple[Feature, ...],
    extra: dict[str, pa.Array] | None = None,
) -> None:
    columns = {id_name: pa.array(frame.index.to_numpy(object), pa.string())}
    columns |= extra or {}
    for feature in features:
        codes = feature.encode(frame[feature.name])
        columns[prepared.FEATURE_PREFIX + feature.name] = _to_arrow(codes)
    _write_parquet(path, pa.table(columns))


def _manifest(
    config: DataConfig,
    log: EventLog,
    cuts: tuple[int, int] | None,
    features: FeatureSet,
    num_items: int,
    report: Report,
) -> dict[str, Any]:
    counts = {
        "users": log.num_users,
        "items": num_items,
        "events": len(log),
        "positives": int(log.positive.sum()),
        "parts": np.bincount(log.part, minlength=3).tolist(),
    }
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": _without_none(as_table(config)),
        "counts": counts,
        "time": {
            "known": config.interactions.column("time") is not None,
            "first": int(log.time.min()),
            "last": int(log.time.max()),
        },
        "split": {"cuts": None if cuts is None else list(cuts)},
        "features": features.to_json(),
        "warnings": [str(finding) for finding in report.warnings],
    }


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, tuple):
        return [_without_none(v) for v in value]
    return value
