"""All sessions of one kernel on this replica, and their WebSockets.

Of several open WebSockets of one session each gets what the kernel sends, since which of them its client listens to
isn't known: a client may have given one up without closing it, and that one may even be the last to open. Who speaks is
the client: the others are closed then. And if the session has gone on elsewhere meanwhile, who speaks takes it back.
"""

from __future__ import annotations

import asyncio
from logging import Logger, LoggerAdapter
from typing import Any, Protocol

from enterprise_gateway.relay.buffer import BufferBudget
from enterprise_gateway.relay.channels import KernelChannels, MakeChannels
from enterprise_gateway.relay.claims import Claim, Claiming, Place, Reconnects
from enterprise_gateway.relay.codec import ClientMessage, Framing
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.handover import Handover
from enterprise_gateway.relay.inheritance import aborted
from enterprise_gateway.relay.interfaces import ClientSink
from enterprise_gateway.relay.open_requests import OpenRequest
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.outbox import Outgoing
from enterprise_gateway.relay.session import (
    CLOSE_NORMAL,
    CLOSE_TRY_AGAIN_LATER,
    TOOK_OVER,
    ClientSession,
    Kernel,
)
from enterprise_gateway.relay.sockets import KernelLink
from enterprise_gateway.relay.succession import within
from persistence import clock

CLAIM_AGAIN_SECONDS = 1.0
KNOWN_SECONDS = 0.2  # for who asks waits for the client's answer, too
MOST_AWAITED = 32  # sessions of one kernel, as many as its record remembers
MOST_WAITING = 1_000  # messages of a client that takes its session back


class Owner(Kernel, Protocol):
    """The relay, as its sessions see it."""

    def client_message(self, message: ClientMessage) -> bool:
        """A client sends this; False if there is no kernel any more, and none will come."""
        ...


