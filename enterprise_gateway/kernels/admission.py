"""How many launches are at work in this replica at once; the rest wait in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from persistence import clock


class Admission:
    """A bounded number of launches at work, the others in a queue, first come first served.

    Args:
        at_work: How many may be at work.
    """

    def __init__(self, at_work: int) -> None:
        self._permits = asyncio.Semaphore(at_work)  # FIFO, and a waiter that is cancelled passes its turn on
        self.waiting = 0

    @asynccontextmanager
    async def admitted(self, deadline: clock.Deadline, stop: asyncio.Event) -> AsyncIterator[None]:
        """Wait for a turn, and hold it inside the block.

        Raises:
            TimeoutError: The deadline has passed while it waited.
            Withdrawn: `stop` was set while it waited.
        """
        await self._acquire(deadline, stop)
        try:
            yield
        finally:
            self._permits.release()

    async def _acquire(self, deadline: clock.Deadline, stop: asyncio.Event) -> None:
        self.waiting += 1
        turn: asyncio.Future[bool] = asyncio.ensure_future(self._permits.acquire())
        stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        try:
            timeout = max(0.0, deadline.remaining_seconds)
            await asyncio.wait([turn, stopped], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            turn.add_done_callback(self._pass_on)
            raise
        finally:
            self.waiting -= 1
            stopped.cancel()
            turn.cancel()  # of no effect on one that has come
        if turn.done() and not turn.cancelled() and not stop.is_set():
            return
        # It may still come in the very moment of giving up: then it is passed on.
        await asyncio.wait({turn})
        self._pass_on(turn)
        raise Withdrawn if stop.is_set() else TimeoutError

    def _pass_on(self, turn: asyncio.Future[bool]) -> None:
        if not turn.cancelled():
            self._permits.release()


class Withdrawn(Exception):
    """The launch is not wanted any more."""
