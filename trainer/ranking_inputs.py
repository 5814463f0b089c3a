"""What both models read of a request, built from the events before it."""

from dataclasses import dataclass

import numpy as np

from data.events import EventLog
from data.prepared import Prepared
from data.statistics import Statistics


@dataclass(frozen=True)
class Requests:
    """Requests as rows and numbers: what both models read.

    `user` int32 (b,), `history` int32 (b, length), `time`, `last_time` int64 (b,).
    """

    user: np.ndarray
    history: np.ndarray
    time: np.ndarray
    last_time: np.ndarray

    @classmethod
    def of(
        cls,
        log: EventLog,
        users: np.ndarray,
        counts: np.ndarray,
        times: np.ndarray,
        length: int,
    ) -> "Requests":
        """Build requests of users at times, with their first `counts` events."""
        return cls(
            user=users.astype(np.int32),
            history=log.histories(users, counts, length),
            time=times.astype(np.int64),
            last_time=log.last_times(users, counts),
        )


@dataclass(frozen=True)
class RankingInputs:
    """Builds the ranking model's inputs for requests at any time of a log."""

    prepared: Prepared
    log: EventLog
    items: Statistics
    users: Statistics

    @classmethod
    def of(cls, prepared: Prepared, log: EventLog) -> "RankingInputs":
        """Index a log's statistics."""
        items, users = prepared.item_statistics(log), prepared.user_statistics(log)
        return cls(prepared, log, items, users)

    def columns(self, requests: Requests, item: np.ndarray) -> dict[str, np.ndarray]:
        """Say who asks, when, and how the items stood at that moment.

        In: `item`: int32 (b, c). Out: `user`, `history`, `time`, `last_time`,
        `user_statistics` float32 (b, s), `item_statistics` float32 (b, c, s).
        """
        return {
            "user": requests.user,
            "history": requests.history,
            "time": requests.time,
            "last_time": requests.last_time,
            "user_statistics": self.users.at(requests.user, requests.time),
            "item_statistics": self.items.at(item, requests.time[:, None]),
        }
