"""Large seeded long-tailed tables: `python -m benchmarks.synthetic_tables --help`.

They are written a chunk at a time, so that any number of rows takes the same memory,
and hold the same rows in either format.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from data import files
from data.cli import tell_errors
from data.console import progress, say
from data.errors import DataError

Format = Literal["csv", "parquet"]

ROWS_PER_USER = 25_000_000 / 160_000  # About what MovieLens-25M has.
CHUNK_ROWS = 1 << 20
START_S, SPAN_S = 1_420_000_000, 3_000 * 86_400
SESSIONS, SESSION_S = 16, 3_600  # Of a user, so that some rows have the same time.
# Rank r is drawn in proportion to (head + r) ** -exponent: the most popular item gets
# 0.3 % of the rows; of 160,000 users the busiest has 18,000 rows, the median one 46.
ITEM_HEAD, ITEM_EXPONENT = 200, 1.6
USER_HEAD, USER_EXPONENT = 200, 1.0
RATINGS = np.arange(1, 11) / 2
RATING_SHARES = (0.02, 0.03, 0.02, 0.07, 0.05, 0.20, 0.12, 0.27, 0.08, 0.14)
GENRES = tuple("action comedy crime drama fantasy horror musical romance war".split())
WORDS = tuple(
    "autumn bridge castle dance electric forgotten garden harbour island journey king "
    "last midnight north orange paper quiet river silver tomorrow under violet winter "
    "young".split()
)
OCCUPATIONS = 21
MISSING_SHARE = 0.05

TOML = """\
[data.interactions]
path = "interactions.csv"

[data.interactions.columns]
user_id = { role = "user_id" }
item_id = { role = "item_id" }
rating = { role = "label" }
timestamp = { role = "time" }

[data.items]
path = "items.csv"

[data.items.columns]
item_id = { role = "item_id" }
title = { kind = "text", title = true }
genres = { kind = "multi_categorical", separator = "|", display = true }
year = { kind = "numeric", display = true }

[data.users]
path = "users.csv"

[data.users.columns]
user_id = { role = "user_id" }
age = { kind = "numeric" }
gender = { kind = "categorical" }
occupation = { kind = "categorical" }

[data.label]
positive = ">= 4"
"""

INTERACTIONS = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "rating": pa.float64(),
        "timestamp": pa.int64(),
    }
)


@dataclass(frozen=True, kw_only=True)
class TableSizes:
    """How large the tables are, and their seed; `users` None: as in MovieLens-25M."""

    rows: int
    users: int | None = None
    items: int = 60_000
    seed: int = 7

    def num_users(self) -> int:
        """Return the number of users."""
        return self.users or max(1, round(self.rows / ROWS_PER_USER))


def standing_tables(folder: Path, rows: int, table_format: Format) -> Path:
    """Return the TOML of tables of a size in a folder, written if they are absent."""
    place = folder / f"{table_format}-{rows}"
    if place.exists():
        return place / "synthetic.toml"
    return write_tables(place, TableSizes(rows=rows), table_format)


def write_tables(folder: Path, sizes: TableSizes, table_format: Format) -> Path:
    """Write the three tables and a TOML that describes them, and return its place.

    In: `folder`: absent or empty. Raises: DataError when it is not.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            f"{folder}: expected an absent or an empty folder. Name another one."
        )
    with files.new_folder(folder) as beside:
        place = Path(beside)
        items, users = _items(sizes), _users(sizes)
        for name, table in (("items", items), ("users", users)):
            with _writer(place / f"{name}.{table_format}", table.schema) as writer:
                writer.write_table(table)
        path = place / f"interactions.{table_format}"
        with (
            progress("Writing interactions, million rows", sizes.rows / 1e6) as advance,
            _writer(path, INTERACTIONS) as writer,
        ):
            for chunk in _interactions(sizes, users["user_id"], items["item_id"]):
                writer.write_table(chunk)
                advance(chunk.num_rows / 1e6)
        toml = TOML.replace('.csv"', f'.{table_format}"')
        (place / "synthetic.toml").write_text(toml, encoding="utf-8")
    return folder / "synthetic.toml"


