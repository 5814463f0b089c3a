"""How popular each item was at a moment, in a form that an index can hold.

What is popular drifts, and a model of ids alone answers with the average of its
training time. So each item's vector carries two numbers of the moment, and each
query's vector how much they count for it: the dot product stays a dot product, and
an export only has to write down the numbers of its day.
"""

from dataclasses import dataclass

import numpy as np

from data.events import EventLog
from data.features import DAY_S
from data.prepared import Prepared
from data.statistics import Statistics

TREND_WIDTH = 2  # log of 1 + events so far, log of 1 + events in the window.
STEP_DAYS = 7
MAX_CELLS = 64


@dataclass(frozen=True)
class TrendGrid:
    """Moments at which the numbers are taken: Unix seconds `first`, then each `step`.

    A request reads those of the newest moment that is not after it.
    """

    first: int
    step: int
    num_cells: int

    @classmethod
    def of(cls, log: EventLog) -> "TrendGrid":
        """Cover the time of a log, a week a cell or coarser."""
        if len(log) == 0:
            return cls(0, int(STEP_DAYS * DAY_S), 1)
        first, last = int(log.time.min()), int(log.time.max())
        step = max(int(STEP_DAYS * DAY_S), (last - first) // MAX_CELLS + 1)
        return cls(first, step, (last - first) // step + 1)

    def moment(self, times: np.ndarray) -> np.ndarray:
        """Return the newest moment at or before each time. In, out: int64."""
        return self.first + (times - self.first) // self.step * self.step

    def moments(self) -> np.ndarray:
        """Return all moments of the log. Out: int64 (num_cells,)."""
        return self.first + self.step * np.arange(self.num_cells, dtype=np.int64)


class Trend:
    """Looks up the numbers of all items at a moment."""

    def __init__(self, prepared: Prepared, log: EventLog) -> None:
        self._statistics: Statistics = prepared.item_statistics(log.read)
        self._rows = np.arange(prepared.num_items + 1)

    def at(self, moment: int) -> np.ndarray:
        """Return the numbers as they stood. Out: float32 (items + 1, TREND_WIDTH)."""
        return self._statistics.at(self._rows, np.int64(moment))[:, :TREND_WIDTH]
