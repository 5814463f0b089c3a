"""What the command-line doors share: errors that people can mend, told as such."""

import contextlib
import errno
from collections.abc import Iterator, Mapping

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
    return None
