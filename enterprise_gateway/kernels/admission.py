"""How many launches are at work in this replica at once; the rest wait, and no user's starts hold up another's."""

from __future__ import annotations

import asyncio
import math
import statistics
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from enterprise_gateway.errors import GatewayError, unavailable
from enterprise_gateway.kernels.fair_queue import FairQueue
from persistence import clock

RECENT = 32
"""Launches from which it is told how long the next ones will take."""


class Admission:
    """A bounded number of launches at work, the others in a queue that is fair between users.

    Args:
        at_work: How many may be at work.
    """

    def __init__(self, at_work: int) -> None:
        self._at_work = at_work
        self._free = at_work
        self._queue = FairQueue[asyncio.Future[None]]()
        self._took_seconds: deque[float] = deque(maxlen=RECENT)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    def check(self, user: str, deadline: clock.Deadline) -> None:
        """See that a launch of this user, if it came now, could be over by its deadline.

        Judged by how long the last launches took that came up, as if all that are at work ended now: what is refused
        would be too late; what is not, may be.

        Raises:
            GatewayError: 503, with the time after which it would.
        """
        if self._free or not self._took_seconds:
            return
        typical = statistics.median(self._took_seconds)
        needed = typical * (1 + self._queue.ahead_of(user) // self._at_work)
        if needed > deadline.remaining_seconds:
            raise busy(needed, math.ceil(needed - deadline.remaining_seconds))

    @asynccontextmanager
    async def admitted(self, user: str, deadline: clock.Deadline, stop: asyncio.Event) -> AsyncIterator[None]:
        """Wait for a turn, and hold it inside the block.

        Raises:
            TimeoutError: The deadline has passed while it waited.
            Withdrawn: `stop` was set while it waited.
        """
        await self._acquire(user, deadline, stop)
        began = clock.monotonic()
        try:
            yield
            self._took_seconds.append(clock.monotonic() - began)
        finally:
            self._release(user)

    async def _acquire(self, user: str, deadline: clock.Deadline, stop: asyncio.Event) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        self._queue.put(user, turn)
        self._serve()
        came = False
        try:
            timeout = max(0.0, deadline.remaining_seconds)
            await asyncio.wait([turn, stopped], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            came = turn.done() and not stop.is_set()
        finally:
            stopped.cancel()
            if not came:
                self._give_up(user, turn)
        if not came:
            raise Withdrawn if stop.is_set() else TimeoutError

    def _give_up(self, user: str, turn: asyncio.Future[None]) -> None:
        if turn.done():  # it came in the very moment of giving up
            self._release(user)
        else:
            self._queue.remove(user, turn)
            turn.cancel()

    def _release(self, user: str) -> None:
        self._free += 1
        self._queue.ended(user)
        self._serve()

    def _serve(self) -> None:
        while self._free and (following := self._queue.next()) is not None:
            user, turn = following
            self._free -= 1
            self._queue.began(user)
            turn.set_result(None)


class Withdrawn(Exception):
    """The launch is not wanted any more."""


def busy(needed_seconds: float, retry_after_seconds: int) -> GatewayError:
    """Answer a start that could not be over in time."""
    return unavailable(
        f"Too many kernels are starting: this one would take about {needed_seconds:.0f} s, longer than it may. Try "
        "again a little later.",
        "Too many kernels are starting",
        retry_after_seconds=retry_after_seconds,
    )