class Sessions:
    """Sessions by the order in which they began.

    Args:
        owner: The relay.
        reconnects: Who knows of the sessions elsewhere.
        budget: What all may keep together.
        options: The bounds.
        log: Where trouble is told.
        make_channels: Makes a session's channels to the kernel.

    Attributes:
        connections: The open WebSockets, also of sessions that have gone on elsewhere.
    """

    def __init__(
        self,
        owner: Owner,
        *,
        reconnects: Reconnects | None,
        budget: BufferBudget,
        options: RelayOptions,
        log: Logger | LoggerAdapter[Any],
        make_channels: MakeChannels = KernelChannels,
    ) -> None:
        # Both are replaced, never changed: they may shrink while they are walked.
        self.connections: tuple[ClientConnection, ...] = ()
        self._sessions: tuple[ClientSession, ...] = ()
        self._owner = owner
        self._reconnects = reconnects
        self._budget = budget
        self._options = options
        self._log = log
        self._make_channels = make_channels
        self._link: KernelLink | None = None
        self._rivals: set[str] = set()
        self._claiming: dict[ClientConnection, tuple[asyncio.Task[None], list[ClientMessage]]] = {}

    @property
    def count(self) -> int:
        """How many WebSockets are open whose sessions are here."""
        return sum(len(session.outlets) for session in self._sessions if not session.superseded)

    @property
    def any(self) -> bool:
        """Is there any session?"""
        return bool(self._sessions)

    @property
    def awaited(self) -> list[ClientSession]:
        """Those whose client is away."""
        return [session for session in self._sessions if session.away]

    def open(self, key: str | None, claiming: Claiming = None) -> ClientSession:
        """Begin a session's next connection, or go on with the one before if that is here."""
        if not isinstance(claiming, asyncio.Future):
            session = self._former(key, claiming)
            if session is not None:
                session.renumber(claiming)
                return session
        session = ClientSession(
            self._owner,
            self,
            key=key,
            reconnects=self._reconnects,
            budget=self._budget,
            options=self._options,
            log=self._log,
            make_channels=self._make_channels,
        )
        self._sessions = (*self._sessions, session)
        session.begin(claiming, self._link)
        return session

    def attach(self, session: ClientSession, sink: ClientSink, framing: Framing) -> ClientConnection:
        """A WebSocket of the session has opened."""
        connection = ClientConnection(self, session, sink, framing=framing, options=self._options, log=self._log)
        if session.key is not None and any(other.key == session.key for other in self.connections):
            self._rivals.add(session.key)
        self.connections = (*self.connections, connection)
        return connection

    async def give(self, key: str, n: int, seconds: float) -> Handover | None:
        """Hand a connection over to the next one, on another replica; None if it is not here."""
        session = await self._numbered(key, n, seconds)
        return None if session is None else await session.give(seconds)

    async def admit(self, key: str, n: int, seconds: float) -> bool | None:
        """Let a silent connection succeed this one; False while the client of this one is there and has spoken.

        None if it is not here.
        """
        session = await self._numbered(key, n, min(seconds, KNOWN_SECONDS))
        return None if session is None else await session.admit()

    async def supersede(self, key: str, n: int, seconds: float) -> bool | None:
        """Tell a connection that it has a successor; None if it is not here."""
        session = await self._numbered(key, n, seconds)
        return None if session is None else await session.supersede(seconds)

    async def supersede_of(self, heir: ClientSession, n: int, seconds: float) -> bool:
        """Tell another connection of the heir's session that it has a successor; True once no DEALERs come after."""
        session = self._with_number(heir.key or "", n)
        return session is None or session is heir or await session.supersede(seconds)

    async def give_to(self, heir: ClientSession, n: int | None, seconds: float) -> Handover | None:
        """Hand a connection over to the next one, here; the last one before it if `n` is None."""
        of_client = self._of(heir.key)
        before = of_client[: of_client.index(heir)] if heir in of_client else []
        for session in reversed(before if n is None else of_client):
            if session is not heir and n in (None, session.n):
                return await session.give(seconds)
        return None

    def receive(self, connection: ClientConnection, request: ClientMessage) -> None:
        """A client sends this: it is there."""
        if connection.key in self._rivals:
            self._close_rivals(connection)
        if not self._owner.client_message(request):
            self._abort(connection, request)
        elif connection in self._claiming and connection.session.must_claim:
            self._wait(connection, request)
        elif connection.session.must_claim:
            self._claim(connection, [request])
        else:
            connection.session.send(request)
            if self._unrecorded(connection):
                self._claim(connection, [])

    def detached(self, connection: ClientConnection) -> None:
        """This connection is over."""
        self.connections = tuple(other for other in self.connections if other is not connection)
        self._rivals.intersection_update(other.key or "" for other in self.connections)

    def forget_ended(self) -> None:
        """Leave out the sessions that are over, and end the one that was awaited for longest of too many."""
        self._sessions = tuple(session for session in self._sessions if not session.over)
        awaited = [session for session in self._sessions if session.awaited]
        if len(awaited) > MOST_AWAITED:
            max(awaited, key=lambda session: session.away_seconds).end()

    def put(self, message: Outgoing) -> None:
        """A message for all clients; `flush` sends it."""
        for session in self._sessions:
            session.put(message)

    def flush(self) -> None:
        """Send what is queued."""
        for session in self._sessions:
            session.flush()

    def join(self, link: KernelLink) -> None:
        """There is a kernel."""
        self._link = link
        for session in self._sessions:
            session.join(link)

    def leave(self, why: str | None = None) -> None:
        """The kernel is no more; `why`, for those who wait for a cell of theirs."""
        self._link = None
        for session in self._sessions:
            session.leave(why)

    def close_connections(self, code: int, reason: str) -> None:
        """Close all WebSockets; the sessions wait for their clients."""
        for connection in self.connections:
            connection.close(code, reason)

    def end_all(self) -> None:
        """End all sessions."""
        for task, _ in self._claiming.values():
            task.cancel()
        for session in self._sessions:
            session.end()

    def _former(self, key: str | None, place: Place) -> ClientSession | None:
        """Find the connection before this one, if it is here."""
        return next((session for session in reversed(self._of(key)) if _follows(place, session)), None)

    async def _numbered(self, key: str, n: int, seconds: float) -> ClientSession | None:
        """Find a connection by its number, which it may be about to get."""
        if (session := self._with_number(key, n)) is not None:
            return session
        for pending in self._of(key):
            if pending.pending:
                await within(seconds, pending.known())
        return self._with_number(key, n)

    def _with_number(self, key: str, n: int) -> ClientSession | None:
        return next((session for session in self._of(key) if session.n == n), None)

    def _of(self, key: str | None) -> list[ClientSession]:
        return [session for session in self._sessions if session.key == key is not None]

    def _close_rivals(self, connection: ClientConnection) -> None:
        self._rivals.discard(connection.key or "")
        for other in self.connections:
            if other is not connection and other.key == connection.key:
                self._log.info("The client speaks on another WebSocket of its session; this one is closed")
                # 1000: it must not come back and take over in its turn.
                other.close(CLOSE_NORMAL, TOOK_OVER)

    def _abort(self, connection: ClientConnection, request: ClientMessage) -> None:
        asked = OpenRequest(request.channel, request.msg_type, request.parts[0])
        for message in aborted(asked, self._owner.kernel_session):
            connection.put(message)
        connection.flush()

    def _unrecorded(self, connection: ClientConnection) -> bool:
        session = connection.session
        known = session.key is None or session.n is not None or session.pending or self._reconnects is None
        return not known and connection not in self._claiming

    def _claim(self, connection: ClientConnection, waiting: list[ClientMessage]) -> None:
        task = asyncio.get_running_loop().create_task(self._record(connection, waiting), name="record a session")
        self._claiming[connection] = task, waiting

    def _wait(self, connection: ClientConnection, request: ClientMessage) -> None:
        _, waiting = self._claiming[connection]
        if len(waiting) < MOST_WAITING:
            waiting.append(request)
        else:
            connection.close(CLOSE_TRY_AGAIN_LATER, "Too many messages are waiting for the kernel")

    async def _record(self, connection: ClientConnection, waiting: list[ClientMessage]) -> None:
        """The client speaks here: make this its session's newest connection, as if it had just connected."""
        try:
            key = connection.key
            place = await self._reconnects.claim(key) if self._reconnects is not None and key is not None else None
            session = connection.session
            if place is not None or session.superseded:
                session = self.open(key, place)
                self._move(connection, session)
            session.insist()
            while waiting:
                session.send(waiting.pop(0))
            session.keep()
            if place is None:
                await clock.sleep(CLAIM_AGAIN_SECONDS)
        finally:
            self._claiming.pop(connection, None)
        if waiting:  # it was superseded in the pause
            self._claim(connection, waiting)

    def _move(self, connection: ClientConnection, session: ClientSession) -> None:
        if session is connection.session:
            return
        connection.session.detach(connection)
        connection.session = session
        if (
            not connection.closed
        ):  # else it was while this was recorded, and what it has sent is answered when it is back
            session.attach(connection)


def _follows(place: Place, session: ClientSession) -> bool:
    """Is this session, of the same client, the one that the next connection comes after?"""
    if session.over:
        return False
    former = place.former if isinstance(place, Claim) else place
    if former is None or session.n is None:
        return True  # one of them could not be recorded: what is here is the last that is known
    return former.here and former.n == session.n
