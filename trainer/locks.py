"""One job at a time in an experiment's folder."""

import contextlib
import datetime
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from data import files
from trainer.errors import Locked

LOCK, OWNER = ".lock", ".lock.json"


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Hold an experiment's folder; the lock goes with the process.

    Raises: Locked, saying who holds it and since when. On an object store there is
    no such lock: whoever schedules jobs there runs one at a time.
    """
    if files.is_remote(folder):
        yield
        return
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as err:
        raise Locked(_who(place)) from err
    try:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
        files.write_json(place / OWNER, owner)
        yield
    finally:
        (place / OWNER).unlink(missing_ok=True)
        lock.release()


def _who(place: Path) -> str:
    owner = {"pid": "?", "host": "?", "since": "?"}
    with contextlib.suppress(OSError, ValueError):
        owner = files.read_json(place / OWNER)
    return (
        f"{place}: process {owner['pid']} on {owner['host']} has worked here since "
        f"{owner['since']}. Wait until it has ended, or name another folder (OUT=)."
    )
