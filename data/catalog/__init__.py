"""The named things that can be fetched: where each comes from, checksum, licence.

To add a data set, add an entry and a reader that turns its archive into tables.

Every `File` of an entry is pinned: whatever the source, it must come out the same,
byte for byte, so that no source and no change of a reader alters it unnoticed. A
`Table` is a file whose sum nobody has published: it is held to the columns, to the
number of rows that its publisher states, and to the sum that its first fetching
recorded. What is downloaded is checked by SHA-256 wherever one is known; only the
files of the Amazon reviews have none, and gzip's own sums must do there.
"""

from collections.abc import Mapping
from types import MappingProxyType

from data.catalog.amazon import AMAZON_2018
from data.catalog.goodbooks import GOODBOOKS_10K
from data.catalog.movielens import ML_1M, ML_20M, ML_25M, ML_100K
from data.catalog.weights import MINILM
from data.errors import ConfigError, nearest
from data.fetch.sources import Entry

CATALOG: Mapping[str, Entry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            *(ML_100K, ML_1M, ML_20M, ML_25M, GOODBOOKS_10K),
            *AMAZON_2018,
            MINILM,
        )
    }
)


def find(name: str) -> Entry:
    """Return the entry of a name.

    Raises: a name that is not in the catalog -> ConfigError with the nearest one.
    """
    if name not in CATALOG:
        raise ConfigError(
            f"The catalog has no data set or weights named '{name}'. "
            f"{nearest(name, CATALOG)}"
        )
    return CATALOG[name]
