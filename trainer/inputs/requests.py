"""What both models read of a request, built from the events before it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from data.events import EventLog
from data.prepared import Prepared
from data.statistics import Statistics
from trainer.inputs.affinity import Affinity, affinities
from trainer.inputs.standing import reference_rows, standings


@dataclass(frozen=True)
class Requests:
    """Requests as rows and numbers: what both models read.

    `user` int32 (b,), `history` int32 (b, length), `time`, `last_time` int64 (b,),
    `count` int64 (b,), how many of the user's first events are known.
    """

    user: np.ndarray
    history: np.ndarray
    time: np.ndarray
    last_time: np.ndarray
    count: np.ndarray

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
            last_time=log.read.last_times(users, log.read_counts(users, counts)),
            count=counts.astype(np.int64),
        )


@dataclass(frozen=True)
class RankingInputs:
    """Builds the ranking model's inputs for requests at any time of a log."""

    prepared: Prepared
    log: EventLog
    affinity: Affinity
    items: Statistics
    users: Statistics

    @classmethod
    def of(
        cls,
        prepared: Prepared,
        log: EventLog,
        affinity: Affinity,
        *,
        counted: EventLog | None = None,
    ) -> "RankingInputs":
        """Index a log's statistics.

        In: `counted`: its events that items' count, if not all; a user's own all do.
        """
        items = prepared.item_statistics(log if counted is None else counted)
        users = prepared.user_statistics(log, base=counted)
        return cls(prepared, log, affinity, items, users)

    @cached_property
    def references(self) -> np.ndarray:
        """Return the items that scores are compared with. Out: int32 (r,)."""
        return reference_rows(self.prepared.servable)

    def columns(
        self,
        requests: Requests,
        item: np.ndarray,
        scores: np.ndarray,
        cosines: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Say who asks, when, and how the items stood at that moment.

        In: `item`: int32 (b, c); `scores`, `cosines`: the retrieval model's of the
        whole catalogue, float32 (b, items + 1). Out: `user`, `history`, `time`,
        `last_time`, `user_statistics` float32 (b, s), `item_statistics` float32
        (b, c, s), `affinity` float32 (b, c), `standing` float32 (b, c, NUM_STANDINGS).
        """
        standing = standings(
            np.take_along_axis(scores, item, axis=1),
            np.take_along_axis(cosines, item, axis=1),
            scores[:, self.references],
            int(self.prepared.servable.sum()),
        )
        return {
            "user": requests.user,
            "history": requests.history,
            "time": requests.time,
            "last_time": requests.last_time,
            "user_statistics": self.users.at(
                requests.user, requests.time, requests.count
            ),
            "item_statistics": self.items.at(item, requests.time[:, None]),
            "affinity": self._affinities(requests, item),
            "standing": standing.numpy(),
        }

    def _affinities(self, requests: Requests, item: np.ndarray) -> np.ndarray:
        given, asked = self.affinity.given, self.affinity.asked
        found = _affinities(
            self.affinity.profiles(self.log, requests.user, requests.count),
            given[requests.history],
            asked[item],
            asked[self.references],
        )
        return np.asarray(found.numpy())

    def no_context(self, number: int) -> dict[str, np.ndarray]:
        """Return the codes of a context that is not known, as "context.name"."""
        return {
            f"context.{f.name}": np.zeros((number, 2), np.float32)
            if f.kind == "numeric"
            else np.zeros(number, np.int32)
            for f in self.prepared.features.context
        }


_affinities = tf.function(affinities, reduce_retracing=True, autograph=False)
