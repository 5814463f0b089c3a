"""What every out-of-core engine must write, so that they can be compared.

`users.parquet` and `items.parquet` hold the distinct ids, sorted, under `id`: the
first is row 1. The shards together hold the events by user, time and place in the
file: `user`, `item` int32, rows; `rating` float32; `time` int64. A user is whole in
one shard.
"""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

NUM_SHARDS = 16
COLUMNS = ("user", "item", "rating", "time")


def shard_path(folder: Path, number: int) -> Path:
    """Return where a shard is."""
    return folder / f"events-{number:05d}-of-{NUM_SHARDS:05d}.parquet"


def shard_bounds(counts: np.ndarray) -> np.ndarray:
    """Part users into shards of about as many events.

    In: `counts`: events by user's row, (users + 1,), row 0 is no user. Out: int64
    (NUM_SHARDS + 1,): shard s holds the users from bounds[s] to bounds[s + 1] - 1.
    """
    before = np.cumsum(counts) - counts
    wanted = np.arange(1, NUM_SHARDS) * counts.sum() / NUM_SHARDS
    return np.r_[1, 1 + np.searchsorted(before[1:], wanted), len(counts)]


def checksum(folder: Path) -> str:
    """Return 16 hex digits of all that was written, wherever the shards end.

    Raises: RuntimeError when a user is in two shards.
    """
    digests = {name: hashlib.sha256() for name in ("users", "items", *COLUMNS)}
    for name in ("users", "items"):
        ids = pq.read_table(folder / f"{name}.parquet")["id"].to_pylist()
        digests[name].update("\n".join(ids).encode())
    last = 0
    for number in range(NUM_SHARDS):
        table = pq.read_table(shard_path(folder, number), columns=list(COLUMNS))
        users = table["user"].to_numpy()
        if len(users) and users[0] <= last:
            raise RuntimeError(f"{folder}: user {users[0]} is in two shards.")
        last = users[-1] if len(users) else last
        for name in COLUMNS:
            digests[name].update(table[name].to_numpy().tobytes())
    together = "".join(digest.hexdigest() for digest in digests.values())
    return hashlib.sha256(together.encode()).hexdigest()[:16]
