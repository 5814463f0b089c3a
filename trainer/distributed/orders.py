"""What the worker that leads tells the others to fit."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from data import files
from data.events import EventLog, Stretch
from data.prepared import Prepared
from data.schema import as_table

COLUMNS = "examples.npz"


def order_of(
    kind: str, prepared: Prepared, stretch: Stretch, log: EventLog, **details: Any
) -> dict[str, Any]:
    """Describe a fit: enough for another process to make the same model and batches.

    In: `log`: what it is fitted on, all events or those of a stretch.
    """
    return {
        "kind": kind,
        "fold": fold_of(prepared),
        "stretch": dataclasses.asdict(stretch),
        "everything": len(log) == len(prepared.as_happened),
        **details,
    }


def leave_columns(columns: Mapping[str, np.ndarray], folder: str) -> str:
    """Write a fit's examples where the others find them. Out: the place."""
    place = files.join(folder, COLUMNS)
    files.make_folder(folder)
    with files.open_file(place, "wb") as file:
        np.savez(file, **columns)  # type: ignore[arg-type]
    return place


def columns_at(place: str) -> dict[str, np.ndarray]:
    """Read what `leave_columns` wrote."""
    with files.open_file(place) as file, np.load(file) as columns:
        return dict(columns)


def fold_of(prepared: Prepared) -> dict[str, Any] | None:
    """Return what tells a fold from the others of the same data."""
    return dict(as_table(prepared.fold)) if prepared.fold else None
