"""One's own place among the replicas: an id, a beat, and what is seen of the others.

Guaranteed: nothing is written under an id before it is registered; a beat is sent only after the flush that it vouches
for was acknowledged; who was declared dead comes back under a new id. Not guaranteed: that a replica which was declared
dead knows it. Until its next beat it may still write under its old id, which is why whoever reads records ignores the
ids of the dead.

Declaring others dead is not done here: that is the leader's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from logging import Logger, LoggerAdapter
from typing import Any
from uuid import uuid4

from culling.observation import Observation
from culling.timings import MembershipTimings
from persistence import clock
from persistence.documents import HostDoc, ReplicaRecord, ReplicaState
from persistence.errors import PersistenceError, StaleWrite
from persistence.kernel_session_manager import KernelSessionManager

__all__ = ["Membership", "MembershipTimings"]

Flush = Callable[[], Awaitable[object]]


class Membership:
    """This replica among all.

    Args:
        store: Open.
        url: Where the other replicas reach this one.
        host: The host whose local kernels it can reach.
        version: Of this software.
        timings: Of beats and leases.
        log: Told of one's own beats that fail, and of others that come, go and are suspected.
        culling: Digest of its settings of culling.
        monotonic: The clock of observation, for tests.
    """

    def __init__(
        self,
        store: KernelSessionManager,
        *,
        url: str,
        host: HostDoc,
        version: str,
        timings: MembershipTimings,
        log: Logger | LoggerAdapter[Any],
        culling: str = "",
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self.timings = timings
        self._store = store
        self._log = log
        self._load: Callable[[], int] = lambda: 0
        self._monotonic = monotonic
        self._own = ReplicaRecord(
            replica_id=uuid4().hex,
            url=url,
            host=host,
            version=version,
            key_ids=tuple(store.sealer.key_ids),
            culling=culling,
        )
        self._successor: ReplicaRecord | None = None
        self._observation = Observation(timings, log, monotonic=monotonic)
        self._callbacks: list[Callable[[], None]] = []
        self._attempted_at: float | None = None
        self._failing = False
        # Two writes of one beat would refuse each other.
        self._beating = asyncio.Lock()

    @property
    def replica_id(self) -> str:
        """This replica's id, under which it is registered. It changes where the replica was declared dead."""
        return self._own.replica_id

    @property
    def record(self) -> ReplicaRecord:
        """This replica's document as it was last acknowledged."""
        return self._own

    @property
    def replicas(self) -> tuple[ReplicaRecord, ...]:
        """All replicas as they were last read, this one and the dead among them."""
        return self._observation.records

    @property
    def live_others(self) -> int:
        """How many other replicas are seen to live."""
        return sum(self._observation.live(record.replica_id) is True for record in self._others)

    @property
    def others_ready(self) -> bool:
        """Has any other replica said that it is ready to serve, and not been declared dead since?"""
        return any(record.state == ReplicaState.READY for record in self._others)

    @property
    def _others(self) -> list[ReplicaRecord]:
        return [record for record in self._observation.records if record.replica_id != self.replica_id]

    @property
    def seconds_since_attempt(self) -> float | None:
        """Since a beat was last *attempted*, acknowledged or not; None before the first.

        An outage of the database does not make it grow. A replica that hangs does.
        """
        return None if self._attempted_at is None else self._monotonic() - self._attempted_at

    def measure_load(self, load: Callable[[], int]) -> None:
        """Have each beat tell what `load` gives: how many kernels this replica watches or launches."""
        self._load = load

    def on_new_identity(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when `replica_id` has changed, with the new one registered already.

        What belonged to the old id (acts, ownerships) is lost by then; what is still so (open sockets, activity) has to
        be reported anew, with the next flush.
        """
        self._callbacks.append(callback)

    def next_beat_seconds(self) -> float:
        """How long to wait before the next `beat_once`: the renew interval, and some jitter."""
        # Not for secrets: it only keeps replicas out of step.
        return self.timings.renew_interval_seconds * (1 + self.timings.jitter * random.random())

    def live(self, replica_id: str) -> bool | None:
        """Say whether a replica is seen to live; None: unknown. See `Observation.live`."""
        return True if replica_id == self.replica_id else self._observation.live(replica_id)

    def gone(self, replica_id: str) -> bool:
        """Say whether a replica is declared dead or has no document. See `Observation.gone`."""
        return replica_id != self.replica_id and self._observation.gone(replica_id)

    def inhabited(self, host_id: str) -> bool:
        """Say whether a replica may live on this host. Unknown counts as yes: it takes a lease to see one dead."""
        return any(record.host.id == host_id and self.live(record.replica_id) is not False for record in self.replicas)

    def usable_key_ids(self) -> frozenset[str]:
        """Name the sealing keys that every replica has which may live: what is sealed with one, all can read."""
        usable = set(self._own.key_ids)
        for record in self._observation.records:
            if self._observation.live(record.replica_id) is not False:
                usable &= set(record.key_ids)
        return frozenset(usable)

    async def register(self) -> None:
        """Write this replica's document, before anything else is written under its id, and look who is there.

        Raises:
            StoreUnavailable: It may be registered or not; calling it again is harmless.
        """
        async with self._beating:
            await self._write_document(self._own)
            await self._look()

    async def beat_once(self, flush: Flush) -> bool:
        """Flush, beat, look at the others' beats. To be called again after each `next_beat_seconds`.

        Args:
            flush: Writes what this replica has seen; raises where that was not acknowledged, and then there is no beat.

        Returns:
            Whether all of it was acknowledged. A failure is logged, and starts the observation anew.
        """
        self._attempted_at = self._monotonic()
        try:
            async with self._beating:
                await self._renew(flush)
                await self._look()
        except PersistenceError as error:
            self._observation.restart()
            # Once: an outage would fill the log.
            log = self._log.debug if self._failing else self._log.warning
            log("Replica %s could not beat: %s", self.replica_id, error)
            self._failing = True
            return False
        if self._failing:
            self._log.info("Replica %s beats again", self.replica_id)
        self._failing = False
        return True

    async def look(self) -> None:
        """Look at the others' beats now.

        Raises:
            StoreUnavailable: Nothing was learned; the observation starts anew.
        """
        try:
            async with self._beating:
                await self._look()
        except PersistenceError:
            self._observation.restart()
            raise

    async def drain(self) -> None:
        """Say that this replica is about to leave. It goes on beating; its beats say the same.

        Raises:
            StoreUnavailable: It may not be known; the next beat says it too.
        """
        self._own = replace(self._own, state=ReplicaState.DRAINING)
        try:
            await self._store.replicas.mark(self.replica_id, ReplicaState.DRAINING)
        except StaleWrite:
            self._log.info("Replica %s is held for dead already", self.replica_id)

    async def last_beat(self) -> None:
        """Beat once more and for the last time, when all is flushed and released: the others need not wait for a lease.

        Raises:
            StoreUnavailable: They may have to.
        """
        async with self._beating:
            self._own = replace(self._own, state=ReplicaState.DEAD)
            try:
                await self._beat()
            except StaleWrite:
                found = await self._store.replicas.get(self.replica_id)
                if found is None or found.state == ReplicaState.DEAD:
                    return
                self._own = replace(self._own, beat=found.beat)
                await self._beat()

    async def _renew(self, flush: Flush) -> None:
        if self._successor is not None:
            await self._succeed(self._successor)
        await flush()
        try:
            await self._beat()
        except StaleWrite:
            await self._read_back()

    async def _beat(self) -> None:
        sent = clock.boottime()
        after = await self._store.replicas.beat(
            self.replica_id, self._own.beat, state=self._own.state, load=self._load()
        )
        self._acknowledged(after, sent)

    async def _read_back(self) -> None:
        """Find out why a beat was refused: an answer was lost, or this replica was declared dead."""
        found = await self._store.replicas.get(self.replica_id)
        if found is None or found.state == ReplicaState.DEAD:
            successor = replace(self._own, replica_id=uuid4().hex, beat=0, beat_at=None)
            await self._succeed(successor)
            return
        self._own = replace(self._own, beat=found.beat)
        await self._beat()

    async def _succeed(self, successor: ReplicaRecord) -> None:
        # Kept until it is acknowledged: while the outcome is unknown the same id is tried again.
        self._successor = successor
        former = self.replica_id
        await self._write_document(successor)
        self._successor = None
        self._log.warning("Replica %s was declared dead; it goes on as %s", former, self.replica_id)
        for callback in self._callbacks:
            callback()

    async def _write_document(self, record: ReplicaRecord) -> None:
        sent = clock.boottime()
        self._acknowledged(await self._store.replicas.register(record), sent)

    def _acknowledged(self, after: ReplicaRecord, sent: float) -> None:
        received = clock.boottime()
        if after.beat_at is not None:
            self._store.clock.observe(after.beat_at, sent=sent, received=received)
        self._own = replace(self._own, replica_id=after.replica_id, beat=after.beat, beat_at=after.beat_at)

    async def _look(self) -> None:
        began = self._monotonic()
        records = await self._store.replicas.list_all()
        self._observation.observe(records, began=began, own_id=self.replica_id)
