"""Starts the zygote, and a worker for each version that is to be loaded."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable

from serving.modelserver.batching import BatchingParameters
from serving.modelserver.errors import Code, StatusError
from serving.modelserver.flags import Flags
from serving.modelserver.worker import frames
from serving.modelserver.worker.frames import Decoder, Frame
from serving.modelserver.worker.order import Order
from serving.modelserver.worker.remote import RemoteServable

_READ_BYTES = 2**16
_END_TIMEOUT_S = 5.0
_ENVIRONMENT = {
    # TensorFlow reads these when it is imported.
    "TF_USE_LEGACY_KERAS": "1",
    # Warnings of failing ops quote the tensors, and so what users asked for.
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # No threads before the forks, and TensorFlow's own ones do the work.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # glibc keeps what is freed in up to eight pools a CPU, one for each thread; with
    # one a CPU, the memory of a busy worker stayed a fifth smaller.
    "MALLOC_ARENA_MAX": str(max(os.cpu_count() or 1, 2)),
}


class Launcher:
    """Gets versions loaded, each in a process of its own.

    In: `loop`: the event loop on which calls to the workers will be made. `batching`:
        how they run requests together; None = each alone. `farewell`: what is done with
        a worker before it is ended.
    """

    def __init__(
        self,
        flags: Flags,
        loop: asyncio.AbstractEventLoop,
        batching: BatchingParameters | None = None,
        farewell: Callable[[RemoteServable], Awaitable[None]] | None = None,
    ) -> None:
        # Set once requests are served, which a load must not hold up.
        self.in_background = False
        self._flags = flags
        self._loop = loop
        self._batching = batching
        self._farewell = farewell
        self._lock = threading.Lock()
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._starting: set[socket.socket] = set()
        self._closed = False

    def load(self, model: str, version: int, path: str) -> RemoteServable:
        """Return a version once it is loaded and warm; blocks until then.

        Raises: StatusError: it cannot be loaded, with TensorFlow's words; or the
            process that loads it has ended, UNAVAILABLE.
        """
        order = Order(
            model=model,
            version=version,
            path=path,
            flags=self._flags,
            batching=self._batching,
            in_background=self.in_background,
        )
        connection = self._fork(order)
        try:
            ready = _first_frame(connection)
            if ready is None:
                raise StatusError(
                    Code.UNAVAILABLE,
                    "The process that loaded it has ended: killed, or out of memory",
                )
            if ready.kind != Code.OK:
                text = ready.payload.decode("utf-8", "replace")
                raise StatusError(Code(ready.kind), text)
            pid = int(ready.payload)
            return RemoteServable(connection, pid, self._loop, self._farewell)
        except BaseException:
            connection.close()
            raise
        finally:
            with self._lock:
                self._starting.discard(connection)

    def start(self) -> None:
        """Let the libraries be imported now, before the first version asks for it."""
        with self._lock:
            self._ensure_zygote()

    def close(self) -> None:
        """Fork no more, and give up on what is being loaded."""
        with self._lock:
            self._closed = True
            starting, self._starting = self._starting, set()
            zygote, control = self._zygote, self._control
        for connection in starting:
            # Wakes the thread that waits for it; that one closes it.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if control:
            control.close()
        if zygote:
            try:
                zygote.wait(_END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                # Still importing; it forks nothing any more.
                zygote.kill()
                zygote.wait()

    def _fork(self, order: Order) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            if self._closed:
                ours.close()
                raise StatusError(Code.UNAVAILABLE, "The server is shutting down")
            control = self._ensure_zygote()
            try:
                socket.send_fds(control, [order.to_bytes()], [theirs.fileno()])
            except OSError as err:
                ours.close()
                text = f"No process can be started for the model: {err.strerror}"
                raise StatusError(Code.UNAVAILABLE, text) from err
            self._starting.add(ours)
        return ours

    def _ensure_zygote(self) -> socket.socket:
        """Return the socket to the zygote; a new one is started where it has ended."""
        if self._control and self._zygote and self._zygote.poll() is None:
            return self._control
        if self._control:
            self._control.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._zygote = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "serving.modelserver.worker.zygote",
                    str(theirs.fileno()),
                    self._flags.log_format,
                    self._flags.log_level,
                ],
                env={**_ENVIRONMENT, **os.environ, **_paths()},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # The server's own output is one line that others wait for.
                stdout=2,
                # Ctrl-C in a terminal is for the front process alone.
                process_group=0,
            )
        self._control = ours
        return ours


def _first_frame(connection: socket.socket) -> Frame | None:
    decoder = Decoder()
    while True:
        try:
            data = connection.recv(_READ_BYTES)
        except OSError:
            return None
        if not data:
            return None
        for frame in decoder.feed(data):
            assert frame.call == frames.READY
            return frame


def _paths() -> dict[str, str]:
    """Return the variable that makes the zygote find the modules found here."""
    return {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
