"""Where users' events stand in a log."""

import numpy as np

from data.events import EventLog


def places_between(
    log: EventLog, user: np.ndarray, count: np.ndarray, until: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the events of users from number `count` to before number `until`.

    In: (n,) each. Out: (m,) each: which of the n, and the place in the log.
    """
    number = until - count
    request = np.repeat(np.arange(len(user)), number)
    before = np.repeat(np.cumsum(number) - number, number)
    offset = np.arange(len(request)) - before
    return request, (log.start[user] + count)[request] + offset
