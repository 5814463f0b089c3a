"""Threads that take turns at reading calls, and work at what they have read.

A call that one thread read and another worked at would wait for that one to wake up,
which takes longer than many a model. So the thread that reads a call also answers it,
and the next one reads meanwhile.
"""

import select
import socket
import threading
from collections import deque
from collections.abc import Callable

from serving.modelserver.worker.frames import Decoder, Frame

_READ_BYTES = 2**18


class Turns:
    """Reads frames from a socket until its end; `work` gets each, `most` at a time."""

    def __init__(
        self, connection: socket.socket, work: Callable[[Frame], None], most: int
    ) -> None:
        self._connection = connection
        self._work = work
        self._most = most
        self._decoder = Decoder()
        self._frames: deque[Frame] = deque()
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._threads = 0
        self._free = 0

    def run(self) -> None:
        """Return when the other side has closed the socket, whatever is worked at."""
        with self._counting:
            self._add_thread()
        end = select.poll()
        # Of no events: of its end alone, which wakes nobody before.
        end.register(self._connection, 0)
        end.poll()

    def _take_turns(self) -> None:
        while (frame := self._next()) is not None:
            with self._counting:
                self._free -= 1
                if not self._free and self._threads < self._most:
                    self._add_thread()
            self._work(frame)
            with self._counting:
                self._free += 1

    def _add_thread(self) -> None:
        self._threads += 1
        self._free += 1
        threading.Thread(target=self._take_turns, daemon=True).start()

    def _next(self) -> Frame | None:
        """Return the next frame, None at the end."""
        with self._turn:
            while not self._frames:
                try:
                    data = self._connection.recv(_READ_BYTES)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self._frames.extend(self._decoder.feed(data))
            return self._frames.popleft()
