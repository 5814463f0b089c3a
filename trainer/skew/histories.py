"""The histories that requests were answered with, beside those that training reads."""

from collections.abc import Iterator, Sequence

import numpy as np

from trainer.skew.computed import Computed
from trainer.skew.figures import FeatureSkew, share
from trainer.skew.logs import Asked
from trainer.skew.served import Served


def history_skew(
    asked: Sequence[Asked], users: np.ndarray, served: Served, computed: Computed
) -> Iterator[FeatureSkew]:
    """Compare the histories of users that training knows.

    In: `users`: each request's row, 0 = unknown. One that sends no history is answered
    with the one that the version holds, where it holds any.
    """
    log, length = computed.fitted.log, computed.length
    stored_row = served.ids("user_ids")
    keeps = computed.exported.config.export.user_state
    ends = log.user_counts()[users]
    now = computed.fitted.end_time
    # A time beyond the events is as good as their end.
    times = np.array([min(one.time or now, now) for one in asked])
    counts = np.where(times < now, log.counts_before(users, times), ends)
    found, last_times = [], []
    for one, user, before, whole in zip(asked, users, counts, ends, strict=True):
        given = computed.rows(one.history)
        given = given[given > 0][-length:]
        is_given = bool(len(given))
        if not user or not (is_given or keeps):
            continue
        # What a version holds is as of its export, whenever it is asked.
        count = before if is_given else whole
        start = log.read.start[user]
        place = slice(start, start + int(log.read_counts(user, count)))
        known, when = log.read.item[place], log.read.time[place]
        stored = stored_row.get(one.user, 0)
        read = given if is_given else served.history(stored)
        met = log.item[log.start[user] : log.start[user] + count]
        found.append(
            differences(
                read.tolist(),
                known.tolist(),
                when.tolist(),
                length,
                met=met.tolist(),
                is_given=is_given,
            )
        )
        if not is_given:
            newest = int(when[-1]) if len(when) else 0
            last_times.append(int(served.last_time[stored]) != newest)
    for place_of, name in enumerate(("history", "history order")):
        differs = [pair[place_of] for pair in found]
        yield FeatureSkew(name=name, rows=len(found), mismatch=share(differs))
    yield FeatureSkew(
        name="last_time", rows=len(last_times), mismatch=share(last_times)
    )


def differences(
    read: Sequence[int],
    known: Sequence[int],
    times: Sequence[int],
    length: int,
    *,
    met: Sequence[int] = (),
    is_given: bool,
) -> tuple[bool, bool]:
    """Tell whether the items differ, and whether their order does.

    An application that sends a history knows events that no data set has yet: items
    that the user never met before are newer ones, and count only for the room they
    take. Events of one second have no order.

    In: `read`: rows as the graph reads them, oldest first, at most `length`; `known`,
    `times`: what training's history of the user holds before the request, whole, and
    when; `met`: all items of the user's events, also those that histories leave out.
    `is_given`: whether the request brought it.
    """
    when = dict(zip(known, times, strict=True))  # The last time counts.
    newer = [row for row in read if row not in when]
    room = max(length - len(newer), 0) if is_given else length
    expected = set(known[-room:] if room else [])
    left_out = expected - set(read)
    wrong = set(newer) & set(met) if is_given else set(newer)
    last = {row: place for place, row in enumerate(read) if row in when}
    in_order = [when[row] for row in sorted(last, key=last.__getitem__)]
    return bool(left_out or wrong), bool((np.diff(in_order) < 0).any())
