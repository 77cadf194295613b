"""Who leads: one replica at a time, by a lease, and for as long as it can show that it lives.

The rule is client-go's. A lease that was seen unchanged for one whole lease duration is taken over, one that was given
back at once. The right to lead ends `renew_deadline` after the *sending* of the last acknowledged renewal, which is
before anybody else may take over.

Guaranteed: at most one leader a term; when a term has begun, nothing that was read of a kernel before can be claimed;
guarded work is cancelled when the right has ended, and the lease is given back only after that work has ended.
Not guaranteed: that a leader which was paused knows at once that it leads no more. So whoever acts on the right asks
`Term.over` right before, and what it writes is refused by what the next takeover has changed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from logging import Logger, LoggerAdapter
from typing import Any

from culling.timings import MembershipTimings
from persistence import clock
from persistence.documents import LeaseRecord
from persistence.errors import PersistenceError, StaleWrite, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager

LEASE = "leader"
RETRIES_AN_INTERVAL = 5


class LeadershipLost(Exception):
    """The right to lead has ended while work was done under it; the work was cancelled."""


class Term:
    """A time of leading, from its takeover to its end.

    Attributes:
        lease: As its last acknowledged write left it.
    """

    def __init__(
        self, lease: LeaseRecord, *, sent: float, deadline_seconds: float, boottime: Callable[[], float]
    ) -> None:
        self.lease = lease
        self._seconds = deadline_seconds
        self._boottime = boottime
        self._deadline = clock.Deadline(deadline_seconds, sent, now=boottime)
        self._over = False

    @property
    def number(self) -> int:
        """Which term it is."""
        return self.lease.term

    @property
    def over(self) -> bool:
        """Whether the right has ended. It never comes back in this term."""
        self._over = self._over or self._deadline.passed
        return self._over

    @property
    def remaining_seconds(self) -> float:
        """How long it lasts if it is not renewed."""
        return 0.0 if self.over else self._deadline.remaining_seconds

    def renewed(self, lease: LeaseRecord, *, sent: float) -> None:
        """A renewal that was sent then is acknowledged."""
        self.lease = lease
        if not self.over:
            self._deadline = clock.Deadline(self._seconds, sent, now=self._boottime)

    def end(self) -> None:
        """It is over: another leads, or it is given back."""
        self._over = True


class Election:
    """Stands for the lead, and holds it.

    Args:
        store: Open.
        holder: Gives this replica's id.
        timings: Of leases.
        log: Told who leads.
        willing: Whether this replica may lead now.
        monotonic: The clock of waiting, for tests.
        boottime: The clock of deadlines, for tests.
    """

    def __init__(
        self,
        store: KernelSessionManager,
        *,
        holder: Callable[[], str],
        timings: MembershipTimings,
        log: Logger | LoggerAdapter[Any],
        willing: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = clock.monotonic,
        boottime: Callable[[], float] = clock.boottime,
    ) -> None:
        self._store = store
        self._holder = holder
        self._timings = timings
        self._log = log
        self._willing = willing
        self._monotonic = monotonic
        self._boottime = boottime
        self._attempted_at: float | None = None
        self._seen: tuple[int, int] | None = None
        self._seen_since = 0.0

    @property
    def seconds_since_attempt(self) -> float | None:
        """Since a renewal was last *attempted*, acknowledged or not; None before the first."""
        return None if self._attempted_at is None else self._monotonic() - self._attempted_at

    @asynccontextmanager
    async def leadership(self) -> AsyncIterator[Term]:
        """Wait until this replica leads, and lead for as long as the block lasts.

        Raises:
            LeadershipLost: The right has ended before the block; what it was doing was cancelled.
        """
        term = await self._acquire()
        self._log.info("This replica leads, in term %s", term.number)
        guard = _Guard()
        keeper = asyncio.create_task(self._keep(term, guard), name="keep the lead")
        try:
            async with guard:
                yield term
        finally:
            term.end()
            keeper.cancel()
            await asyncio.wait({keeper})
            self._log.info("This replica leads no more: term %s has ended", term.number)
            await self._release(term)

    async def _acquire(self) -> Term:
        while True:
            try:
                term = await self._stand() if self._willing() else None
            except PersistenceError as error:
                self._log.debug("The lease can't be watched: %s", error)
                term = None
            if term is not None:
                return term
            await clock.sleep(self._interval_seconds())

    async def _stand(self) -> Term | None:
        began = self._monotonic()
        lease = await self._store.leases.get(LEASE) or LeaseRecord(name=LEASE)
        if not self._free(lease, began):
            return None
        term = await self._take_over(lease)
        if term is None:
            return None
        try:
            # What a former leader has read and not yet claimed is void from here on.
            await self._store.kernels.outdate_reads()
        except PersistenceError:
            term.end()
        if term.over:
            await self._release(term)
            return None
        return term

    def _free(self, lease: LeaseRecord, began: float) -> bool:
        state = (lease.term, lease.beat)
        if state != self._seen:
            self._seen, self._seen_since = state, self._monotonic()
        unchanged_seconds = began - self._seen_since  # up to the beginning of the read that showed it
        return lease.holder is None or unchanged_seconds >= self._timings.lease_duration_seconds

    async def _take_over(self, lease: LeaseRecord) -> Term | None:
        sent, holder = self._boottime(), self._holder()
        try:
            taken = await self._store.leases.take_over(lease, holder)
        except (StaleWrite, StoreUnavailable):
            found = await self._store.leases.get_surely(LEASE)
            if found is None or (found.term, found.holder) != (lease.term + 1, holder):
                return None
            taken = found  # made all the same; its answer was lost
        return Term(taken, sent=sent, deadline_seconds=self._timings.renew_deadline_seconds, boottime=self._boottime)

    async def _keep(self, term: Term, guard: _Guard) -> None:
        """Renew the lease, and fire the guard when the right has ended, however long a renewal takes."""
        renewing = asyncio.create_task(self._renew_for_ever(term), name="renew the lead")
        try:
            while not term.over and not renewing.done():
                await asyncio.wait({renewing}, timeout=term.remaining_seconds)
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})
        term.end()
        guard.fire()

    async def _renew_for_ever(self, term: Term) -> None:
        unknown: float | None = None  # when the first renewal was sent of which nobody knows what became
        pause = self._interval_seconds()
        while True:
            await clock.sleep(pause)
            sent = self._boottime()
            if term.over:
                return
            self._attempted_at = self._monotonic()
            try:
                if not await self._renew(term, sent, unknown):
                    return
                # From its sending on: on a slow database the next would else come too late.
                unknown, pause = None, self._interval_seconds() - (self._boottime() - sent)
            except PersistenceError as error:
                self._log.debug("The lease could not be renewed: %s", error)
                unknown = sent if unknown is None else unknown
                pause = self._timings.renew_interval_seconds / RETRIES_AN_INTERVAL

    async def _renew(self, term: Term, sent: float, unknown: float | None) -> bool:
        """Renew once; False where another has the lease."""
        try:
            term.renewed(await self._store.leases.renew(term.lease), sent=sent)
        except StaleWrite:
            found = await self._store.leases.get_surely(LEASE)
            if found is None or (found.term, found.holder) != (term.number, term.lease.holder):
                return False
            # A renewal of one's own was made, whose answer was lost; the right counts from the earliest it can be.
            term.renewed(found, sent=sent if unknown is None else unknown)
        return True

    async def _release(self, term: Term) -> None:
        try:
            await self._store.leases.release(term.lease)
        except PersistenceError as error:
            self._log.debug("The lease of term %s was not given back: %s", term.number, error)

    def _interval_seconds(self) -> float:
        # Not for secrets: it only keeps replicas out of step.
        return self._timings.renew_interval_seconds * (1 + self._timings.jitter * random.random())


class _Guard:
    """Cancels the block that it is entered for, as `asyncio.timeout` does, when it is fired."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._before = 0
        self._fired = False

    def fire(self) -> None:
        """End the block, if it still goes on."""
        if self._task is not None and not self._fired:
            self._fired = True
            self._task.cancel()

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._before = 0 if self._task is None else self._task.cancelling()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        task, self._task = self._task, None
        if not self._fired or task is None:
            return
        if kind is None:
            await _pass_cancellation()
        alone = task.uncancel() <= self._before
        if alone and kind in (None, asyncio.CancelledError):
            raise LeadershipLost from error
        if not alone and kind is None:
            raise asyncio.CancelledError  # somebody else's came with it, and was taken above


async def _pass_cancellation() -> None:
    """Take the cancellation that came when the block had ended by itself."""
    try:
        await clock.sleep(0)
    except asyncio.CancelledError:
        return
