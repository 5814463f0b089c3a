"""The readers of Goodbooks-10k, on small archives in the formats of both sources."""

import gzip
import zipfile
from pathlib import Path

import pytest

from data.errors import DataError
from data.fetch.archives import open_archive, open_folder
from data.readers import goodbooks

RATINGS = "user_id,book_id,rating\n1,258,5\n2,1,4\n1,2,3\n"
BOOKS = (
    "book_id,goodreads_book_id,authors,original_publication_year,title,language_code\n"
    '1,2767052,Suzanne Collins,2008.0,"The Hunger Games (The Hunger Games, #1)",eng\n'
    '2,3,"J.K. Rowling, Mary GrandPré",1997.0,"Harry ""Potter""",\n'
    "258,9,Homer,-720.0,The  Odyssey,en-US\n"
)
TAGS = "tag_id,tag_name\n1,ya\n2,young-adult\n3,to-read\n4,fantasy\n5,classics\n"
BOOK_TAGS = (
    "goodreads_book_id,tag_id,count\n"
    "2767052,3,900\n2767052,4,30\n2767052,1,20\n2767052,2,20\n"
    "9,5,7\n9,99,5\n777,4,1\n"
)
ITEMS = "item_id,title,authors,genres,year,language\n"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "goodbooks-10k.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("ratings.csv", RATINGS)
        file.writestr("books.csv", BOOKS)
        file.writestr("tags.csv", TAGS)
        file.writestr("book_tags.csv", BOOK_TAGS)
    return path


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    folder = tmp_path / "sample"
    folder.mkdir()
    genres = 'book_id,goodreads_book_id,genres\n1,2767052,"fantasy,ya,young-adult,x"\n'
    for name, text in (
        (goodbooks.SAMPLE_RATINGS, RATINGS),
        (goodbooks.SAMPLE_GENRES, genres),
    ):
        (folder / name).write_bytes(gzip.compress(text.encode()))
    (folder / "books.csv").write_text(BOOKS, encoding="utf-8")
    return folder


def test_the_publishers_archive(archive: Path, tmp_path: Path) -> None:
    with open_archive(archive) as members:
        goodbooks.write_goodbooks(members, tmp_path)
    assert (tmp_path / "interactions.csv").read_text() == (
        "user_id,item_id,rating\n1,258,5\n2,1,4\n1,2,3\n"
    )
    assert (tmp_path / "items.csv").read_text(encoding="utf-8") == ITEMS + (
        '1,"The Hunger Games (The Hunger Games, #1)",Suzanne Collins,'
        "young-adult|fantasy,2008,eng\n"
        '2,"Harry ""Potter""",J.K. Rowling|Mary GrandPré,,1997,\n'
        "258,The Odyssey,Homer,classics,-720,en-US\n"
    )


def test_a_sample_of_users(sample: Path, tmp_path: Path) -> None:
    with open_folder(sample) as members:
        goodbooks.write_sample(members, tmp_path)
    assert (tmp_path / "interactions.csv").read_text().count("\n") == 4
    items = (tmp_path / "items.csv").read_text(encoding="utf-8").splitlines()
    assert items[1].endswith(",Suzanne Collins,fantasy|young-adult,2008,eng")
    assert items[2].endswith(",J.K. Rowling|Mary GrandPré,,1997,")


def test_another_header_is_named(sample: Path, tmp_path: Path) -> None:
    wrong = RATINGS.replace("book_id", "isbn").encode()
    (sample / goodbooks.SAMPLE_RATINGS).write_bytes(gzip.compress(wrong))
    with (
        pytest.raises(DataError, match="expected the columns user_id, book_id, rating"),
        open_folder(sample) as members,
    ):
        goodbooks.write_sample(members, tmp_path)


def test_a_damaged_gzip_is_named(sample: Path, tmp_path: Path) -> None:
    path = sample / goodbooks.SAMPLE_RATINGS
    path.write_bytes(path.read_bytes()[:-9])
    with (
        pytest.raises(DataError, match=r"sample: expected \.gz files that can be unp"),
        open_folder(sample) as members,
    ):
        goodbooks.write_sample(members, tmp_path)


def test_a_shelf_means_one_genre() -> None:
    shelves = [s for names in goodbooks.GENRES.values() for s in names]
    assert len(shelves) == len(set(shelves))
    assert all(genre in names for genre, names in goodbooks.GENRES.items())
