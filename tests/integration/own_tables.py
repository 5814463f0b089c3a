"""Ten data sets as people bring them, each written in another way."""

import csv
import gzip
import io
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

USERS, ITEMS, EVENTS = 60, 45, 900
START_S, SPAN_S = 1_600_000_000, 200 * 86_400


@dataclass(frozen=True)
class Truth:
    """Events of users who like one of two halves of the catalogue, in order of time.

    `user`, `item`, `time`, `rating`: (n,); users and items count from 0.
    """

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    rating: np.ndarray

    @classmethod
    def of(cls, seed: int) -> "Truth":
        """Draw events."""
        rng = np.random.default_rng(seed)
        user = np.r_[np.arange(USERS).repeat(4), rng.integers(0, USERS, EVENTS)]
        own = rng.random(len(user)) < 0.85
        taste = np.where(own, user % 2, 1 - user % 2)
        item = 2 * rng.zipf(1.3, len(user)).clip(1, ITEMS // 2) - 2 + taste
        time = np.sort(START_S + rng.integers(0, SPAN_S, len(user)))
        order = rng.permutation(len(user))
        rating = np.where(own, rng.integers(3, 6, len(user)), rng.integers(1, 4))
        return cls(user[order], item[order], time, rating[order])

    def rows(self) -> list[tuple[int, int, int, int]]:
        """Return user, item, time and rating of each event."""
        columns = (self.user, self.item, self.time, self.rating)
        return list(zip(*(c.tolist() for c in columns), strict=True))


@dataclass(frozen=True)
class Own:
    """A data set on disk: what `init` is told of, and what it must find."""

    interactions: Path
    items: Path | None = None
    users: Path | None = None
    split: str = "temporal"
    has_text: bool = True


Writer = Callable[[Path], Own]


def _text(
    path: Path,
    rows: Sequence[Sequence[Any]],
    *,
    separator: str = ",",
    encoding: str = "utf-8",
    packed: bool = False,
) -> Path:
    buffer = io.StringIO()
    if len(separator) == 1:
        csv.writer(buffer, delimiter=separator, lineterminator="\n").writerows(rows)
    else:
        buffer.writelines(separator.join(map(str, row)) + "\n" for row in rows)
    content = buffer.getvalue().encode(encoding)
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def _iso(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat()


def _words(item: int) -> str:
    return ("Garden rose" if item % 2 else "Rocket moon") + f" volume {item}"


def plain_csv(folder: Path) -> Own:
    """Commas, a header, numbers for ids, Unix seconds, ratings, titles."""
    rows = [("userId", "movieId", "rating", "timestamp")]
    rows += [(u + 1, i + 1, r, t) for u, i, t, r in Truth.of(1).rows()]  # type: ignore[misc]
    items = [("movieId", "title", "genres")]
    items += [(i + 1, _words(i), "a|b" if i % 2 else "c") for i in range(ITEMS)]  # type: ignore[misc]
    return Own(_text(folder / "ratings.csv", rows), _text(folder / "movies.csv", items))


def tabs_and_dates(folder: Path) -> Own:
    """Tabs, words for ids, ISO times, no label, Japanese titles."""
    rows = [("customer", "product", "bought_at")]
    rows += [
        (f"cust-{u:03d}", f"prod-{i:03d}", _iso(t)) for u, i, t, _ in Truth.of(2).rows()
    ]
    items = [("product", "name", "price")]
    items += [
        (
            f"prod-{i:03d}",
            f"{'庭のバラ' if i % 2 else '月のロケット'} {i}",
            str(i * 1.5),
        )
        for i in range(ITEMS)
    ]
    return Own(
        _text(folder / "purchases.tsv", rows, separator="\t"),
        _text(folder / "products.tsv", items, separator="\t"),
    )


def double_colons(folder: Path) -> Own:
    """`::` between fields, no header, Latin-1."""
    rows = [(u + 1, i + 1, r, t) for u, i, t, r in Truth.of(3).rows()]
    items = [
        (i + 1, f"Café {_words(i)} ({1980 + i % 30})", "A|B") for i in range(ITEMS)
    ]
    return Own(
        _text(folder / "ratings.dat", rows, separator="::", encoding="latin-1"),
        _text(folder / "items.dat", items, separator="::", encoding="latin-1"),
    )


def uuids_and_thumbs(folder: Path) -> Own:
    """Semicolons, UUIDs, milliseconds, thumbs up and down, no item table."""
    names = [str(uuid.UUID(int=n * 7919)) for n in range(1, USERS + ITEMS + 1)]
    rows = [("visitor", "article", "ts", "liked")]
    rows += [
        (names[u], names[USERS + i], t * 1_000 + 7, int(r >= 3))  # type: ignore[misc]
        for u, i, t, r in Truth.of(4).rows()
    ]
    path = _text(folder / "likes.csv", rows, separator=";", encoding="cp1252")
    return Own(path, has_text=False)


def awkward_ids(folder: Path) -> Own:
    """Pipes, a byte-order mark, ids with spaces, commas and quotes, no time."""
    rows = [("user name", "item name")]
    rows += [
        (f'user "{u}", of {u % 7}', f"item, no. {i}")
        for u, i, _, _ in Truth.of(5).rows()
    ]
    path = _text(folder / "pairs.txt", rows, separator="|", encoding="utf-8-sig")
    return Own(path, split="held_out_users", has_text=False)


def json_events(folder: Path) -> Own:
    """JSON lines, packed; kinds of events; lists of tags; items that are missing."""
    kinds = {1: "view", 2: "view", 3: "view", 4: "cart", 5: "purchase"}
    lines = [
        json.dumps({"session": f"s{u}", "sku": i, "event": kinds[r], "at": _iso(t)})
        for u, i, t, r in Truth.of(6).rows()
    ]
    events = folder / "events.jsonl.gz"
    events.write_bytes(gzip.compress("\n".join(lines).encode()))
    items = folder / "catalogue.jsonl"
    rows = [
        {"sku": i, "title": _words(i), "tags": ["x", "y"] if i % 2 else ["z"]}
        for i in range(3, ITEMS + 5)
    ]
    items.write_text("\n".join(json.dumps(row) for row in rows))
    return Own(events, items)


def parquet_tables(folder: Path) -> Own:
    """Parquet with types, half stars, two text columns, numbers with gaps."""
    truth = Truth.of(7)
    pq.write_table(
        pa.table(
            {
                "uid": pa.array(truth.user, pa.int64()),
                "book_id": pa.array(truth.item, pa.int32()),
                "stars": truth.rating - 0.5,
                "when": pa.array(truth.time * 1_000_000, pa.timestamp("us")),
            }
        ),
        folder / "reads.parquet",
    )
    rows = range(ITEMS)
    pq.write_table(
        pa.table(
            {
                "book_id": pa.array(list(rows), pa.int32()),
                "title": [_words(i) for i in rows],
                "description": [f"A long story about {_words(i)}. " * 3 for i in rows],
                "pages": [None if i % 4 == 0 else 100.0 + i for i in rows],
            }
        ),
        folder / "books.parquet",
    )
    return Own(folder / "reads.parquet", folder / "books.parquet")


def utf16_and_users(folder: Path) -> Own:
    """UTF-16, packed, leading zeros, dates alone, ten points, a table of users."""
    rows = [("member", "dish", "points", "day")]
    rows += [
        (f"{u:05d}", f"{i:04d}", 2 * r, _iso(t)[:10])  # type: ignore[misc]
        for u, i, t, r in Truth.of(8).rows()
    ]
    items = [("dish", "dish_name", "kitchen")]
    items += [(f"{i:04d}", _words(i), f"k{i % 5}") for i in range(ITEMS)]
    users = [("member", "age", "town")]
    users += [(f"{u:05d}", str(20 + u % 40), f"town{u % 3}") for u in range(USERS)]
    return Own(
        _text(folder / "points.csv.gz", rows, encoding="utf-16", packed=True),
        _text(folder / "dishes.csv", items, encoding="utf-16"),
        _text(folder / "members.csv", users, encoding="utf-16"),
    )


def counts_without_header(folder: Path) -> Own:
    """Tabs, no header, play counts, no time; names of artists in another table."""
    pairs: dict[tuple[int, int], int] = {}
    for u, i, _, r in Truth.of(9).rows():
        pairs[u + 2, i + 51] = pairs.get((u + 2, i + 51), 0) + r * 100
    rows = [(u, i, n) for (u, i), n in sorted(pairs.items())]
    items = [("id", "name", "url")]
    items += [(i + 51, _words(i), f"http://example.org/{i}") for i in range(ITEMS)]  # type: ignore[misc]
    return Own(
        _text(folder / "plays.dat", rows, separator="\t"),
        _text(folder / "artists.dat", items, separator="\t"),
        split="held_out_users",
    )


def repeated_plays(folder: Path) -> Own:
    """Microseconds, repeats, emoji in ids, items never met, several values a cell."""
    rows = [("LISTENER", "TRACK", "PLAYED_AT", "DEVICE")]
    rows += [
        (f"👤{u}", f"🎵{i % 20}", t * 1_000_000, "phone" if u % 3 else "desktop")  # type: ignore[misc]
        for u, i, t, _ in Truth.of(10).rows()
    ]
    items = [("TRACK", "NAME", "MOODS", "BPM")]
    items += [
        (f"🎵{i}", _words(i), "calm;happy" if i % 2 else "wild;loud;new", str(60 + i))
        for i in range(ITEMS)
    ]
    return Own(_text(folder / "plays.csv", rows), _text(folder / "tracks.csv", items))


WRITERS: tuple[Writer, ...] = (
    plain_csv,
    tabs_and_dates,
    double_colons,
    uuids_and_thumbs,
    awkward_ids,
    json_events,
    parquet_tables,
    utf16_and_users,
    counts_without_header,
    repeated_plays,
)
