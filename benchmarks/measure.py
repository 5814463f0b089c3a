"""What the benchmarks measure with: two clocks, medians and spreads."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cost:
    """Seconds that some work took; `cpu_s` adds up all threads of this process."""

    wall_s: float
    cpu_s: float


def cost_of(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """Do some work once and return its result and its cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, Cost(time.perf_counter() - wall, time.process_time() - cpu)


@dataclass(frozen=True)
class Spread:
    """The median, least and greatest of some measurements."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise one or more values."""
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 0) -> str:
        """Return the spread for people: `median (least-greatest)`."""
        median, least, greatest = (
            f"{value:,.{digits}f}" for value in (self.median, self.least, self.greatest)
        )
        return f"{median} ({least}-{greatest})"
