"""Goodbooks-10k in the catalog."""

from data import readers
from data.fetch.sources import Archive, Entry, StandIn, Table, Web
from data.readers import goodbooks

_HOME = "https://github.com/zygmuntz/goodbooks-10k"
_BOOKS = Table(name=readers.ITEMS, columns=goodbooks.ITEM_COLUMNS, rows=10_000)

# The publisher gives no sum; the SHA-256 is the one that Ludwig pins.
GOODBOOKS_10K = Entry(
    name="goodbooks-10k",
    title="Goodbooks-10k",
    publisher=_HOME,
    licence="CC BY-SA 4.0",
    terms=(
        "Goodbooks-10k is under CC BY-SA 4.0: it may be used, changed and passed on, "
        "also commercially, if you name its author and keep the licence. Publications "
        "cite: Z. Zając (2017), Goodbooks-10k: a new dataset for book recommendations, "
        "http://fastml.com/goodbooks-10k"
    ),
    sources=(
        Archive(
            file="goodbooks-10k.zip",
            sha256="261b97b56db61f3fb2ce5aadbb13704d30179fcc986c17ace665a0af9ed00731",
            source=Web(url=f"{_HOME}/releases/download/v1.0/goodbooks-10k.zip"),
            reader=goodbooks.write_goodbooks,
        ),
    ),
    files=(
        Table(
            name=readers.INTERACTIONS,
            columns=goodbooks.INTERACTION_COLUMNS,
            rows=5_976_479,
        ),
        _BOOKS,
    ),
    stand_in=StandIn(
        folder="goodbooks-10k",
        files=goodbooks.SAMPLE_FILES,
        tables=(
            Table(name=readers.INTERACTIONS, columns=goodbooks.INTERACTION_COLUMNS),
            _BOOKS,
        ),
        reader=goodbooks.write_sample,
        told="a sample of 5 % of the users with all their ratings, and all books",
    ),
)
