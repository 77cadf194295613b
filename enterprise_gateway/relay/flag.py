"""`asyncio.Event`, small: each idle client has ten of them, and each of asyncio's has a deque of 760 bytes."""

from __future__ import annotations

import asyncio


class Flag:
    """Is set or not, and can be waited for. For one event loop."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        """Is it set?"""
        return self._is_set

    def set(self) -> None:
        """Set it; all who wait go on, also if it is cleared before they do."""
        self._is_set = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        """Have those wait who come from now on."""
        self._is_set = False

    async def wait(self) -> None:
        """Return when it is set."""
        if self._is_set:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)
