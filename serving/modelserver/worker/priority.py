"""Loading in the shadow of serving: a version gets ready in the time that is left.

Priority belongs to each thread, and only some users may raise it again. Where that may
be, all threads of the process run while nothing else wants to; where it may not, the
thread that loads is lowered for good, and it alone.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

# Where serving takes all there is, idle time would come too late. So a load that has
# had less than this share of a CPU gets more, step by step, in the end as much as all.
_ENOUGH = 0.2
_PATIENCE_S = 5.0
_LOW = 15
_STEPS = (_LOW, 10, 5, 0)


def in_the_shadow(work: Callable[[], None], patience_s: float = _PATIENCE_S) -> None:
    """Do work on a thread that waits for all others, and return when it is done.

    In: `patience_s`: how long it may get too little before it gets more.
    Raises: what the work raises.
    """
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    undone = _can_be_raised(usual)
    if undone:
        _for_all_threads(_idle)
        # But this one, which has to see that the work gets on.
        _restore(0, usual)
    lower_this = _idle if undone else partial(_set_nice, 0, _LOW)
    try:
        with ThreadPoolExecutor(1, initializer=lower_this) as executor:
            done = executor.submit(work)
            if undone:
                _raise_where_starved(done, usual, patience_s)
            done.result()
    finally:
        # Threads that the work has started inherited its priority.
        if undone:
            _for_all_threads(partial(_restore, nice=usual))


def _raise_where_starved(done: Future[None], usual: int, patience_s: float) -> None:
    """Watch over work until it is done or has the usual priority."""
    for nice in _STEPS:
        used_s = time.process_time()
        while not wait([done], patience_s).done:
            used_s, before_s = time.process_time(), used_s
            if used_s - before_s < _ENOUGH * patience_s:
                break
        if done.done():
            return
        _for_all_threads(partial(_restore, nice=max(nice, usual)))


def _idle(thread: int = 0) -> None:
    """Let a thread, this one by default, run only while no other one wants to.

    A low nice value alone lets others wait for the end of its slice, milliseconds.
    """
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    else:
        _set_nice(thread, _LOW)


def _can_be_raised(usual: int) -> bool:
    """Tell whether a lowered priority can be raised to the usual one again."""
    allowed = False

    def try_it() -> None:
        nonlocal allowed
        _idle()
        with contextlib.suppress(PermissionError):
            _restore(0, usual)
            allowed = True

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    return allowed


def _restore(thread: int, nice: int) -> None:
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
    _set_nice(thread, nice)


def _set_nice(thread: int, nice: int) -> None:
    os.setpriority(os.PRIO_PROCESS, thread, nice)


def _for_all_threads(change: Callable[[int], None]) -> None:
    for name in os.listdir("/proc/self/task"):
        # It may have ended since it was listed.
        with contextlib.suppress(ProcessLookupError):
            change(int(name))
