"""What the command-line doors share: errors that people can mend, told as such."""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from data.console import complain
from data.errors import ConfigError, DataError, Locked

OK, BUG, MISTAKE, REFUSED, LOCKED, INTERRUPTED = 0, 1, 2, 3, 4, 130
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def tell_errors(
    statuses: Mapping[type[Exception], int] | None = None,
) -> Iterator[None]:
    """Print what a person can mend alone and exit; our own bugs pass with a traceback.

    In: `statuses`: further exceptions to tell, each with its exit status. A subclass
    is told by its own entry before that of a base class.
    Raises: SystemExit. Serves as a decorator too, below `@click.command`.
    """
    known: dict[type[Exception], int] = {
        ConfigError: MISTAKE,
        DataError: MISTAKE,
        Locked: LOCKED,
    }
    known |= statuses or {}
    try:
        yield
    except KeyboardInterrupt:
        complain("Interrupted.")
        raise SystemExit(INTERRUPTED) from None
    except tuple(known) as err:
        complain(str(err))
        status = next(known[cls] for cls in type(err).__mro__ if cls in known)
        raise SystemExit(status) from None
    except OSError as err:
        if not (advice := _advice(err)):
            raise
        complain(advice)
        raise SystemExit(MISTAKE) from None


def _advice(err: OSError) -> str | None:
    place = err.filename or "a file"
    if err.errno in _FULL:
        return (
            f"{place}: no space left on its disk. Nothing is left half-written there; "
            "free some space or name another folder, and run the same command again."
        )
    if err.errno in _FORBIDDEN:
        return (
            f"{place}: {err.strerror}. Change its permissions, or name another place."
        )
    # A rename's error names both; its target is the one that a person has named.
    named = err.filename2 or err.filename
    if not named or isinstance(named, int):  # A number is that of an open file.
        return None
    return _advice_of_kind(err.errno, Path(os.fsdecode(named)))


def _advice_of_kind(code: int | None, place: Path) -> str | None:
    """Tell what is a file, a folder or nothing, and should be something else."""
    if code == errno.ENOENT:
        return (
            f"{place}: no such file or folder. Check the name, and that nothing else "
            "removes it meanwhile, and run the same command again."
        )
    if code == errno.EISDIR:
        return (
            f"{place}: found a folder, expected a file. Name a file in it, or another "
            "place."
        )
    if code in (errno.EEXIST, errno.ENOTDIR) and (file := _file_on_the_way(place)):
        found = "a file" if file.exists() else "a link to nothing"
        return (
            f"{file}: found {found}, expected a folder. Move it away, or name another "
            "folder."
        )
    return None


def _file_on_the_way(place: Path) -> Path | None:
    """Return what is no folder where one is wanted: the place, or one above it."""
    there = next(one for one in (place, *place.parents) if os.path.lexists(one))
    return None if there.is_dir() else there
