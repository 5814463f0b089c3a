"""Items that were added, changed or removed since: raw cells, so that they last.

Codes depend on vocabularies, which the next data set fits anew; cells do not.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from data import files
from data.errors import DataError
from data.prepared import Prepared
from data.schema import DataConfig

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is said of an item since the data set was prepared.

    `values`: cells by column, None for an empty one; a column that is not there stays
    as it was. `listed`: it stands in a table of items. `removed`: it must not be
    recommended.
    """

    values: Mapping[str, str | None] = field(default_factory=dict)
    listed: bool = False
    removed: bool = False


@dataclass(frozen=True)
class Changes:
    """All changes that hold, by item id; items that are new in the order they came."""

    by_id: Mapping[str, Change] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.by_id)

    @classmethod
    def read(cls, path: str) -> "Changes":
        """Read what `write` wrote; no file is no change."""
        if not files.exists(path):
            return cls()
        with files.open_file(path, "r") as file:
            rows = [json.loads(line) for line in file]
        return cls({row.pop("item_id"): Change(**row) for row in rows})

    def write(self, path: str) -> None:
        """Write JSON lines, an item each, in one move."""
        lines = [json.dumps(row, ensure_ascii=False) for row in self._rows()]
        files.write_text(path, "".join(f"{line}\n" for line in lines))

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "item_id": item_id,
                "removed": change.removed,
                "listed": change.listed,
                "values": dict(change.values),
            }
            for item_id, change in self.by_id.items()
        ]

    @property
    def fingerprint(self) -> str:
        """Return what differs whenever the changes do."""
        return files.fingerprint(self._rows())

    def adding(self, rows: pd.DataFrame, prepared: Prepared, path: str) -> "Changes":
        """Return the changes with rows of items added, each over what it says anew.

        In: `rows`: as `read_items`; `prepared`: the data set as it was prepared;
        `path`: of the rows, for messages. Raises: DataError for a part of the texts
        of an item whose other texts nobody has kept.
        """
        known = set(prepared.items["item_id"])
        columns = item_columns(prepared.config)
        found = dict(self.by_id)
        partly: list[str] = []
        for item_id, *cells in rows.itertuples(name=None):
            given = dict(zip(rows.columns, cells, strict=True))
            before: Mapping[str, str | None] = dict.fromkeys(columns)
            if item_id in found or item_id in known:
                before = found.get(item_id, Change()).values
            change = Change(values={**before, **given}, listed=True)
            missing = _missing_texts(change, prepared.config)
            if missing and len(missing) < len(prepared.config.text_columns()):
                partly.append(item_id)
            found[item_id] = change
        if partly:
            raise _texts_in_part(partly, rows, prepared.config, path)
        return Changes(found)

    def removing(self, ids: Iterable[str]) -> "Changes":
        """Return the changes with items removed; what else is said of them stays."""
        found = dict(self.by_id)
        for item_id in ids:
            before = found.get(item_id, Change())
            found[item_id] = Change(
                values=before.values, listed=before.listed, removed=True
            )
        return Changes(found)

    def carried_to(self, prepared: Prepared) -> "Changes":
        """Return what still holds for a newer data set.

        Of an item that its table lists, the table has the last word, but for a
        removal: that lasts until the item is added again.
        """
        listed = set(prepared.item_ids[prepared.is_listed])
        return Changes(
            {
                item_id: change if item_id not in listed else Change(removed=True)
                for item_id, change in self.by_id.items()
                if change.removed or item_id not in listed
            }
        )

    def summary(self, prepared: Prepared) -> dict[str, Any]:
        """Return how many items are new, changed and removed, for a manifest.

        In: `prepared`: with these changes or without.
        """
        there = [i for i, change in self.by_id.items() if not change.removed]
        number = prepared.manifest["counts"]["items"]
        known = set(prepared.item_ids[1 : number + 1]) if there else set()
        changed = sum(item_id in known for item_id in there)
        return {
            "added": len(there) - changed,
            "changed": changed,
            "removed": len(self) - len(there),
            "fingerprint": self.fingerprint,
        }


def item_columns(config: DataConfig) -> tuple[str, ...]:
    """Return the item columns that the TOML names, but that of the ids."""
    if config.items is None:
        return ()
    return tuple(n for n, c in config.items.columns.items() if c.role != "item_id")


def _missing_texts(change: Change, config: DataConfig) -> list[str]:
    return [name for name in config.text_columns() if name not in change.values]


def _texts_in_part(
    ids: list[str], rows: pd.DataFrame, config: DataConfig, path: str
) -> DataError:
    names = config.text_columns()
    given = ", ".join(f"'{n}'" for n in names if n in rows)
    missing = ", ".join(f"'{n}'" for n in names if n not in rows)
    shown = ", ".join(repr(item_id) for item_id in ids[:SHOWN])
    more = ", ..." if len(ids) > SHOWN else ""
    return DataError(
        f"{path}: found {given} and not {missing} for items that exist already "
        f"({shown}{more}), expected all columns that an item's text is made of, or "
        f"none of them: it is {', '.join(names)} joined. Add {missing}, or leave "
        f"{given} out."
    )
