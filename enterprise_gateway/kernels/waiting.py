"""Waiting for what another actor, here or on another replica, does to a kernel's record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from enterprise_gateway.errors import unavailable
from persistence import clock
from persistence.documents import KernelRecord
from persistence.errors import StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager

T = TypeVar("T")

FIRST_POLL_SECONDS = 0.05
POLL_SECONDS = 0.5
AGAIN_SECONDS = 0.2


class Changes:
    """Tells who waits here that this replica has changed a kernel's record, so that his next poll comes at once.

    Attributes:
        closed: Nobody waits any more: the replica is leaving.
    """

    def __init__(self) -> None:
        self.closed = False
        self._events: dict[str, asyncio.Event] = {}
        self._waiting: dict[str, int] = {}

    def close(self) -> None:
        """Let nobody wait any longer."""
        self.closed = True
        for event in self._events.values():
            event.set()

    def changed(self, kernel_id: str) -> None:
        """The record of this kernel has changed."""
        event = self._events.get(kernel_id)
        if event is not None:
            event.set()

    async def wait(self, kernel_id: str, timeout_seconds: float) -> None:
        """Wait for the next change made here, at most so long."""
        event = self._events.setdefault(kernel_id, asyncio.Event())
        self._waiting[kernel_id] = self._waiting.get(kernel_id, 0) + 1
        try:
            async with asyncio.timeout(timeout_seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._leave(kernel_id)

    def _leave(self, kernel_id: str) -> None:
        # The event is one shot: whoever comes later waits for the next change.
        event = self._events.get(kernel_id)
        self._waiting[kernel_id] -= 1
        if not self._waiting[kernel_id]:
            del self._waiting[kernel_id]
            self._events.pop(kernel_id, None)
        elif event is not None and event.is_set():
            self._events.pop(kernel_id, None)


async def wait_until(
    store: KernelSessionManager,
    changes: Changes,
    kernel_id: str,
    done: Callable[[KernelRecord | None], bool],
    deadline: clock.Deadline,
) -> tuple[KernelRecord | None, bool]:
    """Read the record until `done` says so or the deadline has passed.

    Returns:
        The last record read, and whether it was `done`.

    Raises:
        StoreUnavailable: The database can't be asked.
        GatewayError: 503, this replica is leaving.
    """
    pause = FIRST_POLL_SECONDS
    while True:
        record = await store.kernels.get(kernel_id)
        if done(record):
            return record, True
        if deadline.passed:
            return record, False
        if changes.closed:
            raise unavailable("This replica is being stopped. Try again.", "Gateway stops")
        await changes.wait(kernel_id, min(pause, max(0.001, deadline.remaining_seconds)))
        pause = min(POLL_SECONDS, pause * 1.5)


async def until_answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Do what may be done again, until the database has answered; for tasks that nobody waits for without a limit."""
    while True:
        try:
            return await ask()
        except StoreUnavailable:
            await clock.sleep(AGAIN_SECONDS)
