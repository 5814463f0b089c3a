"""One job at a time in a folder, on a local disk or an object store.

Local: a lock of the operating system, which goes with the process, however it ends.

Object store: an object that says who works there and when it was last seen to. The
owner says so again every so often: whoever comes watches for that, and is refused once
it does; a lock that has been silent for `stale_after_s` is taken over. `tf.io.gfile`
cannot create an object only if it is absent, so whoever finds none writes its own,
waits until others' writes have shown, and holds the lock if it is its own that stands.
Two that start within that wait are parted by it; a store that shows a write later than
that, or clocks that differ by more than the time of silence, can let two in. So what is
published is safe without the lock too: versions are never replaced, and become visible
by one object.
"""

import contextlib
import datetime
import math
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data import files
from data.console import say
from data.errors import Locked

LOCK, OWNER = ".lock", ".lock.json"
ANOTHER = "OUT="  # How most commands are given another folder.
STALE_AFTER_S = 900.0
SETTLE_S = 2.0
WATCH_S = 10.0
BEAT_S = 60.0  # Others take over after a multiple of it at the earliest.


@contextlib.contextmanager
def locked(
    folder: str, *, stale_after_s: float = STALE_AFTER_S, another: str = ANOTHER
) -> Iterator[None]:
    """Hold a folder.

    In: `stale_after_s`: on an object store, how long an owner may be silent before
    another takes over; `another`: how a person names another folder. Raises: Locked,
    saying who holds it, since when, and last seen.
    """
    if files.is_remote(folder):
        lock_there = RemoteLock(folder, stale_after_s=stale_after_s, another=another)
        with lock_there.held():
            yield
        return
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as err:
        owner = _owner(str(place))
        raise Locked(_who(str(place), owner, time.time(), another)) from err
    try:
        files.write_json(place / OWNER, _self(time.time()))
        yield
    finally:
        (place / OWNER).unlink(missing_ok=True)
        lock.release()


@dataclass
class RemoteLock:
    """The lock of a folder on an object store.

    `now`: Unix seconds; `sleep`: waits some. `beats`: whether a thread says at
    intervals that the owner is at work.
    """

    folder: str
    stale_after_s: float = STALE_AFTER_S
    another: str = ANOTHER
    settle_s: float = SETTLE_S
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    beats: bool = True
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    since: float = 0.0

    @contextlib.contextmanager
    def held(self) -> Iterator["RemoteLock"]:
        """Hold it; SIGTERM gives it back. Raises: Locked, saying who does."""
        with _terminated_in_order():
            with self._held():
                yield self

    @contextlib.contextmanager
    def _held(self) -> Iterator["RemoteLock"]:
        self.acquire()
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(ended,), daemon=True)
        if self.beats:
            thread.start()
        try:
            yield self
        finally:
            ended.set()
            if self.beats:
                thread.join()
            self.release()

    def acquire(self) -> None:
        """Take it, or take it over from an owner that has long been silent."""
        self._await_silence()
        self.since = self.now()
        self._write()
        self.sleep(self.settle_s)  # Others that saw none have written by then.
        self.check()

    def _await_silence(self) -> None:
        """Watch whether an owner is at work, until it has long been silent.

        A job that was killed does not give its lock back, and is tried again at once by
        whatever runs it: that try waits, where a second job is told who works.
        """
        owner, waits = _owner(self.folder), False
        while owner:
            silent = self.now() - _seen(owner)
            if silent > self.stale_after_s:
                say(
                    f"{self.folder}: taken over from process {owner.get('pid', '?')} "
                    f"on {owner.get('host', '?')}, which has been silent for "
                    f"{_span(silent)}."
                )
                return
            if not waits:
                say(f"{self._told(owner)} Watching whether it is at work ...")
                waits = True
            self.sleep(min(WATCH_S, self.stale_after_s / 5))
            again = _owner(self.folder)
            if again and again != owner:  # It said so, or another has come.
                raise Locked(self._told(again))
            owner = again

    def check(self) -> None:
        """Raise Locked if another one has the lock."""
        owner = _owner(self.folder)
        if owner.get("token") != self.token:
            raise Locked(self._told(owner))

    def _told(self, owner: dict[str, Any]) -> str:
        return _who(self.folder, owner, self.now(), self.another)

    def beat(self) -> None:
        """Say that the owner is at work. Raises: Locked, if it no longer is it."""
        self.check()
        self._write()

    def release(self) -> None:
        """Give it back, unless another has taken it over."""
        if _owner(self.folder).get("token") == self.token:
            files.remove_file(files.join(self.folder, OWNER))

    def _write(self) -> None:
        files.make_folder(self.folder)
        owner = {**_self(self.since), "seen": _moment(self.now()), "token": self.token}
        files.write_json(files.join(self.folder, OWNER), owner)

    def _beat(self, ended: threading.Event) -> None:
        while not ended.wait(min(BEAT_S, self.stale_after_s / 5)):
            try:
                self.beat()
            except Locked as err:
                say(f"Lost the lock. {err}")
                return
            except Exception as err:
                # One that was missed is no harm: the next may reach the store.
                say(f"{self.folder}: the lock was not renewed: {err}")


@contextlib.contextmanager
def _terminated_in_order() -> Iterator[None]:
    """Have SIGTERM, where nothing else takes it, unwind what is under way."""
    number = signal.SIGTERM
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(number) != signal.SIG_DFL:
        yield
        return

    def end(*_: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(number, end)
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL)


def _self(since: float) -> dict[str, Any]:
    host = socket.gethostname()
    return {"pid": os.getpid(), "host": host, "since": _moment(since)}


def _moment(at: float) -> str:
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return moment.isoformat(timespec="seconds")


def _owner(folder: str) -> dict[str, Any]:
    """Read who holds a folder; nothing, or not all of it, if nobody has said so."""
    place = files.join(folder, OWNER)
    try:
        found = files.read_json(place) if files.exists(place) else {}
    except (OSError, ValueError):
        if not files.is_remote(folder):
            return {}
        raise
    return dict(found)


def _seen(owner: dict[str, Any]) -> float:
    """Return when an owner was last seen, Unix seconds; never, if it does not tell."""
    for name in ("seen", "since"):
        with contextlib.suppress(KeyError, ValueError, TypeError):
            return datetime.datetime.fromisoformat(owner[name]).timestamp()
    return -math.inf


def _who(place: str, owner: dict[str, Any], now: float, another: str) -> str:
    named = {"pid": "?", "host": "?", "since": "?", **owner}
    age, seen = "", _seen(owner)
    if math.isfinite(seen):
        since = _seen({"since": named["since"]})
        age = f" (for {_span(now - since)}; last seen {_span(now - seen)} ago)"
    return (
        f"{place}: process {named['pid']} on {named['host']} has worked here since "
        f"{named['since']}{age}. Wait until it has ended, or name another folder "
        f"({another})."
    )


def _span(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "an unknown time"
    seconds = max(0, round(seconds))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
