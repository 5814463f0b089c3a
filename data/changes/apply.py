"""A prepared data set whose items are as they are now.

Rows that exist keep their place, new ones follow, so that the events' rows and all
that was learned from them stay right.
"""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from data.changes.changes import Changes, item_columns
from data.prepare.entities import item_table
from data.prepared import DISPLAY_PREFIX, FEATURE_PREFIX, Prepared
from data.schema import DataConfig


def with_changes(prepared: Prepared, changes: Changes) -> Prepared:
    """Return the data set with the items' table as changes leave it.

    Cells are coded by the features as they were fitted: a value that no vocabulary
    has is unknown. In: `prepared`: as it was prepared.
    """
    items = prepared.items
    known = pd.Index(items["item_id"])
    ids = [i for i, change in changes.by_id.items() if change.listed or i in known]
    if not ids:
        return prepared
    changed = _changed_rows(prepared, changes, ids)
    rest = items[~known.isin(ids)]
    order = [*known, *pd.Index(ids).difference(known, sort=False)]
    table = pd.concat([rest, changed]).set_index("item_id").loc[order].reset_index()
    return dataclasses.replace(prepared, other_items=table)


def _changed_rows(prepared: Prepared, changes: Changes, ids: list[str]) -> pd.DataFrame:
    """Encode the cells that were given; of the others the codes stay."""
    config = prepared.config
    of_ids = [changes.by_id[item_id] for item_id in ids]
    before = prepared.items.set_index("item_id").reindex(ids).reset_index()
    is_new = before["servable"].isna().to_numpy()

    def given(*columns: str) -> np.ndarray:
        said = [all(c in change.values for c in columns) for change in of_ids]
        return is_new | np.array(said)

    cells = {
        name: pd.Series([c.values.get(name) for c in of_ids], ids, dtype=object)
        for name in item_columns(config)
    }
    raw = pd.DataFrame(cells, index=pd.Index(ids, dtype=object))
    after = item_table(config, raw, prepared.features, raw.index).to_pandas()
    rows: dict[str, Any] = {"item_id": ids}
    for name in prepared.items.columns[1:]:
        columns = _columns_behind(name, config)
        wanted = given(*columns) if columns else is_new
        kind = after[name].dtype
        rows[name] = after[name].where(wanted, before[name]).astype(kind)
    available = config.items.column("available") if config.items else None
    if available is None:  # What is listed can be served.
        rows["servable"] |= np.array([change.listed for change in of_ids])
    rows["servable"] &= ~np.array([change.removed for change in of_ids])
    return pd.DataFrame(rows)


def _columns_behind(stored: str, config: DataConfig) -> tuple[str, ...]:
    """Return the raw columns that a stored one is made of."""
    if stored == "text":
        return tuple(config.text_columns())
    if stored == "servable":
        name = config.items.column("available") if config.items else None
    elif stored == "title":
        name = config.title_column()
    else:
        name = stored.removeprefix(FEATURE_PREFIX).removeprefix(DISPLAY_PREFIX)
    return () if name is None else (name,)
