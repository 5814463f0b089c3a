"""From the names in the catalog to files on this machine."""

from data.fetch.cache import (
    SOURCE,
    cache_folder,
    fetch,
    is_ready,
    notes_on,
    source_of,
)

__all__ = ["SOURCE", "cache_folder", "fetch", "is_ready", "notes_on", "source_of"]
