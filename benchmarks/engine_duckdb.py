"""The core of `prepare` in DuckDB, on a database on disk with a limit of memory.

Run: python -m benchmarks.engine_duckdb TABLE.csv OUT SPILL
"""

import sys
from pathlib import Path

import duckdb  # type: ignore[import-not-found]
import numpy as np

from benchmarks.engine_shards import NUM_SHARDS, shard_bounds, shard_path

MEMORY_LIMIT = "512MB"
THREADS = 2

# Read anew by each statement: to keep its strings takes more time and memory. Named
# columns with detection off would do as well, but then the planner takes the table for
# 42 rows, builds the joins' hash tables from it and doubles their time.
TABLE = """
CREATE TEMP VIEW raw AS
SELECT *, row_number() OVER () AS place
FROM read_csv('{path}', all_varchar = true, header = true, delim = ',', quote = '"')
"""
IDS = """
CREATE TABLE {name}s AS
SELECT id, (row_number() OVER (ORDER BY id))::INTEGER AS row, events
FROM (SELECT {name}_id AS id, count(*) AS events FROM raw GROUP BY {name}_id)
"""
ENCODE = """
CREATE TABLE events AS
SELECT
    users.row AS user, items.row AS item, rating::FLOAT AS rating,
    timestamp::BIGINT AS time, place
FROM raw JOIN users ON users.id = user_id JOIN items ON items.id = item_id
"""
SHARD = """
COPY (
    SELECT user, item, rating, time FROM events WHERE user >= {first} AND user < {end}
    ORDER BY user, time, place
) TO '{path}' (FORMAT parquet)
"""


def main(table: Path, out: Path, spill: Path) -> None:
    settings = {
        "memory_limit": MEMORY_LIMIT,
        "threads": THREADS,
        "temp_directory": str(spill / "temp"),
    }
    with duckdb.connect(str(spill / "tables.duckdb"), config=settings) as database:
        database.execute(TABLE.format(path=table))
        for name in ("user", "item"):
            database.execute(IDS.format(name=name))
            ids, path = f"SELECT id FROM {name}s ORDER BY row", out / f"{name}s.parquet"
            database.execute(f"COPY ({ids}) TO '{path}' (FORMAT parquet)")
        database.execute(ENCODE)
        counts = database.execute("SELECT events FROM users ORDER BY row").fetchnumpy()
        bounds = shard_bounds(np.r_[0, counts["events"]])
        for number in range(NUM_SHARDS):
            first, end = bounds[number], bounds[number + 1]
            path = shard_path(out, number)
            database.execute(SHARD.format(first=first, end=end, path=path))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
