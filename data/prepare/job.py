"""Turns raw tables into a prepared data set: rows, codes, split, shards, manifest.

The interactions go through in blocks (`data.staging`) and come out in shards
(`data.shards`), so that their number is bounded by the disk, not by memory; tables of
users and items are read whole.
"""

import datetime
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data import files, prepared
from data.console import say, step
from data.errors import DataError
from data.features import (
    Categorical,
    Feature,
    FeatureSet,
    Text,
    fit_table,
    numeric_of,
    vocabulary_of,
)
from data.fetch import fetch
from data.prepare.entities import write_items, write_users
from data.prepare.shards import (
    Written,
    encode_context,
    plan_shards,
    write_events,
    write_impressions,
)
from data.prepare.staging import Staged, resolve, stage
from data.prepared import Prepared
from data.schema import DataConfig, as_table
from data.split import Parting, plan
from data.tables import read_table, table_path
from data.validate import Checker, Report

PREPARE_VERSION = 2  # Raised when the same tables would be prepared differently.


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
    fingerprint = files.fingerprint(PREPARE_VERSION, _described(config), sums)
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
    return files.as_written(
        fetch(config.catalog) if config.catalog else toml_path.parent
    )


def check(config: DataConfig, toml_path: Path) -> Report:
    """Read and validate the raw tables; no prepared data set is written.

    Raises: DataError when a table cannot be read, or nothing is left to learn from.
    """
    with _scratch(None) as scratch:
        staged, report, _ = _stage(config, raw_folder(config, toml_path), scratch)
        if not report.errors:
            _require_events(config, staged, report)
        return report


def _entity_tables(config: DataConfig, folder: str) -> dict[str, pd.DataFrame]:
    tables = config.tables()
    names = [name for name in tables if name != "interactions"]
    return {name: read_table(name, tables[name], folder) for name in names}


@contextmanager
def _scratch(beside: str | None) -> Iterator[Path]:
    """Yield a local folder for blocks, removed at the end.

    In: a folder on whose disk there is room, if it is a local one.
    """
    local = beside is not None and not files.is_remote(beside)
    path = Path(tempfile.mkdtemp(prefix="blocks.", dir=beside if local else None))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _stage(
    config: DataConfig, folder: str, scratch: Path
) -> tuple[Staged, Report, dict[str, pd.DataFrame]]:
    """Read all tables. Out: also those of items and users, by id, each id once."""
    tables = _entity_tables(config, folder)
    checker = Checker(config, tables)
    staged = stage(config, folder, scratch, checker)
    report = checker.report(len(staged.users), len(staged.items))
    entities = {
        name: _add_ids(config, tables, name, staged) for name in ("items", "users")
    }
    report.filtered = resolve(staged)
    return staged, report, entities


def _write(config: DataConfig, folder: str, out: str) -> dict[str, Any]:
    with _scratch(out) as scratch:
        staged, report, entities = _stage(config, folder, scratch)
        report.raise_errors()
        for line in report.losses():
            say(line)
        return _write_staged(config, out, staged, entities, report)


def _add_ids(
    config: DataConfig, tables: dict[str, pd.DataFrame], name: str, staged: Staged
) -> pd.DataFrame:
    """Make the ids of a table known. Out: the table by id, each once."""
    if name not in tables:
        return pd.DataFrame(index=pd.Index([], dtype=object))
    column = getattr(config, name).column("item_id" if name == "items" else "user_id")
    frame = tables[name].dropna(subset=[column]).drop_duplicates(column)
    ids = pa.array(frame[column].to_numpy(object), pa.string())
    getattr(staged, name).add(ids.dictionary_encode())
    return frame.set_index(frame[column].to_numpy(object))


def _write_staged(
    config: DataConfig,
    out: str,
    staged: Staged,
    entities: dict[str, pd.DataFrame],
    report: Report,
) -> dict[str, Any]:
    blocks = staged.blocks
    user_counts, item_counts = staged.counts()
    _require_events(config, staged, report)
    parting = plan(
        config.split, lambda: blocks.events("time"), user_counts, item_counts
    )
    shards = plan_shards(out, prepared.EVENTS, user_counts)
    written = write_events(blocks, parting, shards)
    context = _fit_context(config, staged, written)
    encode_context(staged, context, shards)
    num_users = len(user_counts) - 1
    impressions = write_impressions(blocks, out, prepared.IMPRESSIONS, num_users)
    listed = entities["items"].index
    items = entities["items"].reindex(
        staged.items.values.to_numpy(zero_copy_only=False)
    )
    users = entities["users"].reindex(
        staged.users.values.to_numpy(zero_copy_only=False)
    )
    features = FeatureSet(
        items=fit_table(config.items, items, config.max_categories),
        users=fit_table(config.users, users, config.max_categories),
        context=context,
        text=Text.of(config.text_columns()),
    )
    write_items(config, files.join(out, "items.parquet"), items, features, listed)
    write_users(files.join(out, "users.parquet"), users, features)
    counts = {
        "users": len(users),
        "items": len(items),
        "events": int(written.parts.sum()),
        "positives": written.positives,
        "impressions": impressions,
        "parts": written.parts.tolist(),
        "filtered": report.filtered,
    }
    return _manifest(config, counts, written, parting, features, report)


def _require_events(config: DataConfig, staged: Staged, report: Report) -> None:
    path, blocks = config.interactions.path, staged.blocks
    events = sum(int(kept.sum()) for kept in blocks.events("kept"))
    if events == 0:
        lost = "".join(f" {line}" for line in report.left_out())
        advice = " Loosen [data.filter]." if report.filtered else ""
        raise DataError(f"{path}: no event is left to learn from.{lost}{advice}")
    if not any(column.any() for column in blocks.events("positive")):
        raise DataError(
            f"{path}: none of {events:,} events is a positive, "
            f"which [data.label] positive = {config.label.positive!r} defines. "
            "Set it to what the label or event column holds."
        )


def _fit_context(
    config: DataConfig, staged: Staged, written: Written
) -> tuple[Feature, ...]:
    """Fit the context columns to the training events."""
    fitted: list[Feature] = []
    for name, column in config.interactions.of_role("context").items():
        found = written.context[name]
        if column.kind == "numeric":
            fitted.append(numeric_of(name, found))
            continue
        ids = staged.contexts[name]
        by_row = np.zeros(len(ids) + 1, np.int64)
        by_row[ids.rows()[:-1]] = found
        counts = pd.Series(by_row[1:], index=ids.values.to_numpy(zero_copy_only=False))
        vocabulary = vocabulary_of(counts, config.max_categories)
        fitted.append(Categorical(name=name, vocabulary=vocabulary))
    return tuple(fitted)


def _manifest(
    config: DataConfig,
    counts: dict[str, Any],
    written: Written,
    parting: Parting,
    features: FeatureSet,
    report: Report,
) -> dict[str, Any]:
    folds = [[f.validation, f.test, f.end] for f in parting.folds]
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": _without_none(_described(config)),
        "counts": counts,
        "time": {
            "known": config.interactions.column("time") is not None,
            "first": written.first,
            "last": written.last,
        },
        "split": {"cuts": folds[-1][:2] if folds else None, "folds": folds},
        "features": features.to_json(),
        "warnings": [str(finding) for finding in report.warnings],
    }


def _described(config: DataConfig) -> dict[str, Any]:
    """Return what of a configuration changes the prepared data."""
    table: dict[str, Any] = as_table(config)
    del table["drift"]  # What new data are held to leaves old ones as they are.
    return table


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, tuple):
        return [_without_none(v) for v in value]
    return value
