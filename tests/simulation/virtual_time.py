"""An event loop whose time goes on when nothing is left to do: hours pass in milliseconds, the same way each run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from persistence import clock

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Never waits: the time that the loop would have waited is added to its clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("nothing is left to happen, and somebody still waits")
            self._loop.now += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time.

    Attributes:
        now: Its time, in seconds.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Give the virtual time."""
        return self.now

    def pass_time(self, seconds: float) -> None:
        """Let everything happen that happens within so many seconds."""
        self.run_until_complete(clock.sleep(seconds))

    def finish(self) -> None:
        """End all tasks, and the loop."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.run_until_complete(self.shutdown_asyncgens())
        self.close()


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.finish()
