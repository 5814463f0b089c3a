"""Calls in turns: what else the machine does meets all subjects alike."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from trainer.models.index.measure import Latency

WARM_CALLS = 5


def in_turns(
    asks: Sequence[Callable[[np.ndarray], object]],
    queries: np.ndarray,
    batch: int,
    calls: int,
) -> list[Latency]:
    """Time subjects, one call each in a round, on the same queries."""
    times = np.zeros((WARM_CALLS + calls, len(asks)))
    for turn in range(len(times)):
        start = turn * batch % (len(queries) - batch + 1)
        for number, ask in enumerate(asks):
            begin = time.perf_counter()
            ask(queries[start : start + batch])
            times[turn, number] = 1e3 * (time.perf_counter() - begin)
    medians, p99s = np.quantile(times[WARM_CALLS:], [0.5, 0.99], axis=0)
    return [
        Latency(batch=batch, median_ms=float(median), p99_ms=float(p99))
        for median, p99 in zip(medians, p99s, strict=True)
    ]
