"""How large a baseline's fit would be, and how much this machine may give it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data.events import EventLog

GIB = 1 << 30
MOST_GIB = 8.0  # A matrix above it takes hours to invert, whatever the memory.
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a fit's memory grows with: items and users with events, and the events."""

    items: int
    users: int
    events: int

    @classmethod
    def of(cls, log: EventLog, num_items: int) -> "Sizes":
        """Measure a log of training events."""
        return cls(
            items=int((log.item_counts(num_items) > 0).sum()),
            users=int((log.user_counts() > 0).sum()),
            events=len(log),
        )


def memory_limit() -> int:
    """Return the bytes that one fit may take: half of the machine's, 8 GiB at most.

    A container's own limit counts as its machine's memory.
    """
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min([MOST_GIB * GIB, whole / 2, *(n / 2 for n in _container_limit())]))


def _container_limit() -> Iterable[int]:
    try:
        text = _CONTAINER.read_text().strip()
    except OSError:
        return []
    return [int(text)] if text.isdigit() else []


def in_gib(number: int) -> str:
    """Write bytes for people: "0.31 GiB", "22 GiB"."""
    return (
        f"{number / GIB:.2g} GiB" if number < 100 * GIB else f"{number / GIB:,.0f} GiB"
    )
