"""The readers of the Amazon reviews, on small files in the formats of both sources."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from data.fetch.archives import open_folder
from data.readers import amazon, ordered

REVIEWS, PRODUCTS = "Toys_5.json.gz", "meta_Toys.json.gz"


def review(user: str, item: str, stars: float, time: int) -> dict[str, Any]:
    return {
        "overall": stars,
        "verified": True,
        "reviewerID": user,
        "asin": item,
        "reviewText": "Good,\nreally",
        "unixReviewTime": time,
    }


def write_lines(path: Path, rows: list[Any]) -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    reviews = [
        review("A1", "B1", 5.0, 300),
        review("#oc,A2", "B1", 4.0, 100),
        review("A1", "B2", 1.5, 200),
        review("A1", "B9", 2.0, 100),
    ]
    write_lines(folder / REVIEWS, reviews)
    products = [
        {"asin": "B0", "title": "Never reviewed"},
        {
            "asin": "B2",
            "title": "Bolt &amp; Nut  3&quot;",
            "description": ["<b>Strong</b> for < 5 kg.", "Two\nlines"],
            "brand": "by\n    \n    Acme",
            "category": ["Tools &amp; Home", "A|B", "<span>x</span>", "Tools & Home"],
        },
        {"asin": "B1", "title": "var t = new Date().getTime()", "category": []},
        {"asin": "B2", "title": "A second time"},
    ]
    write_lines(folder / PRODUCTS, products)
    return folder


def read(folder: Path, out: Path) -> None:
    with open_folder(folder) as members:
        amazon.reader_of(REVIEWS, PRODUCTS)(members, out)


@pytest.mark.parametrize("block_rows", [1, 1 << 16])
def test_the_publishers_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_rows: int
) -> None:
    monkeypatch.setattr(ordered, "_BLOCK_ROWS", block_rows)
    read(folder, tmp_path)
    assert (tmp_path / "interactions.csv").read_text() == (
        "user_id,item_id,rating,timestamp\n"
        '"#oc,A2",B1,4,100\nA1,B9,2,100\nA1,B2,1.5,200\nA1,B1,5,300\n'
    )
    assert (tmp_path / "items.csv").read_text() == (
        "item_id,title,description,brand,categories\n"
        'B2,"Bolt & Nut 3""",Strong for < 5 kg. Two lines,Acme,Tools & Home|A/B\n'
        "B1,,,,\n"
        "B9,,,,\n"
    )
    assert {p.name for p in tmp_path.iterdir()} == {
        *("given", "interactions.csv", "items.csv")
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r"Toys_5\.json\.gz line 2: expected a JSON object, found"),
        ("[]", "line 2: expected a JSON object, found list"),
        ({"asin": "B1"}, r"line 2: expected reviewerID.*KeyError\('reviewerID'\)"),
        (review("A", "B", 1.0, 0) | {"overall": "x"}, "line 2: expected .*ValueError"),
    ],
)
def test_damaged_lines_are_named(
    folder: Path, tmp_path: Path, row: Any, message: str
) -> None:
    write_lines(folder / REVIEWS, [review("A1", "B1", 5.0, 300), row])
    with pytest.raises(DataError, match=message):
        read(folder, tmp_path)


def test_no_review_at_all(folder: Path, tmp_path: Path) -> None:
    write_lines(folder / REVIEWS, [])
    read(folder, tmp_path)
    assert (tmp_path / "interactions.csv").read_text().count("\n") == 1


@pytest.fixture
def positions(tmp_path: Path) -> Path:
    folder = tmp_path / "positions"
    folder.mkdir()
    for name, text in (
        ("interactions.csv.gz", "user_id,item_id,position\n0,7,0\n0,8,1\n1,8,0\n"),
        (
            "items.csv.gz",
            "item_id,title,description,brand,categories\n"
            '7,Bolt,"Long, and\nlonger",,"Tools,Bolts,Tools"\n8,Nut,,Acme,\n',
        ),
    ):
        (folder / name).write_bytes(gzip.compress(text.encode()))
    return folder


def test_positions_go_user_by_user_in_turn(positions: Path, tmp_path: Path) -> None:
    with open_folder(positions) as members:
        amazon.write_positions(members, tmp_path)
    assert (tmp_path / "interactions.csv").read_text() == (
        "user_id,item_id,position\n0,7,0\n1,8,0\n0,8,1\n"
    )
    assert (tmp_path / "items.csv").read_text() == (
        "item_id,title,description,brand,categories\n"
        '7,Bolt,"Long, and longer",,Tools|Bolts\n8,Nut,,Acme,\n'
    )


def test_a_position_that_is_no_number(positions: Path, tmp_path: Path) -> None:
    text = "user_id,item_id,position\n0,7,first\n"
    path = positions / "interactions.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with (
        pytest.raises(DataError, match=r"row 1, column 'position'.*found 'first'"),
        open_folder(positions) as members,
    ):
        amazon.write_positions(members, tmp_path)
