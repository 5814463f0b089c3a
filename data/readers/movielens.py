"""The MovieLens archives' own formats, turned into one form of three tables.

`interactions.csv` user_id, item_id, rating (stars), timestamp (Unix seconds, UTC),
in the order of the publisher's file, which breaks ties in time; `items.csv` item_id,
title, year, genres; `users.csv` user_id, age, gender, occupation, zip_code, which
MovieLens 20M and 25M do not tell.

Titles are the publisher's text ("Matrix, The") without the year at the end. Age is
in years, and in MovieLens 1M the lowest age of a range (1 is "under 18").
"""

import re
from collections.abc import Iterable
from pathlib import Path

from data.errors import DataError
from data.fetch.archives import Members
from data.fetch.sources import Reader
from data.readers import INTERACTIONS, ITEMS, USERS
from data.readers.delimited import copy_numbers, read_csv, read_rows, write_table

INTERACTION_COLUMNS = ("user_id", "item_id", "rating", "timestamp")
ITEM_COLUMNS = ("item_id", "title", "year", "genres")
USER_COLUMNS = ("user_id", "age", "gender", "occupation", "zip_code")

# The columns of u.item after the first five, in the order of u.genre.
GENRES_100K = tuple(
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|"
    "Fantasy|Film-Noir|Horror|Musical|Mystery|Romance|Sci-Fi|Thriller|War|"
    "Western".split("|")
)
# The codes 0 to 20 of users.dat, as the README of MovieLens 1M names them.
OCCUPATIONS_1M = tuple(
    "other|academic/educator|artist|clerical/admin|college/grad student|"
    "customer service|doctor/health care|executive/managerial|farmer|homemaker|"
    "K-12 student|lawyer|programmer|retired|sales/marketing|scientist|self-employed|"
    "technician/engineer|tradesman/craftsman|unemployed|writer".split("|")
)
_NO_GENRES = ("unknown", "(no genres listed)")
_RATINGS_CSV = ("userId", "movieId", "rating", "timestamp")
_MOVIES_CSV = ("movieId", "title", "genres")
_YEAR_AT_END = re.compile(r"\((\d{4})\)(?: \(V\))?$")  # (V): released on video.


def write_ml_100k(members: Members, folder: Path) -> None:
    """Write the three tables from the publisher's `ml-100k.zip`.

    Raises: a row without the expected number of fields -> DataError.
    """
    write_interactions(members, "ml-100k/u.data", b"\t", folder)
    items = read_rows(members, "ml-100k/u.item", "|", "latin-1", 5 + len(GENRES_100K))
    write_items(folder, map(_item_100k, items))
    users = read_rows(members, "ml-100k/u.user", "|", "latin-1", len(USER_COLUMNS))
    write_users(folder, users)


def write_ml_1m(members: Members, folder: Path) -> None:
    """Write the three tables from the publisher's `ml-1m.zip`.

    Raises: a row without the expected number of fields, an occupation that is no
    code of the README -> DataError.
    """
    write_interactions(members, "ml-1m/ratings.dat", b"::", folder)
    movies = read_rows(members, "ml-1m/movies.dat", "::", "latin-1", 3)
    items = ([item, *split_title(title), genres] for item, title, genres in movies)
    write_items(folder, items)
    users = read_rows(members, "ml-1m/users.dat", "::", "latin-1", 5)
    write_users(folder, map(user_1m, users))


def csv_reader(stem: str) -> Reader:
    """Make the reader of `ml-20m.zip` or `ml-25m.zip`, which hold CSV files.

    In: `stem`: the folder in the archive.
    Raises: another header or another number of fields -> DataError with the line.
    """

    def write(members: Members, folder: Path) -> None:
        copy_numbers(
            members,
            f"{stem}/ratings.csv",
            b",",
            folder / INTERACTIONS,
            INTERACTION_COLUMNS,
            header=True,
            named=_RATINGS_CSV,
        )
        movies = read_csv(members, f"{stem}/movies.csv", _MOVIES_CSV)
        write_items(folder, map(_item_csv, movies))

    return write


def write_interactions(
    members: Members, member: str, separator: bytes, folder: Path, header: bool = False
) -> None:
    """Copy a table of user, item, rating, time.

    Raises: a row without four fields -> DataError with its line.
    """
    target, columns = folder / INTERACTIONS, INTERACTION_COLUMNS
    copy_numbers(members, member, separator, target, columns, header=header)


def write_items(folder: Path, rows: Iterable[list[str]]) -> None:
    """Write the item table from rows of item_id, title, year, genres."""
    write_table(folder / ITEMS, ITEM_COLUMNS, rows)


def write_users(folder: Path, rows: Iterable[list[str]]) -> None:
    """Write the user table from rows of user_id, age, gender, occupation, zip_code."""
    write_table(folder / USERS, USER_COLUMNS, rows)


def _item_100k(row: list[str]) -> list[str]:
    flags = zip(GENRES_100K, row[5:], strict=True)
    genres = [genre for genre, flag in flags if flag == "1"]
    return [row[0], *split_title(row[1]), join_genres(genres)]


def _item_csv(row: list[str]) -> list[str]:
    item, title, genres = row
    return [item, *split_title(title), join_genres(genres.split("|"))]


def join_genres(genres: list[str]) -> str:
    """Join genres with `|`; the publisher's "unknown" is the absence of any."""
    return "|".join(genre for genre in genres if genre not in _NO_GENRES)


def user_1m(row: list[str]) -> list[str]:
    """Turn a row of MovieLens 1M (user, gender, age, code, zip) into one of ours.

    Raises: an occupation that is no code of the README -> DataError.
    """
    user, gender, age, code, zip_code = row
    if not code.isdecimal() or int(code) >= len(OCCUPATIONS_1M):
        raise DataError(
            f"User {user} of MovieLens 1M: expected an occupation code from 0 to "
            f"{len(OCCUPATIONS_1M) - 1}, found {code!r}. Fetch the archive again."
        )
    return [user, age, gender, OCCUPATIONS_1M[int(code)], zip_code]


def split_title(title: str) -> tuple[str, str]:
    """Split "Heat (1995)" into "Heat" and "1995"; the year is "" where none stands."""
    title = " ".join(title.split())
    match = _YEAR_AT_END.search(title)
    if not match:
        return title, ""
    return title[: match.start()].rstrip(), match[1]
