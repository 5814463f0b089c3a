"""The mistakes that a person can mend, told apart from our own bugs.

Every message names what was found, where (file, row, column, field), what was
expected, and what to do. The command-line doors print it alone and exit with 2.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class ConfigError(ValueError):
    """A TOML file or an option is wrong; raised before any work starts."""


class DataError(ValueError):
    """A table, an archive or a prepared data set is not what it should be."""


class EmptyTable(DataError):
    """A file in which there is no row."""


class Locked(Exception):
    """Another job works in the same folder; the doors exit with 4."""


class SchemaDrift(DataError):
    """New rows that are not of the data set's schema: nothing of them is taken.

    `reason`: why, in one sentence; `findings`: all that was found, as
    `data.states.Finding`s, the worst first.
    """

    def __init__(self, reason: str, findings: Sequence[Any]) -> None:
        self.reason, self.findings = reason, tuple(findings)
        lines = [f"{found.severity}: {found}" for found in findings]
        super().__init__("\n".join([f"Refused: {reason}", *lines]))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelt name: the nearest known one and the whole list.

    In: `name`: what was written; `known`: what could have been.
    Out: a sentence, such as "Did you mean 'genres'? Known: genres, title."
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"Did you mean '{close[0]}'? " if close else ""
    return f"{hint}Known: {', '.join(names) or '(none)'}."
