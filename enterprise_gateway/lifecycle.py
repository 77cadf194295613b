"""Background work that is meant to go on for ever, and background work that ends: both guarded.

The one place with a broad `except`: a task that dies of what nobody foresaw is logged with its traceback. Where it was
meant to go on for ever, readiness goes off, so that traffic moves to another replica, and the task is begun anew after
a pause that grows: the others count on a replica that beats to do its duties. Once it has worked for a while, the
replica is ready again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from logging import Logger, LoggerAdapter
from typing import Any, TypeVar

from persistence import clock

T = TypeVar("T")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
WELL_SECONDS = 15.0  # so long a task must have worked to be taken for well again
AGAIN_SECONDS = 10.0  # what a task that was cancelled may take to end what it holds: an operation of the database, say


class Background:
    """The tasks of one replica.

    Attributes:
        broken: The names of eternal tasks that have died, and have not worked for a while since.
    """

    def __init__(self, log: Logger | LoggerAdapter[Any]) -> None:
        self._log = log
        self._tasks: set[asyncio.Task[Any]] = set()
        self.broken: set[str] = set()

    def forever(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Run work that should end only by being cancelled; where it does end, it is begun anew."""
        return self._start(name, self._again_and_again(name, work))

    def once(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work that ends by itself, and whose failure nobody waits for: it is logged."""
        return self._start(name, self._guard(name, work))

    def act(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work whose outcome somebody awaits, and that goes on where he stops to wait."""
        task = self._start(name, work)
        # Whoever waited may be gone: then its failure is not "never retrieved", it is logged.
        task.add_done_callback(self._retrieve)
        return task

    async def stop(self) -> None:
        """Cancel all that is left and wait for it. What has lost its cancellation is cancelled again, and named."""
        left = self._others()
        while left:
            for task in left:
                task.cancel()
            _, goes_on = await asyncio.wait(left, timeout=AGAIN_SECONDS)
            for task in goes_on:
                self._log.warning("The task %s goes on though it was cancelled", task.get_name())
            left = self._others()

    def _others(self) -> list[asyncio.Task[Any]]:
        return [task for task in self._tasks if task is not asyncio.current_task()]

    def _start(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _retrieve(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.debug("%s ended with %r", task.get_name(), error)

    async def _again_and_again(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            well = asyncio.get_running_loop().call_later(WELL_SECONDS, self.broken.discard, name)
            try:
                await self._guard(name, work())
            finally:
                well.cancel()
            if name not in self.broken:
                pause_seconds = FIRST_PAUSE_SECONDS
            self.broken.add(name)
            self._log.error("The task %s has ended: not ready. It is begun anew in %.0f s", name, pause_seconds)
            await clock.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    async def _guard(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the one guard that takes whatever comes
            self._log.exception("The background task %s has failed", name)
