"""Memory that kernels have taken goes back to the host when they have gone; that of messages is used again.

What is there when the replica starts stays to its end: Python need not look through it for garbage again and again.

glibc keeps what was freed, but for what lies at the very end: of 1,000 kernels it gave back next to nothing. And a
megabyte that was freed at the end it gives back at once: the host then clears 256 pages for the next message.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Callable

from persistence import clock

LOOK_SECONDS = 10.0
FEWER_KERNELS = 10
KEPT_BYTES = 16 * 1024 * 1024
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_for_messages() -> bool:
    """Have up to 16 MiB of what each thread has freed kept for what comes next.

    As much as glibc itself keeps once a single block of half that size was freed. Its two thresholds go together: with
    one of them set it would map each megabyte by itself, and never use one again.

    Returns:
        Whether the C library can do that.
    """
    option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
    return option is not None and all(option(name, KEPT_BYTES) for name in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD))


def spare_what_stays() -> None:
    """Leave all that is there now out of garbage collection: modules, classes, settings."""
    gc.collect()
    gc.freeze()


def give_back() -> bool:
    """Give free memory back to the host; may take some milliseconds for each 100 MB.

    Returns:
        Whether the C library can do that.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, others have no need for it
    if trim is None:
        return False
    trim(0)
    return True


async def give_back_for_ever(kernels: Callable[[], int]) -> None:
    """Give memory back each time that some kernels have gone.

    Args:
        kernels: Counts those that are held.
    """
    most = kernels()
    while True:
        await clock.sleep(LOOK_SECONDS)
        now = kernels()
        if most - now >= FEWER_KERNELS:
            await asyncio.to_thread(give_back)
            most = now
        most = max(most, now)
