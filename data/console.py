"""What a person sees while they wait: a bar on a terminal, a timed line in a log."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

ERRORS = Console(stderr=True, highlight=False, soft_wrap=True)
# A file or a pipe has no width: tables in logs get room enough.
_WIDTH = None if sys.stdout.isatty() else 100
OUTPUT = Console(highlight=False, soft_wrap=True, width=_WIDTH)
LINE_EVERY_S = 10.0


class Advance(Protocol):
    """Moves a bar on; `note` stands beside it, such as the current loss."""

    def __call__(self, amount: float = 1, note: str = "") -> None:
        """Move on by an amount."""


def say(text: str) -> None:
    """Print one line to standard output at once."""
    OUTPUT.print(text, markup=False)
    sys.stdout.flush()


def complain(text: str) -> None:
    """Print one message to standard error."""
    ERRORS.print(text, markup=False)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Print the title of a step and, when it has ended, the seconds it took."""
    start = time.monotonic()
    say(f"{title} ...")
    yield
    say(f"{title}: {time.monotonic() - start:.1f} s")


@contextlib.contextmanager
def progress(
    title: str, total: float | None, *, least_s: float = 0.0
) -> Iterator[Advance]:
    """Show how far a long step has come.

    A terminal gets a bar. Anything else gets a line at most every ten seconds and
    one with the time at the end, so that logs stay readable.

    In: `total`: how much there is to do, in any unit; None if nobody knows.
    `least_s`: a log hears of the end only of what took so many seconds. Out: a
    function to call with the amount just done.
    """
    if OUTPUT.is_terminal:
        with _bar(title, total) as advance_bar:
            yield advance_bar
        return
    start = shown = time.monotonic()
    done, said = 0.0, ""

    def advance(amount: float = 1, note: str = "") -> None:
        nonlocal shown, done, said
        done, said = done + amount, note
        if time.monotonic() - shown > LINE_EVERY_S:
            shown = time.monotonic()
            aim = "" if total is None else f" of {total:,.0f}"
            say(f"{title}: {done:,.0f}{aim} {note}".rstrip())

    yield advance
    took_s = time.monotonic() - start
    if took_s >= least_s:
        say(f"{title}: {took_s:.1f} s {said}".rstrip())


@contextlib.contextmanager
def _bar(title: str, total: float | None) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=OUTPUT) as bar:
        task = bar.add_task(title, total=total, note="")

        def advance(amount: float = 1, note: str = "") -> None:
            bar.update(task, advance=amount, note=note)

        yield advance
