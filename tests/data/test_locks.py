"""One job at a time: who holds a folder is said, and who is gone holds it no longer."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from data import files
from data.errors import Locked
from data.locks import OWNER, RemoteLock, locked
from tests.trainer.object_store import ObjectStore

OUT = "gs://bucket/out"
OBJECT = f"{OUT}/{OWNER}"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    made = ObjectStore()
    monkeypatch.setattr(files, "_gfile", lambda: made)
    return made


class Clock:
    """A time that passes when someone waits, and does what others do meanwhile."""

    def __init__(self, meanwhile: Callable[[], None] | None = None) -> None:
        self.time, self.meanwhile = 1_700_000_000.0, meanwhile

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.meanwhile is not None:
            self.meanwhile()

    def lock(self) -> RemoteLock:
        return RemoteLock(
            OUT, stale_after_s=600, now=self.now, sleep=self.sleep, beats=False
        )


def test_the_second_is_told_who_holds_it(store: ObjectStore) -> None:
    clock = Clock()
    with clock.lock().held() as lock:
        clock.time += 240
        clock.meanwhile = lock.beat
        told = r"process \d+ on .+ has worked here since 2023-.* \(for 4 min; last seen"
        with pytest.raises(Locked, match=told):
            clock.lock().acquire()
        clock.meanwhile = None
    assert OBJECT not in store.objects
    with clock.lock().held():  # What was given back can be taken.
        assert OBJECT in store.objects


def test_it_is_given_back_after_an_error(store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="broken"), Clock().lock().held():
        raise ValueError("broken")
    assert OBJECT not in store.objects


def test_who_is_long_silent_is_taken_over(
    store: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    gone = clock.lock()
    gone.acquire()
    clock.time += 90
    with clock.lock().held() as lock:  # It waits for as long as it has to.
        told = " ".join(capsys.readouterr().out.split())
        assert "Watching whether it is at work" in told
        assert "taken over from process" in told
        assert "silent for 10 min" in told
        with pytest.raises(Locked):  # It notices, and takes nothing from the new one.
            gone.beat()
        gone.release()
        lock.check()


def test_who_gives_it_back_meanwhile_is_followed(store: ObjectStore) -> None:
    clock = Clock()
    other = clock.lock()
    other.acquire()

    def release() -> None:
        clock.meanwhile = None
        other.release()

    clock.meanwhile = release
    before = clock.time
    with clock.lock().held():
        assert clock.time - before < 60


def test_a_pod_that_is_told_to_end_gives_it_back(store: ObjectStore) -> None:
    with pytest.raises(SystemExit) as ended, Clock().lock().held():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143
    assert OBJECT not in store.objects
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_who_is_at_work_is_not_taken_over(store: ObjectStore) -> None:
    clock = Clock()
    with clock.lock().held() as lock:
        for _ in range(10):
            clock.time += 500
            lock.beat()
            clock.meanwhile = lock.beat
            with pytest.raises(Locked, match=r"last seen 0 s ago"):
                clock.lock().acquire()
            clock.meanwhile = None


def test_two_that_start_at_once(store: ObjectStore) -> None:
    """Both find none and write; the one that stands after the wait has it."""
    late = Clock().lock()

    def write() -> None:
        first_clock.meanwhile = None
        late.since = late.now()
        late._write()

    first_clock = Clock(write)
    with pytest.raises(Locked):
        first_clock.lock().acquire()
    late.check()


def test_an_owner_that_says_nothing_of_itself(store: ObjectStore) -> None:
    """As an older release or a hand has left it."""
    store.put(OBJECT, b'{"pid": 1, "host": "elsewhere"}')
    with Clock().lock().held():
        pass


def test_the_owner_says_by_itself_that_it_is_at_work(store: ObjectStore) -> None:
    lock = RemoteLock(OUT, stale_after_s=0.05, settle_s=0.0)
    seen = threading.Event()
    beat = lock.beat

    def beaten() -> None:
        beat()
        seen.set()

    lock.beat = beaten  # type: ignore[method-assign]
    with lock.held():
        assert seen.wait(20)
    assert OBJECT not in store.objects


def test_a_remote_folder_is_locked_too(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.locks.SETTLE_S", 0.0)
    monkeypatch.setattr(RemoteLock, "settle_s", 0.0)
    lock = RemoteLock(OUT, settle_s=0.0)
    with lock.held(), pytest.raises(Locked, match="gs://bucket/out: process"):
        with locked(OUT):
            pass


def test_a_local_folder(tmp_path: Path) -> None:
    with locked(str(tmp_path)):
        told = (
            r"has worked here since .*\(for \d+ s; last seen \d+ s ago\)\. Wait until"
        )
        with pytest.raises(Locked, match=told), locked(str(tmp_path)):
            pass
    with locked(str(tmp_path)):
        pass
    assert not (tmp_path / OWNER).exists()
