"""For tests of those who use this package: a store without a server, a database that goes away, actors held in step.

All of it works on mongomock, whose operations are never interrupted: what is to happen between two of them is said by
the test. Real races and real outages want a real server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from persistence.driver import Database
from persistence.driver.mock import MockBackend
from persistence.kernel_session_manager import KernelSessionManager

__all__ = ["Gate", "away", "mock_store"]


@asynccontextmanager
async def mock_store(server: str = "", **traits: Any) -> AsyncIterator[KernelSessionManager]:
    """Open a store without a server, as one replica would, and close it.

    Args:
        server: Those with the same non-empty name share their data: two replicas in one process.
        traits: Of `KernelSessionManager`. Replicas that share data need the same `sealing_keys`.
    """
    store = KernelSessionManager(mongodb_uri=f"mongomock://{server}", **traits)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@contextmanager
def away(database: Database) -> Iterator[None]:
    """Take the database away from one client: its operations fail to connect, and it is known away."""
    backend = _mock(database)
    backend.down = True
    try:
        yield
    finally:
        backend.down = False


class Gate:
    """Holds every operation of one client until the test lets it through, so that actors can be stepped in any order.

    An operation that is held long enough times out, as it would on a server that does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._backend = _mock(database)
        self._held: asyncio.Queue[tuple[str, asyncio.Event]] = asyncio.Queue()
        self._backend.before = self._hold

    @property
    def idle(self) -> bool:
        """Whether no operation is held."""
        return self._held.empty()

    async def step(self) -> str:
        """Wait for the next operation, let it through, and give its name as PyMongo's method is called."""
        operation, passes = await self._held.get()
        passes.set()
        return operation

    def open(self) -> None:
        """Let through what is held, and everything from here on."""
        self._backend.before = None
        while not self._held.empty():
            self._held.get_nowait()[1].set()

    async def _hold(self, operation: str) -> None:
        passes = asyncio.Event()
        self._held.put_nowait((operation, passes))
        await passes.wait()


def _mock(database: Database) -> MockBackend:
    if not isinstance(database.backend, MockBackend):
        raise TypeError("this works on mongomock only")
    return database.backend
