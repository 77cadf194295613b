"""Opened WebSockets: acknowledged by the database before they are accepted, and recorded in their session's order.

One write does both. The wait for it is short, and there is none while the database is known to be away: then a
WebSocket is accepted all the same, and its session's place is recorded when its client speaks and the database is back.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from logging import Logger, LoggerAdapter
from typing import Any

from culling.membership import Membership
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.relay.claims import FRESH_SECONDS, Claim, Former, session_key
from enterprise_gateway.relay.codec import Framing
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.interfaces import ClientSink
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.session import ClientSession
from persistence import clock, steps
from persistence.clients import ClientClaim, next_claim
from persistence.documents import KernelRecord, Step
from persistence.errors import PersistenceError, StaleWrite, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager

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
        """
        held.opening()
        key = None if session_id is None else session_key(session_id)
        trial = _Trial()
        try:
            # In the order of their claims: each goes on from the one before.
            async with asyncio.timeout(OPEN_WAIT_SECONDS), held.claiming:
                await self._record(held, record, key, trial)
                return OpenedChannels(held, held.relay.open(session_id, trial.claim))
        except (TimeoutError, StoreUnavailable):
            # Unknown: the count goes with the next flush. The place may be recorded or not, and is taken for recorded.
            self._log.debug("The opened connection to kernel %s was not acknowledged yet", held.kernel_id)
        return OpenedChannels(held, held.relay.open(session_id, trial.claim))

    async def claim(self, held: HeldKernel, key: str) -> Claim | None:
        """Make a connection that is open already its session's newest; None where that can't be recorded now."""
        trial = _Trial()
        try:
            async with asyncio.timeout(OPEN_WAIT_SECONDS), held.claiming:
                await self._record(held, None, key, trial)
        except (TimeoutError, PersistenceError) as error:
            self._log.debug("A client of kernel %s can't be recorded now: %s", held.kernel_id, error)
            return None
        return trial.claim

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

    async def _record(self, held: HeldKernel, record: KernelRecord | None, key: str | None, trial: _Trial) -> None:
        """Write the opening and the claim; `trial` says what is, or may be, written.

        Raises:
            StoreUnavailable: It may be written or not.
        """
        for _ in range(RACES):
            if not self._store.available:
                return
            if record is None:
                record = await self._store.kernels.get(held.kernel_id)
            if record is None or not record.live:
                return
            wanted = None if key is None else next_claim(record.clients, key, self._membership.replica_id)
            trial.begin(None if wanted is None else self._claim(wanted))
            try:
                await self._store.kernels.apply(self._step(held, wanted))
            except StaleWrite:
                # A newer count of this replica, or a newer connection of the session.
                trial.refused()
                record = None
            else:
                trial.acknowledged()
                return

    def _step(self, held: HeldKernel, wanted: ClientClaim | None) -> Step:
        n = held.opening()
        return steps.open_connection(
            held.kernel_id,
            replica=self._membership.replica_id,
            count=held.activity.connections,
            n=n,
            now=self._store.clock.latest_now(),
            client=wanted,
        )

    def _claim(self, wanted: ClientClaim) -> Claim:
        hold = wanted.former
        former = None if hold is None else Former(hold.replica, hold.n, here=self.is_here(hold.replica))
        return Claim(n=wanted.n, former=former, fresh=clock.Deadline(FRESH_SECONDS), sure=False)


class _Trial:
    """A claim that is being written.

    Attributes:
        claim: What is written, or may be; None if nothing is.
    """

    def __init__(self) -> None:
        self.claim: Claim | None = None

    def begin(self, claim: Claim | None) -> None:
        """It is about to be sent."""
        self.claim = claim

    def refused(self) -> None:
        """It was not written."""
        self.claim = None

    def acknowledged(self) -> None:
        """It was written."""
        if self.claim is not None:
            self.claim = replace(self.claim, sure=True)
