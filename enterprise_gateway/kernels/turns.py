"""Turns for what goes fastest when a few do it at once, and must never wait long for those who are slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Turns of a bounded length, a bounded number at once, in the order in which they are asked for.

    Args:
        at_once: How many have theirs at the same time.
        seconds: How long a turn lasts at most: then the next one begins, whatever the former does.
        patience_seconds: Who has waited so long goes on without a turn.

    Attributes:
        seconds: Of turns that begin.
        patience_seconds: Of those who come.
    """

    def __init__(self, at_once: int, *, seconds: float, patience_seconds: float) -> None:
        self.seconds = seconds
        self.patience_seconds = patience_seconds
        self._free = asyncio.Semaphore(at_once)
        self._taken: set[object] = set()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside the block; who stays longer than it lasts goes on without."""
        turn = object()
        if await self._came():
            self._taken.add(turn)
        end = asyncio.get_running_loop().call_later(self.seconds, self._give_back, turn)
        try:
            yield
        finally:
            end.cancel()
            self._give_back(turn)

    async def _came(self) -> bool:
        try:
            async with asyncio.timeout(self.patience_seconds):
                await self._free.acquire()
        except TimeoutError:
            return False
        return True

    def _give_back(self, turn: object) -> None:
        if turn in self._taken:
            self._taken.remove(turn)
            self._free.release()
