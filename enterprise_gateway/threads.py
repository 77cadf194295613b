"""The threads on which blocking calls run: all started at once, so that none is lacking when the host has no room.

A thread that can't be started would fail what it was wanted for, in the middle of an act. They are far more than
asyncio's own handful: as many calls that hang on a disk would stop all others.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

COUNT = 64  # 1.2 MiB together, while they have nothing to do
PATIENCE_SECONDS = 30.0


def started_pool(count: int = COUNT) -> ThreadPoolExecutor:
    """Return a pool whose threads run.

    Raises:
        RuntimeError: The host has no room for them.
    """
    pool = ThreadPoolExecutor(count, thread_name_prefix="blocking")
    ready = Barrier(count + 1)
    for _ in range(count):
        pool.submit(ready.wait, PATIENCE_SECONDS)  # none is free for the next, so that starts another
    ready.wait(PATIENCE_SECONDS)
    return pool