def _writer(path: Path, schema: pa.Schema) -> Any:
    if path.suffix == ".parquet":
        return pq.ParquetWriter(path, schema)
    options = pa.csv.WriteOptions(quoting_style="none", quoting_header="none")
    return pa.csv.CSVWriter(path, schema, write_options=options)


def _interactions(
    sizes: TableSizes, user_ids: pa.ChunkedArray, item_ids: pa.ChunkedArray
) -> Iterator[pa.Table]:
    rng = np.random.default_rng((sizes.seed, 0))
    user_bounds = _long_tail(len(user_ids), USER_HEAD, USER_EXPONENT, rng)
    item_bounds = _long_tail(len(item_ids), ITEM_HEAD, ITEM_EXPONENT, rng)
    sessions = START_S + rng.integers(SPAN_S, size=(len(user_ids), SESSIONS))
    rating_bounds = np.cumsum(RATING_SHARES)[:-1]
    user_ids, item_ids = user_ids.combine_chunks(), item_ids.combine_chunks()
    for start in range(0, sizes.rows, CHUNK_ROWS):
        count = min(CHUNK_ROWS, sizes.rows - start)
        user = np.searchsorted(user_bounds, rng.random(count))
        item = np.searchsorted(item_bounds, rng.random(count))
        time = sessions[user, rng.integers(SESSIONS, size=count)]
        time += rng.integers(SESSION_S, size=count)
        rating = RATINGS[np.searchsorted(rating_bounds, rng.random(count))]
        columns = [user_ids.take(user), item_ids.take(item), rating, time]
        yield pa.table(columns, schema=INTERACTIONS)


def _long_tail(
    count: int, head: int, exponent: float, rng: np.random.Generator
) -> np.ndarray:
    """Return where in [0, 1) the share of each begins but the first's, shuffled."""
    shares = rng.permutation((head + np.arange(count)) ** -exponent)
    bounds = np.cumsum(shares)[:-1]
    return np.asarray(bounds / shares.sum())


def _items(sizes: TableSizes) -> pa.Table:
    rng, count = np.random.default_rng((sizes.seed, 1)), sizes.items
    years = rng.integers(1930, 2023, count)
    return pa.table(
        {
            "item_id": _ids("i", count),
            "title": [title.title() for title in _picks(WORDS, 2, 5, " ", count, rng)],
            "genres": _picks(GENRES, 1, 3, "|", count, rng),
            "year": pa.array(years, mask=rng.random(count) < MISSING_SHARE),
        }
    )


def _users(sizes: TableSizes) -> pa.Table:
    rng, count = np.random.default_rng((sizes.seed, 2)), sizes.num_users()
    ages = rng.integers(10, 70, count)
    return pa.table(
        {
            "user_id": _ids("u", count),
            "age": pa.array(ages, mask=rng.random(count) < MISSING_SHARE),
            "gender": rng.choice(["F", "M"], count),
            "occupation": rng.integers(OCCUPATIONS, size=count),
        }
    )


def _ids(letter: str, count: int) -> list[str]:
    return [f"{letter}{number:07d}" for number in range(1, count + 1)]


def _picks(
    words: tuple[str, ...],
    least: int,
    most: int,
    separator: str,
    count: int,
    rng: np.random.Generator,
) -> list[str]:
    """Return `count` cells of `least` to `most` different words each."""
    order = rng.random((count, len(words))).argsort(axis=1)
    lengths = rng.integers(least, most + 1, count)
    chosen = np.array(words)[order[:, :most]].tolist()
    return [
        separator.join(row[:length])
        for row, length in zip(chosen, lengths, strict=True)
    ]


@click.command()
@click.option("--rows", default=25_000_000, show_default=True)
@click.option("--users", type=int, help="Instead of one for every 156 rows.")
@click.option("--items", default=TableSizes.items, show_default=True)
@click.option("--seed", default=TableSizes.seed, show_default=True)
@click.option(
    "--format",
    "table_format",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    show_default=True,
)
@click.option("--out", required=True, type=click.Path(path_type=Path))
@tell_errors()
def main(
    rows: int, users: int | None, items: int, seed: int, table_format: Format, out: Path
) -> None:
    """Write interactions, items and users, and the TOML to prepare them with."""
    sizes = TableSizes(rows=rows, users=users, items=items, seed=seed)
    say(f"{write_tables(out, sizes, table_format)}")


if __name__ == "__main__":
    main()
