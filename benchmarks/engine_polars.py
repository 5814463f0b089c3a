"""The core of `prepare` in Polars' streaming engine.

Run: python -m benchmarks.engine_polars TABLE.csv OUT SPILL
"""

import os
import sys
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "2"  # Read when it is imported.

import numpy as np
import polars as pl  # type: ignore[import-not-found]

from benchmarks.engine_shards import NUM_SHARDS, shard_bounds, shard_path


def main(table: Path, out: Path, spill: Path) -> None:
    raw = pl.scan_csv(table, infer_schema=False, row_index_name="place")
    users, items = _ids(raw, "user"), _ids(raw, "item")
    for name, ids in (("users", users), ("items", items)):
        ids.select("id").write_parquet(out / f"{name}.parquet")
    encoded = spill / "events.parquet"
    (
        raw.join(users.lazy(), left_on="user_id", right_on="id")
        .join(items.lazy(), left_on="item_id", right_on="id")
        .select(
            "user",
            "item",
            pl.col("rating").cast(pl.Float32),
            pl.col("timestamp").cast(pl.Int64).alias("time"),
            "place",
        )
        .sink_parquet(
            encoded, maintain_order=False, compression="snappy", engine="streaming"
        )
    )
    # One sort of all events takes three times the memory of one for each shard.
    bounds = shard_bounds(np.r_[0, users["events"].to_numpy()])
    for number in range(NUM_SHARDS):
        first, end = int(bounds[number]), int(bounds[number + 1])
        (
            pl.scan_parquet(encoded)
            .filter(pl.col("user").is_between(first, end, closed="left"))
            .sort("user", "time", "place")
            .select("user", "item", "rating", "time")
            .sink_parquet(
                shard_path(out, number), compression="snappy", engine="streaming"
            )
        )


def _ids(raw: pl.LazyFrame, name: str) -> pl.DataFrame:
    """Return distinct ids, sorted, as `id`, with `events` and their row, `name`."""
    return (
        raw.group_by(pl.col(f"{name}_id").alias("id"))
        .agg(pl.len().alias("events"))
        .sort("id")
        .with_row_index(name, offset=1)
        .cast({name: pl.Int32})
        .collect(engine="streaming")
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
