"""Arrow's values as the text that a table of strings would hold."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.schema import Column

IDS = ("user_id", "item_id")


class BadCells(ValueError):
    """Values that no cell can hold: what is wrong by their places in the array."""

    def __init__(self, problems: dict[int, str]) -> None:
        super().__init__(f"{len(problems)} bad cells")
        self.problems = problems


def as_text(values: pa.Array, column: Column) -> pa.Array:
    """Return the text of each value, null for what is an empty cell.

    Numbers are as short as they can be: 5.0 is "5"; NaN is empty. Times are ISO 8601
    in UTC, such as "2024-05-01T12:00:00Z"; times without a zone are taken as UTC.
    Lists are joined by the column's separator. Raises: pa.ArrowException for what has
    no text, BadCells for lists whose values hold the separator.
    """
    kind = values.type
    if isinstance(kind, pa.UuidType):
        raise pa.ArrowNotImplementedError("bytes of a UUID")
    if pa.types.is_dictionary(kind):
        return as_text(values.dictionary, column).take(values.indices)
    if _is_list(kind):
        return _lists(values.cast(pa.list_(kind.value_type)), column)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        text = _times(values)
    elif pa.types.is_floating(kind):
        text = _floats(values, whole=column.role in IDS)
    else:
        text = values.cast(pa.string())
    if pa.types.is_decimal(kind) and column.role in IDS:
        text = pc.replace_substring_regex(text, r"\.0+$", "")
    return pc.if_else(pc.equal(text, ""), None, text)


def join(texts: pa.Array, offsets: np.ndarray, column: Column) -> pa.Array:
    """Join the texts of lists, leaving empty ones out; null for an empty list.

    In: `texts`: of all lists, one after the other; `offsets`: int (n + 1,), where each
    list starts. Out: (n,). Raises: BadCells.
    """
    kept = texts.is_valid().to_numpy(zero_copy_only=False)
    before = np.concatenate([[0], np.cumsum(kept)])
    starts, texts = before[offsets].astype(np.int32), texts.drop_null()
    if column.kind == "multi_categorical":
        _check_separator(texts, starts, column)
    lists = pa.ListArray.from_arrays(pa.array(starts), texts)
    joined = pc.binary_join(lists, column.separator)
    return pc.if_else(pc.equal(joined, ""), None, joined)


def _check_separator(texts: pa.Array, starts: np.ndarray, column: Column) -> None:
    """Raise BadCells for values that would come apart where they are split again."""
    holds = pc.match_substring(texts, column.separator)
    places = np.flatnonzero(holds.to_numpy(zero_copy_only=False))
    lists = np.searchsorted(starts, places, side="right") - 1
    if len(places):
        expected = f"expected values without the separator {column.separator!r}"
        advice = "Set another separator for the column."
        raise BadCells(
            {
                int(index): f"found {texts[place].as_py()!r}, {expected}. {advice}"
                for index, place in zip(lists, places, strict=True)
            }
        )


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    fixed = types.is_fixed_size_list(kind)
    return bool(types.is_list(kind) or types.is_large_list(kind) or fixed)


def _lists(lists: pa.ListArray, column: Column) -> pa.Array:
    if pa.types.is_nested(lists.type.value_type):
        raise pa.ArrowNotImplementedError("lists of lists")
    offsets = lists.offsets.to_numpy()
    inner = lists.values.slice(offsets[0], offsets[-1] - offsets[0])
    joined = join(as_text(inner, column), offsets - offsets[0], column)
    return pc.if_else(lists.is_valid(), joined, None)


def _times(values: pa.Array) -> pa.Array:
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s"))
    # By way of numbers, as text of a time with a zone is in that zone.
    plain = values.cast(pa.int64()).cast(pa.timestamp(values.type.unit))
    text = pc.replace_substring(plain.cast(pa.string()), " ", "T")
    if values.type.unit != "s":
        text = pc.replace_substring_regex(text, r"\.0+$", "")
    return pc.binary_join_element_wise(text, "Z", "")


def _floats(values: pa.Array, *, whole: bool) -> pa.Array:
    """Return numbers as text; `whole`: those without a fraction in full digits."""
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    values = pc.if_else(pc.is_nan(values), None, values)
    text = values.cast(pa.string())
    if whole:
        exact = pc.and_(pc.equal(pc.trunc(values), values), _below(values, 2.0**63))
        digits = pc.if_else(exact, values, None).cast(pa.int64()).cast(pa.string())
        text = pc.coalesce(digits, text)
    return text


def _below(values: pa.Array, bound: float) -> pa.Array:
    return pc.less(pc.abs(values), pa.scalar(bound, values.type))
