"""One database: its collections, whether it is there, and the bound that every operation runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from logging import Logger, LoggerAdapter
from typing import Any, TypeVar

import pymongo

from persistence import clock
from persistence.driver import failures
from persistence.driver.availability import Availability
from persistence.driver.backend import HEAD_START, Backend
from persistence.driver.collection import Collection
from persistence.errors import StoreUnavailable

T = TypeVar("T")

_PAUSE_SECONDS = 0.1
_GRACE_SECONDS = 2.0
_PINGED = "replicas"  # any collection: what is asked for is not there


class Database:
    """An open database. `open_database` makes it.

    Attributes:
        name: Its name on the server.
        is_replica_set: The server is a member of one: it has linearizable reads and change streams.
        is_mock: It is mongomock.
        operation_timeout_seconds: What every operation is bounded by.
    """

    def __init__(
        self,
        backend: Backend,
        name: str,
        *,
        is_replica_set: bool,
        operation_timeout_seconds: float,
        log: Logger | LoggerAdapter[Any],
    ) -> None:
        self.backend = backend
        self.name = name
        self.is_replica_set = is_replica_set
        self.is_mock = backend.is_mock
        self.operation_timeout_seconds = operation_timeout_seconds
        self._at_work: set[asyncio.Task[Any]] = set()
        self._availability = Availability(self.ping, operation_timeout_seconds=operation_timeout_seconds, log=log)

    @property
    def available(self) -> bool:
        """Whether it is not known away; True is no promise that the next operation succeeds."""
        return self._availability.available

    def on_return(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, on the loop, each time that the database is back after it was known away."""
        self._availability.on_return(callback)

    def collection(self, name: str) -> Collection:
        """Give a collection; it need not exist."""
        return Collection(self, self.backend, name)

    async def ping(self) -> None:
        """Ask for a majority's answer, also while the database is known away.

        Raises:
            StoreUnavailable: There was none in time.
        """
        raw = self.backend.raw(self.name, _PINGED, linearizable=self.is_replica_set)
        await self._bounded("ping", lambda: raw.find_one({"_id": ""}, {"_id": 1}), self.operation_timeout_seconds)

    async def first_contact(self, seconds: float) -> None:
        """Learn what the server is and see that the database may be read; waits longer than an operation may take.

        Raises:
            StoreUnavailable: There was no answer for so many seconds.
            PersistenceError: It refused this client.
        """
        deadline = clock.Deadline(seconds)
        while True:
            try:
                # The client's `timeoutMS` comes first, for its error says which host did not answer, and why.
                self.is_replica_set, _ = await self._bounded("connect", self.backend.hello, seconds + _GRACE_SECONDS)
                return await self.ping()
            except StoreUnavailable:
                if deadline.passed:
                    raise
                await clock.sleep(_PAUSE_SECONDS)

    async def server_time(self) -> datetime:
        """Ask the primary for its time, aware."""
        _, now = await self.run("read the clock", self.backend.hello)
        return now

    async def close(self) -> None:
        """Close all connections. Operations are refused from here on. Calling it again is harmless.

        What is at work ends first, by its own bound, also where nobody waits for it any more: the end of the event loop
        would cancel it (see `_bounded`), and never come. A client says goodbye to its server; where that gives no
        answer it is left to close with the process.
        """
        await self._availability.close()
        seconds = self.operation_timeout_seconds
        if self._at_work:
            await asyncio.wait(self._at_work, timeout=seconds + _GRACE_SECONDS)
        with suppress(StoreUnavailable):
            await self._bounded("close", lambda: _taking(self.backend.close, seconds), seconds + _GRACE_SECONDS)

    async def run(self, what: str, operation: Callable[[], Awaitable[T]], *, seconds: float | None = None) -> T:
        """Run one operation of the client; for collections.

        Args:
            what: Its name, for errors and the log.
            operation: Starts it.
            seconds: Its bound, where that is not the operation timeout.

        Raises:
            StoreUnavailable: The database is away, which is known from here on; `StoreAway` where it was known before.
            PersistenceError: Any other of our errors, for what the client raised.
        """
        self._availability.check(what)
        try:
            if seconds is None:
                return await self._bounded(what, operation, self.operation_timeout_seconds)
            return await self._bounded(what, lambda: _taking(operation, seconds), seconds)
        except StoreUnavailable as error:
            if error.__cause__ is not None and failures.went_away(error.__cause__):
                self._availability.lost(str(error))
            raise

    async def _bounded(self, what: str, operation: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Wait for an operation, which is never cancelled: it ends by the client's own bound.

        PyMongo waits for a connection with `asyncio.wait_for` on a condition. Before Python 3.12 a cancellation in the
        wrong moment leaves the pool's lock held by nobody: from then on every operation waits for it, for ever.
        """
        task = asyncio.ensure_future(self._mapped(what, operation))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        task.add_done_callback(_retrieve)
        # The client's bound comes first. This one holds where that does not reach: a name being resolved.
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise StoreUnavailable(f"{what}: the database gave no answer within {seconds:g} s") from TimeoutError()
        return task.result()

    async def _mapped(self, what: str, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            return await operation()
        except failures.FAILURES as error:
            raise failures.translate(what, error) from error


async def _taking(operation: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Let the client take longer than its `timeoutMS`."""
    with pymongo.timeout(seconds * HEAD_START):
        return await operation()


def _retrieve(task: asyncio.Task[Any]) -> None:
    # Nobody may wait for it any more: then nobody else takes its error out.
    if not task.cancelled():
        task.exception()
