"""The way from one simulated replica to the database: slow, and as faulty as a test wants it.

A write is a message: it may be lost, be made late (whatever becomes of its sender) or be made and not be answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pymongo.errors import AutoReconnect

from persistence import clock
from persistence.driver.mock import MockBackend

CLAIM = "find_one_and_update"
WRITES = frozenset({"insert_one", "insert_many", CLAIM, "update_one", "update_many", "delete_many"})


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What becomes of one operation."""

    method: str | None = None
    """Only of such an operation, of which it becomes so; None: of any write."""
    lost: bool = False
    """It never arrives."""
    late_seconds: float = 0.0
    """It arrives so much later."""
    until: asyncio.Event | None = None
    """It arrives when this is set."""
    slow_seconds: float = 0.0
    """Its answer comes so much later."""
    unanswered: bool = False
    """It is done, and its answer is lost."""


NONE = Fault()


class Sender(Protocol):
    """The replica at this end."""

    running: asyncio.Event
    dead: bool
    cut: bool

    @property
    def term_number(self) -> int | None:
        """In which term it leads, as it believes."""


@dataclass(frozen=True)
class Message:
    """What was sent to the database."""

    sender: Sender
    term: int | None
    sent: float
    collection: str
    args: tuple[Any, ...]

    @property
    def update(self) -> dict[str, Any]:
        """What it changes, if it is an update."""
        return self.args[1] if len(self.args) > 1 and isinstance(self.args[1], dict) else {}


class Server(Protocol):
    """The other end."""

    away: bool

    def latency(self) -> float:
        """How long one way takes."""

    def time(self) -> float:
        """What time it is."""

    def arrived(self, message: Message, result: Any) -> None:
        """Something was done."""


class Link(MockBackend):
    """A client's connection.

    Attributes:
        faults: What becomes of the next writes to a collection.
    """

    def __init__(self, name: str, sender: Sender, server: Server) -> None:
        super().__init__(name)
        self.sender = sender
        self.server = server
        self.faults: deque[tuple[str, Fault]] = deque()

    def raw(self, database: str, collection: str, *, linearizable: bool) -> Any:
        """Give a collection at the other end of this link."""
        return LinkedCollection(self, collection, super().raw(database, collection, linearizable=linearizable))

    async def carry(self, collection: str, method: str, args: tuple[Any, ...], do: Callable[[], Awaitable[Any]]) -> Any:
        """Have something done; it is done also where who wants it stops to wait."""
        task = asyncio.ensure_future(self._carry(collection, method, args, do))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _carry(
        self, collection: str, method: str, args: tuple[Any, ...], do: Callable[[], Awaitable[Any]]
    ) -> Any:
        await self.sender.running.wait()
        self._check()
        term, sent, fault = self.sender.term_number, self.server.time(), self._fault(collection, method)
        await clock.sleep(self.server.latency() + fault.late_seconds)
        if fault.until is not None:
            await fault.until.wait()
        if self.server.away or fault.lost:
            raise AutoReconnect("it was lost on its way")
        result = await do()
        self.server.arrived(Message(self.sender, term, sent, collection, args), result)
        await clock.sleep(self.server.latency() + fault.slow_seconds)
        self._check()
        if fault.unanswered:
            raise AutoReconnect("its answer was lost")
        await self.sender.running.wait()
        return result

    def _check(self) -> None:
        if self.sender.dead or self.sender.cut or self.server.away:
            raise AutoReconnect("the database can't be reached")

    def _fault(self, collection: str, method: str) -> Fault:
        if method not in WRITES or not self.faults:
            return NONE
        wanted, fault = self.faults[0]
        return self.faults.popleft()[1] if wanted == collection and fault.method in (None, method) else NONE


class LinkedCollection:
    """A collection, over a link."""

    def __init__(self, link: Link, name: str, collection: Any) -> None:
        self._link = link
        self._name = name
        self._collection = collection

    def __getattr__(self, method: str) -> Any:
        inner = getattr(self._collection, method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._link.carry(self._name, method, args, lambda: inner(*args, **kwargs))

        return call

    def find(self, *args: Any, **kwargs: Any) -> LinkedCursor:
        """Give a cursor; what it finds is found when it is read."""
        return LinkedCursor(self._link, self._name, lambda: self._collection.find(*args, **kwargs))


class LinkedCursor:
    """A cursor, over a link."""

    cursor_id = 0

    def __init__(self, link: Link, name: str, find: Callable[[], Any]) -> None:
        self._link = link
        self._name = name
        self._find = find
        self._found: list[Any] | None = None

    async def to_list(self, length: int | None = None) -> list[Any]:
        """Give all that is left, or at most `length`."""
        if self._found is None:
            self._found = await self._link.carry(self._name, "find", (), lambda: self._find().to_list(None))
        taken = self._found if length is None else self._found[:length]
        self._found = self._found[len(taken) :]
        return taken
