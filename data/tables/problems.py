"""What may be wrong with a raw table, said with its place and with what to do."""

from data.errors import DataError, EmptyTable, nearest
from data.schema import Table

SHOWN_ROWS, SHOWN_CHARACTERS = 10, 60


class OddRows:
    """Rows that cannot be used: all are counted, the first ten are shown."""

    def __init__(self, path: str) -> None:
        self.path, self.count = path, 0
        self._shown: list[str] = []

    def add(self, place: str, problem: str) -> None:
        """Note a row. In: `place`: such as "row 3"; `problem`: found and expected."""
        self.count += 1
        if self.count <= SHOWN_ROWS:
            self._shown.append(f"{self.path}, {place}: {problem}")

    def raise_any(self, advice: str) -> None:
        """Raise one DataError that tells of all, if there are any."""
        if not self.count:
            return
        more = self.count - len(self._shown)
        rest = [f"... and {more} rows more."] if more else []
        raise DataError("\n".join([*self._shown, *rest, advice]))


def excerpt(text: str) -> str:
    """Return the quoted beginning of what was found."""
    return repr(text[:SHOWN_CHARACTERS])


def check_columns(path: str, name: str, table: Table, found: list[str]) -> None:
    """Raise DataError for a column that the TOML names and the file has not once."""
    for column in table.columns:
        if column not in found:
            raise DataError(
                f"{path}: no column '{column}', which [data.{name}.columns] names. "
                f"{nearest(column, found)}"
            )
        if found.count(column) > 1:
            raise DataError(
                f"{path}: found {found.count(column)} columns '{column}', expected "
                "one. Rename the others in the header."
            )


def empty_file(path: str, name: str | None) -> EmptyTable:
    """Return the error for a file in which there is nothing."""
    of = f" of {name}" if name else ""
    return EmptyTable(
        f"{path}: the file is empty, expected a table{of}. Put the table there, or "
        "name another file."
    )
