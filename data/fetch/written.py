"""What fetching has written: held to what the catalog says of it, and recorded."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.fetch.archives import CHUNK_BYTES, check, digest_of
from data.fetch.sources import File, Table

Records = dict[str, dict[str, Any]]
"""By file name: sha256, bytes, and what is known of rows and columns."""


def inspect(files: Iterable[File | Table], folder: Path, origin: str) -> Records:
    """Check all files of a folder and describe them.

    In: `origin`: what they were made of, for messages.
    Raises: a pinned file of another sum, a table of other columns or another number
    of rows, an absent file -> DataError.
    """
    return {file.name: _inspect(file, folder, origin) for file in files}


def _inspect(file: File | Table, folder: Path, origin: str) -> dict[str, Any]:
    path = folder / file.name
    if isinstance(file, Table):
        return _inspect_table(file, path, origin)
    found = f"sha256:{digest_of(path, 'sha256')}"
    check(f"{file.name} of {origin}", f"sha256:{file.sha256}", found)
    record: dict[str, Any] = {"sha256": file.sha256, "bytes": file.size}
    return record | ({"rows": file.rows} if file.rows is not None else {})


def _inspect_table(table: Table, path: Path, origin: str) -> dict[str, Any]:
    digest, lines = hashlib.sha256(), 0
    with open(path, "rb") as file:
        header = file.readline().decode("utf-8", "replace").strip()
        file.seek(0)
        while block := file.read(CHUNK_BYTES):
            digest.update(block)
            lines += block.count(b"\n")
    if header.split(",") != list(table.columns):
        raise DataError(
            f"{table.name} of {origin}: expected the columns "
            f"{','.join(table.columns)}, found {header}. It is of another version."
        )
    rows = lines - 1  # No cell of ours holds a line break.
    if rows < 1 or table.rows not in (None, rows):
        wanted = "one or more" if table.rows is None else f"{table.rows:,}"
        raise DataError(
            f"{table.name} of {origin}: expected {wanted} rows, found {rows:,}. It is "
            "damaged or of another version; nothing of it was kept."
        )
    return {
        "sha256": digest.hexdigest(),
        "bytes": path.stat().st_size,
        "rows": rows,
        "columns": list(table.columns),
    }


def fits(file: File | Table, record: Mapping[str, Any], path: Path) -> bool:
    """Tell whether a file still is what its record says and the catalog wants."""
    if isinstance(file, File):
        wanted = record["sha256"] == file.sha256 and record["bytes"] == file.size
    else:
        wanted = record["columns"] == list(file.columns)
        wanted &= file.rows in (None, record["rows"])
    return wanted and path.stat().st_size == record["bytes"]


def check_same(
    files: Iterable[File | Table], before: Mapping[str, Any], now: Records, place: Path
) -> None:
    """Hold tables whose sums nobody published to the sums that were recorded first.

    Raises: another sum -> DataError with both.
    """
    for table in (file for file in files if isinstance(file, Table)):
        recorded, found = before[table.name]["sha256"], now[table.name]["sha256"]
        if recorded != found:
            raise DataError(
                f"{table.name}: expected the SHA256 sum {recorded}, which was recorded "
                f"when it was first fetched, found {found}. What the publisher gives "
                f"or our reader has changed; the old files were kept. To take the new "
                f"ones, remove {place} and fetch again."
            )
