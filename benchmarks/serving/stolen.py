"""CPU time that the host withheld from this machine, second by second.

A virtual machine's neighbours show in latencies as a server's own faults would.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

# Of the line "cpu" in /proc/stat: see proc(5).
_STEAL = 8
_EVERY_S = 0.25
_SECOND_S = 1.0


class Stolen:
    """Samples, each a time of `time.monotonic` and the CPU seconds stolen until then.

    Nothing is stolen where the machine has no host, or tells nothing of it.
    """

    def __init__(self) -> None:
        self.samples = [(time.monotonic(), _stolen_s())]

    def sample(self) -> None:
        """Add what was stolen until now."""
        self.samples.append((time.monotonic(), _stolen_s()))

    @property
    def share(self) -> float:
        """Return which share of all CPU time was stolen between the samples."""
        (begin, before), (end, after) = self.samples[0], self.samples[-1]
        cpus = os.cpu_count() or 1
        return (after - before) / max((end - begin) * cpus, _EVERY_S)

    def worst(self) -> tuple[float, float]:
        """Return when the second began that lost most CPU time, and how much it lost.

        Out: a time of `time.monotonic`; seconds, at most as many as there are CPUs.
        """
        at, stolen = np.array(self.samples).T
        later = np.interp(at + _SECOND_S, at, stolen)
        place = int(np.argmax(later - stolen))
        return float(at[place]), float(later[place] - stolen[place])


@contextmanager
def watched() -> Iterator[Stolen]:
    """Sample until the block ends."""
    stolen, ended = Stolen(), threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY_S):
            stolen.sample()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield stolen
    finally:
        ended.set()
        thread.join()
        stolen.sample()


def _stolen_s() -> float:
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    except OSError:
        return 0.0
    return int(line.split()[_STEAL]) / os.sysconf("SC_CLK_TCK")
