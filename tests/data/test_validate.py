"""Every bad cell is found: table, column, row, what is there, what is expected."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import DataError
from data.prepare.rows import parse_times
from data.schema import Column

DataSet = Any  # The class in conftest, which test modules cannot import.


def test_good_tables_pass(data_set: DataSet) -> None:
    report = data_set.check()
    assert (report.errors, report.warnings) == ([], [])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("u1", "a", "good", 190),
            "interactions.csv, column 'rating', 1 of 10 rows, 10 % (row 10): found "
            "'good', expected a number. Mend these cells or empty them.",
        ),
        (("u1", "a", "inf", 190), "found 'inf', expected a number."),
        (
            ("u1", "a", 4, "noon"),
            "interactions.csv, column 'time', 1 of 10 rows, 10 % (row 10): found "
            "'noon', expected a time as a number of s since 1970 (UTC). Mend these "
            "rows, or set the column's unit: s, ms, us or iso.",
        ),
        (
            ("u1", "a", 4, ""),
            "column 'time', 1 of 10 rows, 10 % (row 10): found nothing, expected a",
        ),
        (
            ("u1", "a", 4, 1_700_000_000_000),
            "found '1700000000000', expected a time as a number of s since 1970 (UTC); "
            "these look like ms.",
        ),
        (
            ('"u1\nu2"', "a", 4, 190),
            "column 'user', 1 of 10 rows, 10 % (row 10): found 'u1\\nu2', expected an "
            "id in one line. Most likely a quote is not closed.",
        ),
        (("u1", '"a\r\n"', 4, 190), "found 'a\\r\\n', expected an id in one line."),
    ],
)
def test_bad_cells_stop_the_preparation(
    data_set: DataSet, row: tuple[Any, ...], message: str
) -> None:
    text = (data_set.folder / "interactions.csv").read_text()
    data_set.write("interactions.csv", text + ",".join(map(str, row)) + "\n")
    with pytest.raises(DataError) as caught:
        data_set.prepare()
    assert message in str(caught.value)
    assert not data_set.out.exists()


def test_two_rows_of_an_item_that_disagree_stop_the_preparation(
    data_set: DataSet,
) -> None:
    data_set.write("items.csv", "item,title,genres,year\na,,,\nb,,,\na,x,,\nc,,,\n")
    with pytest.raises(DataError) as caught:
        data_set.prepare()
    assert str(caught.value) == (
        "items.csv, column 'item', 2 of 4 rows, 50 % (rows 1, 3): found 'a', expected "
        "each id once. Column 'title' says '' and 'x' of it. Keep one row for each id."
    )


def test_two_equal_rows_of_an_item_are_one(data_set: DataSet) -> None:
    data_set.write("items.csv", "item,title,genres,year\na,,,\nb,,,\na,,,\nc,,,\n")
    (warning,) = data_set.check().warnings
    assert "1 of 4 rows, 25 % (row 3): found 'a', expected each id" in str(warning)
    assert data_set.prepare().num_items == 3


def test_a_bad_numeric_feature_is_named(data_set: DataSet) -> None:
    data_set.write("items.csv", "item,title,genres,year\na,,,\nb,,,old\nc,,,\n")
    (error,) = data_set.check().errors
    assert (error.table, error.column, error.rows) == ("items.csv", "year", (2,))


def test_all_errors_are_told_at_once(data_set: DataSet) -> None:
    data_set.write_events(("u1", "a", "x", "y"), *[("u2", "b", 5, "z")] * 30)
    rating, time = data_set.check().errors
    assert (rating.rows, rating.num_rows) == ((1,), 1)
    assert (time.rows, time.num_rows) == (tuple(range(1, 11)), 31)
    assert "31 of 31 rows, 100 % (rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...)" in str(time)


def test_what_is_left_out_is_warned_of(data_set: DataSet) -> None:
    text = (data_set.folder / "interactions.csv").read_text()
    data_set.write("interactions.csv", text + ",a,5,190\nu1,zz,5,195\n")
    missing, unknown = data_set.check().warnings
    assert (
        "'user', 1 of 11 rows, 9.09 % (row 10): found nothing, expected an id."
        in str(missing)
    )
    assert "9.09 % (row 11): found 'zz', expected an item of" in str(unknown)
    prepared = data_set.prepare()
    assert prepared.manifest["warnings"] == [str(missing), str(unknown)]
    assert len(prepared.events) == 10
    assert not prepared.servable[list(prepared.item_ids).index("zz")]


def test_a_label_column_without_labels_is_an_error(data_set: DataSet) -> None:
    data_set.write_events(("u1", "a", "", 100), ("u2", "b", "", 110))
    (error,) = data_set.check().errors
    assert "Name the column that holds the label, or drop its role." in str(error)


@pytest.mark.parametrize(
    ("rows", "role", "message"),
    [
        ([("u1", item, 5, 1) for item in "abc"], "user_id", "found one user, expected"),
        ([(f"u{n}", "a", 5, n) for n in range(3)], "item_id", "found one item, expect"),
        (
            [(f"u{n}", "abc"[n], 5, 7) for n in range(3)],
            "time",
            "column 'time', 3 of 3 rows, 100 % (rows 1, 2, 3): found one time, 7, "
            "expected several, for a split by time. Take held_out_users or leave_one",
        ),
    ],
)
def test_nothing_to_tell_apart_is_an_error(
    data_set: DataSet, rows: list[tuple[Any, ...]], role: str, message: str
) -> None:
    data_set.write_events(*rows)
    assert message in "\n".join(map(str, data_set.check().errors))


def test_a_label_of_one_value_is_warned_of(data_set: DataSet) -> None:
    data_set.write_events(*[(f"u{n % 3}", "abc"[n % 3], 5, n) for n in range(9)])
    (warning,) = data_set.check().warnings
    assert "found 5.0, expected different labels. It tells no event" in str(warning)


def test_seconds_among_milliseconds_are_an_error(data_set: DataSet) -> None:
    times = [1_700_000_000_000 + n for n in range(8)]
    times[3] = 1_700_000_000
    rows = [(f"u{n % 3}", "abc"[n % 3], n % 5, t) for n, t in enumerate(times)]
    data_set.write_events(*rows)
    data_set.edit_toml('role = "time"', 'role = "time", unit = "ms"')
    (error,) = data_set.check().errors
    assert error.rows == (4,)
    assert "expected a time as a number of ms since 1970 (UTC) in every row" in str(
        error
    )


def test_all_times_before_1975_are_warned_of(data_set: DataSet) -> None:
    data_set.edit_toml('role = "time"', 'role = "time", unit = "ms"')
    report = data_set.check()
    assert not report.errors
    assert "These lie before 1975; bring all rows to one unit." in str(
        report.warnings[0]
    )


def test_a_negative_weight_is_an_error(data_set: DataSet) -> None:
    data_set.edit_toml('role = "label"', 'role = "weight"')
    data_set.edit_toml('positive = ">= 4"', "")
    data_set.write_events(("u1", "a", -1, 100), ("u2", "b", 2, 110))
    (error,) = data_set.check().errors
    assert "found '-1', expected a weight of 0 or more." in str(error)


def test_no_positive_event_is_an_error(data_set: DataSet) -> None:
    data_set.edit_toml(">= 4", ">= 40")
    with pytest.raises(DataError, match=r"none of 9 events is a positive, which"):
        data_set.prepare()


@pytest.mark.parametrize(
    ("unit", "cell", "seconds"),
    [
        ("s", "1700000000.9", 1_700_000_000.9),
        ("ms", "1700000000500", 1_700_000_000.5),
        ("us", "1700000000500000", 1_700_000_000.5),
        ("iso", "2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("iso", "2023-11-14T23:13:20+01:00", 1_700_000_000.0),
        ("iso", "2023-11-14", 1_699_920_000.0),
        ("iso", "2023-11-14 22:13:20 UTC", 1_700_000_000.0),
        ("iso", "1398", np.nan),
        ("iso", "99999-01-01", np.nan),
        ("s", "1700000000500", np.nan),
        ("iso", "1700000000", np.nan),
        ("iso", "yesterday", np.nan),
    ],
)
def test_times(unit: Any, cell: str, seconds: float) -> None:
    column = Column(role="time", unit=unit)
    parsed = parse_times(pd.Series([cell, "nonsense"]), column)
    np.testing.assert_allclose(parsed, [seconds, np.nan], rtol=1e-12)


def test_an_items_id_of_two_lines_stops_the_preparation(data_set: DataSet) -> None:
    """Line n of a servable's file of ids is row n of its tables."""
    text = (data_set.folder / "items.csv").read_text()
    header, first, *rest = text.splitlines()
    cells = first.split(",")
    cells[header.split(",").index("item")] = '"one\nanother"'
    text = "\n".join([header, first, *rest, ",".join(cells)]) + "\n"
    data_set.write("items.csv", text)
    with pytest.raises(DataError) as caught:
        data_set.prepare()
    assert "items.csv, column 'item'" in str(caught.value)
    assert "found 'one\\nanother', expected an id in one line" in str(caught.value)
