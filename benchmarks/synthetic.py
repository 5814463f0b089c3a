"""Seeded long-tailed data in the shape of MovieLens-1M, prepared as any other set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.synthetic_tables import GENRES, TOML
from data.prepare import prepare
from data.prepared import Prepared
from data.schema import data_config
from data.settings import read_toml

START_S, SPAN_S = 956_700_000, 1_000 * 86_400
LEAST_EVENTS = 20  # What MovieLens keeps of a user at least.
TAIL_START = 150  # The most popular item gets about 0.4 % of the events, as there.


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large a synthetic set is, and its seed."""

    events: int = 1_000_000
    users: int = 6_000
    items: int = 4_000
    seed: int = 7


def prepare_synthetic(folder: Path, sizes: Sizes) -> Prepared:
    """Write tables of a size and prepare them. Equal sizes give equal shards."""
    rng = np.random.default_rng(sizes.seed)
    tables = {
        "interactions": _interactions(sizes, rng),
        "items": _items(sizes.items, rng),
        "users": _users(sizes.users, rng),
    }
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    toml = folder / "synthetic.toml"
    toml.write_text(TOML, encoding="utf-8")
    config = data_config(read_toml(toml), toml)
    return prepare(config, toml, str(folder / "prepared"))


def _interactions(sizes: Sizes, rng: np.random.Generator) -> pd.DataFrame:
    activity = rng.lognormal(sigma=1.0, size=sizes.users)
    least = min(LEAST_EVENTS, sizes.events // sizes.users)
    rest = sizes.events - least * sizes.users
    counts = least + rng.multinomial(rest, activity / activity.sum())
    popularity = 1 / (TAIL_START + np.arange(sizes.items)) ** 1.2
    popularity = rng.permutation(popularity / popularity.sum())
    return pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(1, sizes.users + 1), counts),
            "item_id": 1 + rng.choice(sizes.items, sizes.events, p=popularity),
            "rating": rng.choice(5, sizes.events, p=[0.06, 0.11, 0.26, 0.35, 0.22]) + 1,
            "timestamp": START_S + rng.integers(SPAN_S, size=sizes.events),
        }
    )


def _items(count: int, rng: np.random.Generator) -> pd.DataFrame:
    picks = [
        rng.choice(GENRES, rng.integers(1, 4), replace=False) for _ in range(count)
    ]
    return pd.DataFrame(
        {
            "item_id": np.arange(1, count + 1),
            "title": [f"Film {n}" for n in range(1, count + 1)],
            "genres": ["|".join(sorted(pick)) for pick in picks],
            "year": rng.integers(1930, 2001, count),
        }
    )


def _users(count: int, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": np.arange(1, count + 1),
            "age": rng.integers(10, 70, count),
            "gender": rng.choice(["F", "M"], count),
            "occupation": rng.integers(21, size=count),
        }
    )
