"""Queries that are shared by those who wait for the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedQuery(Generic[T]):
    """Runs a query for many callers: those who wait share the *next* one.

    Guaranteed: an answer is never older than its caller's question, for a query that began before he came is not his.
    At most one runs and one waits to begin, however many callers there are. A caller who is cancelled leaves the query
    to the others; what the query raises, all of them get.

    Args:
        run: Makes the query once. It must be bounded in time, for the next begins when it has ended.
    """

    def __init__(self, run: Callable[[], Awaitable[T]]) -> None:
        self._run = run
        self._running: asyncio.Task[T] | None = None
        self._waiting: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """Give the answer of the next query."""
        if self._waiting is None or self._waiting.done():
            self._waiting = asyncio.get_running_loop().create_task(self._begin(self._running))
            self._waiting.add_done_callback(_retrieve)
        return await asyncio.shield(self._waiting)

    async def _begin(self, before: asyncio.Task[T] | None) -> T:
        if before is not None:
            await asyncio.wait({before})
        # No await between these lines and the query: whoever comes from here on has come too late for it.
        self._running, self._waiting = self._waiting, None
        try:
            return await self._run()
        finally:
            if self._running is asyncio.current_task():
                self._running = None


def _retrieve(task: asyncio.Task[T]) -> None:
    # All its callers may be gone: then nobody else takes its error out.
    if not task.cancelled():
        task.exception()
