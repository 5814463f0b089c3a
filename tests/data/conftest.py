"""Small tables to break: a folder with three tables and the TOML that names them."""

from pathlib import Path
from typing import Any

import pytest

from data.prepare import check, prepare
from data.prepared import Prepared
from data.schema import DataConfig, data_config
from data.settings import read_toml
from data.validate import Report

TOML = """\
[data.interactions]
path = "interactions.csv"
[data.interactions.columns]
user = { role = "user_id" }
item = { role = "item_id" }
rating = { role = "label" }
time = { role = "time" }
[data.items]
path = "items.csv"
[data.items.columns]
item = { role = "item_id" }
title = { kind = "text" }
genres = { kind = "multi_categorical" }
year = { kind = "numeric" }
[data.users]
path = "users.csv"
[data.users.columns]
user = { role = "user_id" }
country = { kind = "categorical" }
[data.label]
positive = ">= 4"
[data.split]
kind = "temporal"
validation = 0.2
test = 0.2
"""
ITEMS = "item,title,genres,year\na,Alpha,x|y,1990\nb,Beta,y,\nc,Gamma,,2000\n"
USERS = "user,country\nu1,nl\nu2,\nu3,de\n"
EVENTS = [
    *(("u1", "a", 5, 100), ("u2", "a", 4, 110), ("u3", "b", 2, 120)),
    *(("u1", "b", 3, 130), ("u2", "c", 5, 140), ("u3", "c", 4, 150)),
    *(("u1", "c", 4, 160), ("u2", "b", 1, 170), ("u3", "a", 5, 180)),
]
HEADER = "user,item,rating,time"


class DataSet:
    """Three tables and a TOML in a folder, as a person would have them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.toml = folder, folder / "my.toml"
        self.out = folder / "out"
        self.toml.write_text(TOML)
        self.write("items.csv", ITEMS)
        self.write("users.csv", USERS)
        self.write_events(*EVENTS)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a table."""
        raw = content if isinstance(content, bytes) else content.encode()
        (self.folder / name).write_bytes(raw)

    def write_events(self, *rows: tuple[Any, ...], header: str = HEADER) -> None:
        """Write the interactions table."""
        lines = [header, *(",".join(map(str, row)) for row in rows)]
        self.write("interactions.csv", "\n".join(lines) + "\n")

    def edit_toml(self, old: str, new: str) -> None:
        """Replace what occurs in the TOML."""
        text = self.toml.read_text()
        if old not in text:
            raise ValueError(f"{old!r} is not in the TOML")
        self.toml.write_text(text.replace(old, new))

    def config(self, *overrides: str) -> DataConfig:
        """Read the TOML."""
        return data_config(read_toml(self.toml, overrides), self.toml)

    def check(self, *overrides: str) -> Report:
        """Validate the tables."""
        return check(self.config(*overrides), self.toml)

    def prepare(self, *overrides: str) -> Prepared:
        """Prepare the tables."""
        return prepare(self.config(*overrides), self.toml, str(self.out))


@pytest.fixture
def data_set(tmp_path: Path) -> DataSet:
    """Return a small good data set: 9 events of 3 users and 3 items."""
    return DataSet(tmp_path)
