"""Writes the tables of items and users: an id, codes and what people read."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from data import prepared
from data.features import Feature, FeatureSet
from data.prepare.shards import arrow_table, write_table
from data.schema import DataConfig

NO = ("0", "false", "f", "no", "n")


def write_items(
    config: DataConfig,
    path: str,
    items: pd.DataFrame,
    features: FeatureSet,
    listed: pd.Index,
) -> None:
    """Write the items' table. In: as `item_table`."""
    write_table(path, _item_columns(config, items, features, listed))


def item_table(
    config: DataConfig, items: pd.DataFrame, features: FeatureSet, listed: pd.Index
) -> pa.Table:
    """Encode items as the prepared table holds them.

    In: `items`: raw strings by id, in the order of the rows; `listed`: the ids that
    the raw table holds.
    """
    return arrow_table(_item_columns(config, items, features, listed))


def _item_columns(
    config: DataConfig, items: pd.DataFrame, features: FeatureSet, listed: pd.Index
) -> dict[str, pa.Array | np.ndarray]:
    extra = {
        "servable": _servable(config, items, listed),
        "text": pa.array(features.text.encode(items), pa.string()),
        "title": _strings(items, config.title_column()),
    }
    for name in config.display_columns():
        extra[prepared.DISPLAY_PREFIX + name] = _strings(items, name)
    return _columns("item_id", items, features.items, extra)


def write_users(path: str, users: pd.DataFrame, features: FeatureSet) -> None:
    """Write the users' table. In: raw strings by id, in the order of the rows."""
    write_table(path, _columns("user_id", users, features.users, {}))


def _columns(
    id_name: str,
    frame: pd.DataFrame,
    features: tuple[Feature, ...],
    extra: Mapping[str, pa.Array | np.ndarray],
) -> dict[str, pa.Array | np.ndarray]:
    codes = {
        prepared.FEATURE_PREFIX + f.name: f.encode(frame[f.name]) for f in features
    }
    ids = pa.array(frame.index.to_numpy(object), pa.string())
    return {id_name: ids, **extra, **codes}


def _servable(config: DataConfig, items: pd.DataFrame, listed: pd.Index) -> np.ndarray:
    if config.items is None:
        return np.ones(len(items), bool)
    servable = np.asarray(items.index.isin(listed))
    if column := config.items.column("available"):
        refused = items[column].fillna("").str.strip().str.lower().isin(NO)
        servable &= ~refused.to_numpy(bool)
    return servable


def _strings(items: pd.DataFrame, column: str | None) -> pa.Array:
    if column is None:  # Without any title the id is what a person can read.
        return pa.array(items.index.to_numpy(object), pa.string())
    return pa.array(items[column].fillna("").to_numpy(object), pa.string())
