"""Changes the catalogue of what is served: a new version, the weights as they were."""

import time
from collections.abc import Callable

from data.changes import (
    Changes,
    check_known,
    item_id_column,
    read_ids,
    read_items,
    with_changes,
)
from data.changes.changes import item_columns
from data.console import say, step
from data.errors import DataError
from data.prepared import Prepared
from trainer.catalogue.exported import Exported
from trainer.export.labels import tell_unserved

ABOUT = ("runs", "metrics", "protocol", "calibration", "prepared", "retrain")


def add_items(models: str, path: str) -> int:
    """Add items of a table, and change those that exist. Out: the version.

    Raises: DataError for what is wrong with the table; ExportError when the models
    cannot be read back; GateRefused, before anything is written.
    """

    def change(prepared: Prepared, changes: Changes) -> Changes:
        rows = read_items(path, prepared.config)
        missing = [n for n in item_columns(prepared.config) if n not in rows]
        if missing:
            say(
                f"{path} has no column {', '.join(map(repr, missing))}: unknown of new "
                "items, unchanged of others."
            )
        return changes.adding(rows, prepared, path)

    return _publish_changed(models, path, change)


def remove_items(models: str, path: str) -> int:
    """Take items off all lists; histories still read them. Out: the version.

    Raises: as `add_items`.
    """

    def change(prepared: Prepared, changes: Changes) -> Changes:
        ids = read_ids(path, prepared.config)
        known = with_changes(prepared, changes).item_ids[1:]
        check_known(path, ids, item_id_column(prepared.config), known)
        return changes.removing(ids)

    return _publish_changed(models, path, change)


def _publish_changed(
    models: str, path: str, change: Callable[[Prepared, Changes], Changes]
) -> int:
    started = time.monotonic()
    exported = Exported.newest(models)
    original = exported.prepared()
    before, after = exported.changes, change(original, exported.changes)
    if after.fingerprint == before.fingerprint:
        say(f"Nothing to do: version {exported.version} holds all of {path} already.")
        return exported.version
    servable = with_changes(original, after).servable
    if not servable.any():
        raise DataError(
            f"{path}: no item would be left to recommend, expected one or more. Add "
            "items first, or leave some of these out."
        )
    # Late, so that a mistake in the table is told at once.
    from trainer.catalogue.amend import amended
    from trainer.catalogue.restore import restored
    from trainer.catalogue.text_store import TextStore
    from trainer.export.export import export

    with step(f"Reading the models of version {exported.version}"):
        fitted = restored(exported, original)
    fitted = amended(fitted, after, TextStore(exported.out, exported.config.text))
    about = {n: exported.manifest[n] for n in ABOUT if n in exported.manifest}
    version = export(fitted, exported.config, models, about)
    say(
        f"Published version {version} of retrieval, ranking and recommender: items "
        f"{_counted(original, before, after)}; {int(servable.sum()):,} can be "
        f"recommended. {time.monotonic() - started:.0f} s"
    )
    tell_unserved(models, version, exported.config.retrain.server_root)
    return version


def _counted(prepared: Prepared, before: Changes, after: Changes) -> str:
    """Say how many items one call has added, changed and removed."""
    known = {*prepared.items["item_id"], *before.by_id}
    touched = {i: c for i, c in after.by_id.items() if before.by_id.get(i) != c}
    removed = sum(change.removed for change in touched.values())
    added = sum(item_id not in known for item_id in touched)
    changed = len(touched) - removed - added
    return f"{added:,} added, {changed:,} changed, {removed:,} removed"
