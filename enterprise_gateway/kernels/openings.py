"""Opened WebSockets: acknowledged by the database before they are accepted, and recorded in their session's order.

One write does both. The wait for it is short, and there is none while the database is known to be away: then a
WebSocket is accepted all the same, and its session's place is recorded when its client speaks and the database is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from logging import Logger, LoggerAdapter
from typing import Any, TypeVar

from culling.membership import Membership
from enterprise_gateway.errors import being_shut_down
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.relay.claims import FRESH_SECONDS, Claim, Former, Place, session_key
from enterprise_gateway.relay.codec import Framing
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.interfaces import ClientSink
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.session import ClientSession
from persistence import clock, steps
from persistence.clients import ClientClaim, next_claim
from persistence.documents import ClientHold, KernelRecord, Step
from persistence.errors import PersistenceError, StaleWrite
from persistence.kernel_session_manager import KernelSessionManager
from persistence.phases import Phase

T = TypeVar("T")

OPEN_WAIT_SECONDS = 0.5
RACES = 10


class OpenedChannels:
    """A kernel that is held for one WebSocket, and the session that this belongs to."""

    def __init__(self, held: HeldKernel, session: ClientSession) -> None:
        self._held = held
        self._session = session

    @property
    def options(self) -> RelayOptions:
        """The limits of WebSockets."""
        return self._held.relay.options

    def attach(self, sink: ClientSink, framing: Framing) -> ClientConnection:
        """The WebSocket has opened."""
        return self._held.relay.attach(self._session, sink, framing=framing)

    def settle(self) -> None:
        """The WebSocket has opened, or failed to, or has closed."""
        self._session.keep()
        self._held.settle()


class Openings:
    """Records connections of clients' sessions, for all kernels of this replica."""

    def __init__(self, store: KernelSessionManager, membership: Membership, log: Logger | LoggerAdapter[Any]) -> None:
        self._store = store
        self._membership = membership
        self._log = log
        self._own_ids = {membership.replica_id}
        self._work: set[asyncio.Task[Any]] = set()
        membership.on_new_identity(lambda: self._own_ids.add(membership.replica_id))

    def is_here(self, replica: str) -> bool:
        """Is, or was, this the id of this process?"""
        return replica in self._own_ids

    async def open(self, held: HeldKernel, record: KernelRecord | None, session_id: str | None) -> OpenedChannels:
        """Acknowledge a WebSocket that is about to open, and begin its session, or go on with it.

        Args:
            held: The kernel.
            record: As it was just read; None if the database is away.
            session_id: What the client calls its session.

        Raises:
            GatewayError: 409, the kernel is being ended: somebody has claimed that since the record was read.
        """
        held.opening()
        begun = _Begun()
        work = self._at_work(self._begin(held, record, session_id, begun))
        await asyncio.wait({work}, timeout=OPEN_WAIT_SECONDS)
        if begun.refused:
            held.settle()
            raise being_shut_down()
        return OpenedChannels(held, begun.session or self._begun_late(held, session_id, begun))

    async def open_first(self, held: HeldKernel, session_id: str | None) -> OpenedChannels | None:
        """Acknowledge the first WebSocket to a kernel that was brought up here: its record need not be read.

        It is waited for as long as a read would be, for it says as much: whether there is such a kernel.

        Returns:
            None if that can't be done: by the record it is not the first, the kernel is not the same any more, or the
            database is away.
        """
        held.unvisited = False
        held.opening()
        work = self._at_work(self._begin_first(held, session_id))
        await asyncio.wait({work})
        session = work.result()
        if session is None:
            held.settle()
            return None
        return OpenedChannels(held, session)

    def _at_work(self, begin: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin; it goes on by itself, whoever waits for it no longer."""
        work = asyncio.create_task(begin, name="record a connection")
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        return work

    async def claim(self, held: HeldKernel, key: str, *, after: Former | None = None) -> Place:
        """Make a connection that is open already its session's newest; None where that can't be recorded now.

        With `after` only if that one is the newest until then, or there is none; else returns which one is.
        """
        async with held.claiming:
            place, _ = await self._recorded(held, None, key, may_follow=lambda newest: after in (None, newest))
        held.settle()
        return place

    async def newest(self, kernel_id: str, key: str, n: int) -> bool | None:
        """Is this connection the session's newest, as the majority has it now? None: nobody can say.

        A session that the record has dropped has none that is newer.
        """
        try:
            record = await self._store.kernels.get_surely(kernel_id)
        except PersistenceError:
            return None
        hold = None if record is None else record.clients.get(key)
        return hold is None or hold.n < n or (hold.n == n and self.is_here(hold.replica))

    async def _begin(
        self, held: HeldKernel, record: KernelRecord | None, session_id: str | None, begun: _Begun
    ) -> None:
        async with held.claiming:  # each goes on from the one that was recorded before
            key = None if session_id is None else session_key(session_id)
            place, written = await self._recorded(held, record, key, may_follow=self._needs_no_leave)
            if written is not None and written.phase == Phase.STOPPING.value:
                begun.refused = True  # one that has opened by now gets nothing through before it is told the end
            elif begun.late is None:
                begun.session = held.relay.open(session_id, place)
            elif not begun.late.done():
                begun.late.set_result(place)

    async def _begin_first(self, held: HeldKernel, session_id: str | None) -> ClientSession | None:
        async with held.claiming:
            key = None if session_id is None else session_key(session_id)
            wanted = None if key is None else next_claim({}, key, self._membership.replica_id)
            fresh = clock.Deadline(FRESH_SECONDS)
            try:
                await self._store.kernels.apply(self._step(held, wanted, first_of=held.generation))
            except PersistenceError as error:
                self._log.debug("The first connection to kernel %s is not recorded: %s", held.kernel_id, error)
                return None
            place = None if wanted is None else Claim(n=wanted.n, former=None, fresh=fresh)
            return held.relay.open(session_id, place)

    def _needs_no_leave(self, newest: Former) -> bool:
        return newest.here or self._membership.gone(newest.replica)

    def _begun_late(self, held: HeldKernel, session_id: str | None, begun: _Begun) -> ClientSession:
        """Begin the session before its place is known: its client waits for what comes first, not for its WebSocket."""
        self._log.debug("The opened connection to kernel %s was not acknowledged yet", held.kernel_id)
        begun.late = asyncio.get_running_loop().create_future()
        return held.relay.open(session_id, None if session_id is None else begun.late)

    async def _recorded(
        self,
        held: HeldKernel,
        record: KernelRecord | None,
        key: str | None,
        *,
        may_follow: Callable[[Former], bool],
    ) -> tuple[Place, KernelRecord | None]:
        """Write an opening, and the session's claim if it has a key; None where that can't be done now.

        Where the session has a newest connection that may not be followed, only the opening is written. With the place
        comes the record as it was written.
        """
        try:
            for _ in range(RACES):
                if record is None and self._store.available:
                    record = await self._store.kernels.get(held.kernel_id)
                if record is None or not record.live or not self._store.available:
                    return None, None
                newest = self._former(record.clients.get(key or ""))
                free = key is not None and (newest is None or may_follow(newest))
                wanted = next_claim(record.clients, key, self._membership.replica_id) if key and free else None
                try:
                    # From here on: it is the newest when the write is made, and that is not before it is sent.
                    fresh = clock.Deadline(FRESH_SECONDS)
                    written = await self._store.kernels.apply(self._step(held, wanted))
                except StaleWrite:  # a newer count of this replica, or a newer connection of the session
                    record = None
                else:
                    return (newest if wanted is None else Claim(n=wanted.n, former=newest, fresh=fresh)), written
        except PersistenceError as error:
            self._log.debug("A connection to kernel %s can't be recorded now: %s", held.kernel_id, error)
        return None, None

    def _step(self, held: HeldKernel, wanted: ClientClaim | None, *, first_of: int | None = None) -> Step:
        n = held.opening()
        held.activity.used()
        return steps.open_connection(
            held.kernel_id,
            replica=self._membership.replica_id,
            count=held.activity.connections,
            n=n,
            now=self._store.clock.latest_now(),
            client=wanted,
            first_of=first_of,
        )

    def _former(self, hold: ClientHold | None) -> Former | None:
        return None if hold is None else Former(hold.replica, hold.n, here=self.is_here(hold.replica))


class _Begun:
    """What has become of an opening.

    Attributes:
        session: The session, once its place is known.
        late: Takes the place where nobody could wait for it any more.
        refused: Is the kernel being ended?
    """

    def __init__(self) -> None:
        self.session: ClientSession | None = None
        self.late: asyncio.Future[Place] | None = None
        self.refused = False
