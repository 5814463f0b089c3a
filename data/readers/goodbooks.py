"""Goodbooks-10k: the publisher's archive, and a sample of its users.

`interactions.csv` user_id, item_id, rating (1 to 5) in the publisher's order, which is
that of time: no times are told. `items.csv` item_id, title, authors, genres, year,
language. Genres are the shelves on which readers put a book, as far as they name one
of `GENRES`, the most frequent first (a sample does not tell how frequent, and has them
in its own order); authors and language codes are the publisher's.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from data.fetch.archives import Members
from data.readers import INTERACTIONS, ITEMS
from data.readers.delimited import copy_numbers, read_csv, write_table

INTERACTION_COLUMNS = ("user_id", "item_id", "rating")
ITEM_COLUMNS = ("item_id", "title", "authors", "genres", "year", "language")
SAMPLE_RATINGS = "ratings_5pct_users.csv.gz"
SAMPLE_GENRES = "book_genres.csv.gz"
SAMPLE_FILES = (SAMPLE_RATINGS, "books.csv", SAMPLE_GENRES)

# Each genre and the shelves that mean it: readers name them as they like.
GENRES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "art": ("art", "art-books"),
        "biography": ("biography", "biographies", "autobiography", "memoir", "memoirs"),
        "business": ("business", "economics", "finance"),
        "chick-lit": ("chick-lit", "chicklit"),
        "children": ("children", "childrens", "children-s", "childrens-books"),
        "christian": ("christian", "christianity"),
        "classics": ("classics", "classic", "classic-literature"),
        "comics": ("comics", "comic", "graphic-novel", "graphic-novels", "manga"),
        "contemporary": ("contemporary", "contemporary-fiction"),
        "cooking": ("cooking", "cookbooks", "food"),
        "crime": ("crime", "true-crime", "detective"),
        "dystopia": ("dystopia", "dystopian", "post-apocalyptic"),
        "erotica": ("erotica", "erotic"),
        "fantasy": ("fantasy", "urban-fantasy", "epic-fantasy", "high-fantasy"),
        "fiction": ("fiction", "general-fiction"),
        "historical-fiction": ("historical-fiction", "historic-fiction"),
        "history": ("history", "american-history", "world-history"),
        "horror": ("horror",),
        "humor": ("humor", "humour", "comedy", "funny"),
        "lgbt": ("lgbt", "lgbtq", "glbt"),
        "literary-fiction": ("literary-fiction", "literary", "literature"),
        "middle-grade": ("middle-grade", "juvenile", "juvenile-fiction"),
        "mystery": ("mystery", "mysteries", "murder-mystery"),
        "nonfiction": ("nonfiction", "non-fiction"),
        "paranormal": ("paranormal", "supernatural", "vampires", "paranormal-romance"),
        "philosophy": ("philosophy",),
        "picture-books": ("picture-books", "picture-book"),
        "poetry": ("poetry", "poems"),
        "politics": ("politics", "political"),
        "plays": ("plays", "drama", "theatre"),
        "psychology": ("psychology",),
        "religion": ("religion", "spirituality", "spiritual"),
        "romance": ("romance", "contemporary-romance", "historical-romance"),
        "science": ("science", "popular-science"),
        "science-fiction": ("science-fiction", "sci-fi", "scifi"),
        "self-help": ("self-help", "personal-development"),
        "short-stories": ("short-stories", "short-story-collections"),
        "sports": ("sports", "sport"),
        "thriller": ("thriller", "thrillers", "suspense"),
        "travel": ("travel",),
        "war": ("war", "military"),
        "young-adult": ("young-adult", "ya", "teen"),
    }
)
_GENRE_OF = {shelf: genre for genre, shelves in GENRES.items() for shelf in shelves}
_BOOKS = (
    *("book_id", "goodreads_book_id", "title", "authors"),
    *("original_publication_year", "language_code"),
)


def write_goodbooks(members: Members, folder: Path) -> None:
    """Write both tables from the publisher's `goodbooks-10k.zip`.

    Raises: another header, another number of fields -> DataError with the line.
    """
    _write_ratings(members, "ratings.csv", folder)
    genres = _genres_of_shelves(members)
    books = read_csv(members, "books.csv", _BOOKS)
    rows = (_item(row, genres.get(row[1], "")) for row in books)
    write_table(folder / ITEMS, ITEM_COLUMNS, rows)


def write_sample(members: Members, folder: Path) -> None:
    """Write both tables from a sample: some users' ratings, and shelves by book.

    Raises: another header, another number of fields -> DataError with the line.
    """
    _write_ratings(members, SAMPLE_RATINGS, folder)
    shelves = read_csv(members, SAMPLE_GENRES, ("book_id", "genres"))
    genres = {book: _genres(names.split(",")) for book, names in shelves}
    books = read_csv(members, "books.csv", _BOOKS)
    rows = (_item(row, genres.get(row[0], "")) for row in books)
    write_table(folder / ITEMS, ITEM_COLUMNS, rows)


def _write_ratings(members: Members, member: str, folder: Path) -> None:
    copy_numbers(
        members,
        member,
        b",",
        folder / INTERACTIONS,
        INTERACTION_COLUMNS,
        header=True,
        named=("user_id", "book_id", "rating"),
    )


def _genres_of_shelves(members: Members) -> dict[str, str]:
    """Return the genres of each book by its id at Goodreads."""
    tags = read_csv(members, "tags.csv", ("tag_id", "tag_name"))
    names = {tag: name for tag, name in tags}
    columns = ("goodreads_book_id", "tag_id", "count")
    counts: dict[str, dict[str, int]] = {}
    for book, tag, count in read_csv(members, "book_tags.csv", columns):
        if genre := _GENRE_OF.get(names.get(tag, "")):
            of_book = counts.setdefault(book, {})
            of_book[genre] = of_book.get(genre, 0) + int(count)
    return {book: _by_count(found) for book, found in counts.items()}


def _by_count(counts: Mapping[str, int]) -> str:
    return "|".join(sorted(counts, key=lambda genre: (-counts[genre], genre)))


def _genres(shelves: Iterable[str]) -> str:
    found = (_GENRE_OF.get(shelf.strip()) for shelf in shelves)
    return "|".join(dict.fromkeys(genre for genre in found if genre))


def _item(row: list[str], genres: str) -> list[str]:
    book, _, title, authors, year, language = row
    names = "|".join(filter(None, (name.strip() for name in authors.split(","))))
    year = year.removesuffix(".0")  # The publisher writes years as 2008.0.
    return [book, " ".join(title.split()), names, genres, year, language]
