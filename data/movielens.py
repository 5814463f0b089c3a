"""The MovieLens archives' own formats, turned into one form of three tables.

`interactions.csv` user_id, item_id, rating (stars), timestamp (Unix seconds, UTC),
in the order of the publisher's file, which breaks ties in time; `items.csv` item_id,
title, year, genres; `users.csv` user_id, age, gender, occupation, zip_code. All are
UTF-8 with a header, quoted as in RFC 4180, one line feed at the end of each row.
Lists are separated by `|`; an empty cell means that the publisher says "unknown".

Titles are the publisher's text ("Matrix, The") without the year at the end. Age is
in years, and in MovieLens 1M the lowest age of a range (1 is "under 18").
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from data.archives import Members
from data.errors import DataError

INTERACTIONS, ITEMS, USERS = "interactions.csv", "items.csv", "users.csv"
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
_YEAR_AT_END = re.compile(r"\((\d{4})\)(?: \(V\))?$")  # (V): released on video.
_BLOCK_BYTES = 1 << 24


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


def write_interactions(
    members: Members, member: str, separator: bytes, folder: Path, header: bool = False
) -> None:
    """Copy a table of four numbers in blocks of bytes: nothing in it needs quoting.

    Raises: a row without four fields -> DataError with its line.
    """
    row = 0
    with members.open(member) as source, open(folder / INTERACTIONS, "wb") as target:
        target.write((",".join(INTERACTION_COLUMNS) + "\n").encode())
        if header:
            source.readline()
            row += 1
        while lines := source.readlines(_BLOCK_BYTES):
            _check_fields(lines, separator, member, row + 1)
            block = b"".join(lines).replace(separator, b",").replace(b"\r\n", b"\n")
            target.write(block if block.endswith(b"\n") else block + b"\n")
            row += len(lines)


def _check_fields(lines: list[bytes], separator: bytes, member: str, row: int) -> None:
    expected = len(INTERACTION_COLUMNS)
    for number, line in enumerate(lines, start=row):
        fields = line.count(separator) + 1
        if fields != expected:
            raise _wrong_fields(member, number, expected, fields)


def write_items(folder: Path, rows: Iterable[list[str]]) -> None:
    """Write the item table from rows of item_id, title, year, genres."""
    write_table(folder / ITEMS, ITEM_COLUMNS, rows)


def write_users(folder: Path, rows: Iterable[list[str]]) -> None:
    """Write the user table from rows of user_id, age, gender, occupation, zip_code."""
    write_table(folder / USERS, USER_COLUMNS, rows)


def write_table(path: Path, columns: Iterable[str], rows: Iterable[list[str]]) -> None:
    """Write a CSV file as the head of this module says."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def read_rows(
    members: Members,
    member: str,
    separator: str,
    encoding: str,
    fields: int,
    header: bool = False,
) -> Iterator[list[str]]:
    """Yield the fields of each line; no quoting, since the publisher uses none.

    Raises: a row of another number of fields -> DataError with its line.
    """
    with members.open(member) as file:
        text = io.TextIOWrapper(file, encoding=encoding)
        for number, line in enumerate(text, start=1):
            if (header and number == 1) or not line.strip():
                continue
            row = line.rstrip("\n").split(separator)
            if len(row) != fields:
                raise _wrong_fields(member, number, fields, len(row))
            yield row


def _wrong_fields(member: str, line: int, expected: int, found: int) -> DataError:
    return DataError(
        f"{member} line {line}: expected {expected} fields, found {found}. "
        "The archive is damaged or of another version; fetch it again."
    )


def _item_100k(row: list[str]) -> list[str]:
    flags = zip(GENRES_100K, row[5:], strict=True)
    genres = [genre for genre, flag in flags if flag == "1"]
    return [row[0], *split_title(row[1]), join_genres(genres)]


def join_genres(genres: list[str]) -> str:
    """Join genres with `|`; the publisher's "unknown" is the absence of any."""
    return "|".join(genre for genre in genres if genre != "unknown")


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
