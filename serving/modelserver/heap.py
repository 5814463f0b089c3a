"""Keeps the heap of the front process from growing with the largest messages."""

import contextlib
import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE_BYTES = 2**18


def give_large_blocks_back() -> None:
    """Have glibc return the memory of a large message as soon as it is freed.

    Left alone it raises the size from which it does so up to 32 MiB, to that of the
    largest block that was freed: large messages then lie between small ones in pools
    that each thread has of its own, and leave holes there. Where there is no glibc
    this does nothing.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, max(os.cpu_count() or 1, 2))
