"""Background work that is meant to go on for ever, and background work that ends: both guarded.

The one place with a broad `except`: a task that dies of what nobody foresaw is logged with its traceback, and where it
was meant to go on for ever, readiness goes off, so that traffic moves to another replica. It is not restarted blindly:
what broke it once is likely to break it again, and an operator sees the replica as not ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from logging import Logger, LoggerAdapter
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """The tasks of one replica.

    Attributes:
        broken: The names of eternal tasks that have died.
    """

    def __init__(self, log: Logger | LoggerAdapter[Any]) -> None:
        self._log = log
        self._tasks: set[asyncio.Task[Any]] = set()
        self.broken: set[str] = set()

    def forever(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work that should end only by being cancelled."""
        return self._start(name, self._guard(name, work, eternal=True))

    def once(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work that ends by itself, and whose failure nobody waits for: it is logged."""
        return self._start(name, self._guard(name, work, eternal=False))

    def act(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work whose outcome somebody awaits, and that goes on where he stops to wait."""
        task = self._start(name, work)
        # Whoever waited may be gone: then its failure is not "never retrieved", it is logged.
        task.add_done_callback(self._retrieve)
        return task

    async def stop(self) -> None:
        """Cancel all that is left and wait for it."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _retrieve(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.debug("%s ended with %r", task.get_name(), error)

    async def _guard(self, name: str, work: Coroutine[Any, Any, None], *, eternal: bool) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the one guard that takes whatever comes
            self._log.exception("The background task %s has failed", name)
        if eternal:
            self.broken.add(name)
            self._log.error("The background task %s has ended: this replica is not ready any more", name)
