"""The same work some times over."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from time import perf_counter

TIMES = 10


async def median_ms(work: Callable[[], Awaitable[object]]) -> float:
    """Do it `TIMES` times, and return the median of the milliseconds."""
    took = []
    for _ in range(TIMES):
        began = perf_counter()
        await work()
        took.append((perf_counter() - began) * 1000)
    return statistics.median(took)
