"""Whether the database is known to be away, and the ping that finds it back.

While it is known away nobody waits a whole timeout to learn it anew. The ping alone says that it is back: it asks what
the operations ask, a majority's answer, so a primary that has lost its majority does not pass for a database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from logging import Logger, LoggerAdapter
from typing import Any

from persistence import clock
from persistence.errors import PersistenceError, StoreAway

_LONGEST_PAUSE_SECONDS = 0.5


class Availability:
    """Known away or not.

    Args:
        ping: One bounded question to the database; raises `PersistenceError` when it was not answered.
        operation_timeout_seconds: What the ping is bounded by; the pause between two pings is shorter.
        log: Told when the database goes and when it comes back.
    """

    def __init__(
        self,
        ping: Callable[[], Awaitable[None]],
        *,
        operation_timeout_seconds: float,
        log: Logger | LoggerAdapter[Any],
    ) -> None:
        self._ping = ping
        self._pause_seconds = min(operation_timeout_seconds / 2, _LONGEST_PAUSE_SECONDS)
        self._log = log
        self._search: asyncio.Task[None] | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._closed = False

    @property
    def available(self) -> bool:
        """False from an operation that timed out or failed to connect until a ping was answered."""
        return self._search is None and not self._closed

    def check(self, what: str) -> None:
        """Let an operation pass, or not.

        Raises:
            StoreAway: The database is known away, or closed.
        """
        if self._closed:
            raise StoreAway(f"{what}: the database is closed")
        if self._search is not None:
            raise StoreAway(f"{what}: the database is away")

    def lost(self, why: str) -> None:
        """Begin to look for the database. Calling it again while looking is harmless."""
        if self._search is not None or self._closed:
            return
        self._log.warning("The database is away: %s. Looking for it", why)
        self._search = asyncio.get_running_loop().create_task(self._look(), name="search for the database")
        self._search.add_done_callback(self._found)

    def on_return(self, callback: Callable[[], None]) -> None:
        """Have `callback` called each time that the database is back."""
        self._callbacks.append(callback)

    async def close(self) -> None:
        """Stop looking; every operation is refused from here on."""
        self._closed = True
        search = self._search
        if search is not None:
            search.cancel()
            await asyncio.wait({search})

    async def _look(self) -> None:
        while True:
            try:
                await self._ping()
            except PersistenceError as error:
                self._log.debug("The database is still away: %s", error)
                await clock.sleep(self._pause_seconds)
            else:
                return

    def _found(self, search: asyncio.Task[None]) -> None:
        self._search = None
        if search.cancelled():
            return
        if (error := search.exception()) is not None:
            # Operations are let through again: better that each finds out by itself than that none ever does.
            self._log.error("The search for the database has failed", exc_info=error)
            return
        self._log.info("The database is back")
        for callback in self._callbacks:
            # Not called from here: what it raises goes to the loop, and keeps nobody else from being told.
            search.get_loop().call_soon(callback)
