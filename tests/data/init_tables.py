"""Tables as people have them, made up, for the tests of `python -m data init`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from click.testing import CliRunner, Result

from data.__main__ import main
from data.init.draft import Request, make_draft
from data.init.interactions import Choice, Interactions
from data.init.writer import Draft
from data.schema import DataConfig, data_config
from data.settings import read_toml

USERS, ITEMS = 60, 90
WORDS = ("red", "small", "wooden", "chair", "lamp", "bottle", "screen", "plastic")


def random_events(rows: int = 1_500, seed: int = 0) -> pd.DataFrame:
    """Return user, item, rating 1 to 5 and time in seconds, in the time's order."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user": rng.integers(1, USERS + 1, rows),
            "item": rng.zipf(1.4, rows) % ITEMS + 1,
            "rating": rng.choice(
                [1, 2, 3, 4, 5], rows, p=[0.05, 0.1, 0.25, 0.35, 0.25]
            ),
            "time": np.sort(rng.integers(1_400_000_000, 1_500_000_000, rows)),
        }
    )


def choose(values: Sequence[Any], rows: int, shares: Iterable[float] = ()) -> Any:
    """Return values drawn at random, the same ones each time."""
    rng = np.random.default_rng(7)
    return rng.choice(np.array(values), rows, p=list(shares) or None)


def sentences(number: int, words: int) -> list[str]:
    """Return sentences no two of which are equal."""
    return [
        " ".join([*choose(WORDS, number * words)[i * words :][: words - 1], f"no{i}"])
        for i in range(number)
    ]


def save(frame: pd.DataFrame, path: Path, **options: Any) -> str:
    """Write a table as CSV, `options` as pandas takes them. Out: its path."""
    frame.to_csv(path, index=False, **options)
    return str(path)


def draft_of(
    folder: Path,
    events: pd.DataFrame,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    wanted: dict[str, str] | None = None,
    **options: Any,
) -> Draft:
    """Write tables and draft a TOML for them."""
    others = {"items": items, "users": users}
    paths = {
        name: save(frame, folder / f"{name}.csv")
        for name, frame in others.items()
        if frame is not None
    }
    path = save(events, folder / "events.csv", **options)
    out = str(folder / "my.toml")
    return make_draft(Request(interactions=path, out=out, wanted=wanted or {}, **paths))


def choices_of(draft: Draft, table: str = "interactions") -> dict[str, Choice]:
    """Return what became of a table's columns, by their names in the file."""
    found = next(t for t in draft.tables if t.name == table)
    return {choice.column.name: choice for choice in found.choices}


def roles_of(found: Interactions) -> dict[str, str]:
    """Return the columns' roles, by name; columns that are not used have none."""
    return {c.column.name: c.spec.role for c in found.choices if c.spec is not None}


def run(*arguments: str | Path) -> Result:
    """Call `python -m data init`."""
    return CliRunner().invoke(main, ["init", *map(str, arguments)])


def config_of(toml: Path) -> DataConfig:
    """Read what was written, as the other commands do."""
    return data_config(read_toml(toml), toml)
