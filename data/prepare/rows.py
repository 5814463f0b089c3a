"""The rows of an interactions table with their types, a block at a time."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.schema import COMPARISONS, Column, DataConfig

SECONDS_PER = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
YES = ("1", "true", "t", "yes", "y")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a block of the interactions table says, a place for each of its rows.

    `user`, `item`: dictionary-encoded strings (n,), null where there is no id.
    `time`: float64 (n,), Unix seconds, NaN for what is no time; the row's number from
    1 where the table has no time. `label`, `weight`: float64 (n,), NaN for an empty
    cell and for what is no number. `positive`, `shown`: bool (n,).
    """

    user: pa.DictionaryArray
    item: pa.DictionaryArray
    time: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    positive: np.ndarray
    shown: np.ndarray

    @classmethod
    def of(cls, config: DataConfig, block: pa.Table, first_row: int) -> "Rows":
        """Read a block's cells.

        In: `block`: the named columns as strings, null for an empty cell;
        `first_row`: number of its first row, from 1.
        """
        table, size = config.interactions, block.num_rows
        label = _numbers(block, table.column("label"))
        time = np.arange(first_row, first_row + size, dtype=np.float64)
        if name := table.column("time"):
            time = _times(block, name, table.columns[name])
        weight = _numbers(block, table.column("weight"))
        if table.column("weight") is None:
            weight = np.ones(size)
        event = table.column("event")
        names = None if event is None else _strings(block, event)
        if names is not None and config.label.weights:
            weight = weight * names.map(config.label.weights).fillna(1.0).to_numpy()
        shown = np.zeros(size, bool)
        if name := table.column("impression"):
            cells = _strings(block, name).fillna("").str.strip().str.lower()
            shown = cells.isin(YES).to_numpy(bool)
        return cls(
            user=_encoded(block, table.column("user_id")),
            item=_encoded(block, table.column("item_id")),
            time=time,
            label=label,
            weight=weight,
            positive=_positives(config, label, names),
            shown=shown,
        )


def parse_times(values: pd.Series, spec: Column) -> pd.Series:
    """Parse a time column into Unix seconds, NaN where a cell is no time.

    In: strings. Out: float64, seconds UTC.
    """
    if spec.unit == "iso":
        texts = values.str.replace(r"\s*UTC$", "Z", regex=True)
        parsed = pd.to_datetime(texts, errors="coerce", utc=True, format="ISO8601")
        stamps = parsed.dt.tz_localize(None).to_numpy("datetime64[us]")
        known = stamps.astype(np.int64) / 1e6
        seconds = _plausible(np.where(np.isnat(stamps), np.nan, known))
    else:
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
        seconds = _plausible(numbers * SECONDS_PER[spec.unit])
    return pd.Series(seconds, index=values.index)


def _plausible(seconds: np.ndarray) -> np.ndarray:
    # Years 1900 to 2200: outside them the unit is wrong, and so would be the order.
    return np.where((seconds > -2.2e9) & (seconds < 7.3e9), seconds, np.nan)


def _times(block: pa.Table, name: str, spec: Column) -> np.ndarray:
    if spec.unit == "iso":
        return parse_times(_strings(block, name), spec).to_numpy(np.float64)
    return _plausible(numbers_of(block[name]) * SECONDS_PER[spec.unit])


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """Read strings as numbers. Out: float64 (n,), NaN for what is none or not finite.

    Arrow casts a column of nothing but numbers ten times as fast as pandas can, which
    reads what is mixed.
    """
    try:
        values = pc.cast(column, pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        mixed = pd.to_numeric(column.to_pandas(), errors="coerce")
        values = mixed.to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _strings(block: pa.Table, name: str) -> pd.Series:
    return block[name].to_pandas()


def _encoded(block: pa.Table, name: str | None) -> pa.DictionaryArray:
    return block[name].combine_chunks().dictionary_encode()


def _numbers(block: pa.Table, name: str | None) -> np.ndarray:
    if name is None:
        return np.full(block.num_rows, np.nan)
    return numbers_of(block[name])


def _positives(
    config: DataConfig, label: np.ndarray, events: pd.Series | None
) -> np.ndarray:
    positive = config.label.positive
    if isinstance(positive, str):
        sign, bound = config.label.comparison()
        return np.asarray(COMPARISONS[sign](label, bound), bool)
    if positive and events is not None:
        return events.isin(positive).to_numpy(bool)
    return np.ones(len(label), bool)
