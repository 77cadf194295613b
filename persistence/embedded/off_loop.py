"""Runs what blocks in a thread of its own, one call after the other, so that a cancelled call is not overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Args = TypeVarTuple("Args")


class OffLoop:
    """One thread. What was begun goes on when its caller is cancelled; the next call waits for it."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __call__(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """Call the function there, and give what it returns or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def close(self) -> None:
        """End the thread when it has done what was asked."""
        self._thread.shutdown(wait=False)
