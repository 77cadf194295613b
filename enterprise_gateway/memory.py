"""Memory that kernels have taken goes back to the host when they have gone.

glibc keeps what was freed, but for what lies at the very end: of 1,000 kernels it gave back next to nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable

from persistence import clock

LOOK_SECONDS = 10.0
FEWER_KERNELS = 10


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
