"""What goes to one session's client: to its WebSockets, or into a buffer while there is none.

After `hold` it also waits for what the session's former connection left, so that this comes first. At most once and in
order: what a WebSocket has not handed to the network when it closes goes back into the buffer, and what the former
connection has heard already is left out when it comes here later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from enterprise_gateway.relay.buffer import Buffer
from enterprise_gateway.relay.handover import Passed, digest, merge
from enterprise_gateway.relay.outbox import Outgoing
from persistence import clock

LATE_SECONDS = 10.0
"""How much later than another replica one may hear the same."""


class Outlet(Protocol):
    """A WebSocket, as the mailbox sees it."""

    def put(self, message: Outgoing) -> None:
        """Queue a message."""
        ...

    def flush(self) -> None:
        """Send what is queued."""
        ...

    def unsent(self) -> list[Outgoing]:
        """Take back what has not been handed to the network."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send what is queued, then close."""
        ...

    @property
    def spoken(self) -> bool:
        """Has its client sent anything by it?"""
        ...

    async def answers(self, seconds: float) -> bool:
        """Does the client's end answer a ping in that time?"""
        ...


class Mailbox:
    """One session's messages to its client.

    Args:
        new_buffer: Begins a buffer.
        release: A buffer is over.
    """

    def __init__(self, new_buffer: Callable[[], Buffer], release: Callable[[Buffer], None]) -> None:
        self._new_buffer = new_buffer
        self._release = release
        self._outlets: tuple[Outlet, ...] = ()  # replaced, never changed: it may shrink while it is walked
        self._buffer: Buffer | None = new_buffer()
        self._holding = False
        self._known: set[bytes] = set()
        self._known_until = 0.0

    @property
    def outlets(self) -> Sequence[Outlet]:
        """The WebSockets that are open."""
        return self._outlets

    @property
    def kept_bytes(self) -> int:
        """What waits for the client to come, or for what comes first."""
        return 0 if self._buffer is None else self._buffer.size

    def put(self, message: Outgoing) -> None:
        """A message for the client; `flush` sends it."""
        if self._known and self._comes_late(message):
            return
        if self._buffer is not None:
            self._buffer.put(message)
            return
        for outlet in self._outlets:
            outlet.put(message)

    def flush(self) -> None:
        """Send what is queued."""
        for outlet in self._outlets:
            outlet.flush()

    def hold(self) -> None:
        """Keep everything until `replay`. Before the first message only."""
        self._holding = True

    def replay(
        self, fetched: Sequence[Passed], *, recent: Sequence[bytes] = (), delivered: Collection[bytes] = ()
    ) -> None:
        """What the former connection left has come, or never will: it goes first, then what has come since.

        Args:
            fetched: What it has kept.
            recent: The digests of what it has heard on IOPub lately.
            delivered: Those of them that its client has got there, unless they were kept.
        """
        if self._buffer is None or not self._holding:
            return
        self._holding = False
        own = self._buffer.take()
        for message in merge(fetched, own, recent=recent, delivered=delivered):
            self._buffer.put(message)
        self._known = {*recent, *(digest(*message) for message in fetched)}
        self._known_until = clock.monotonic() + LATE_SECONDS
        self._pour()

    def add(self, outlet: Outlet) -> None:
        """A WebSocket has opened: it gets what is kept, unless something must come before that."""
        self._outlets = (*self._outlets, outlet)
        self._pour()

    def remove(self, outlet: Outlet) -> None:
        """A WebSocket has closed. Doing it again is harmless."""
        if outlet not in self._outlets:
            return
        self._outlets = tuple(other for other in self._outlets if other is not outlet)
        if self._outlets or self._buffer is not None:
            return
        self._buffer = self._new_buffer()
        for message in outlet.unsent():
            self._buffer.put(message)

    def take(self) -> list[Outgoing]:
        """Take what has not reached the client: another replica gives it to him."""
        if self._buffer is not None:
            return self._buffer.take()
        return self._outlets[-1].unsent() if self._outlets else []

    def close(self) -> None:
        """Keep nothing any more."""
        if self._buffer is not None:
            self._release(self._buffer)
            self._buffer = None
        self._outlets = ()
        self._holding = False

    def _comes_late(self, message: Outgoing) -> bool:
        """Has the client got this from the former connection?"""
        if clock.monotonic() > self._known_until:
            self._known.clear()
            return False
        return digest(message.channel, message.parts) in self._known

    def _pour(self) -> None:
        if self._buffer is None or self._holding or not self._outlets:
            return
        buffer, self._buffer = self._buffer, None
        for message in buffer.take():
            for outlet in self._outlets:
                outlet.put(message)
        self._release(buffer)
        self.flush()
