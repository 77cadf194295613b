"""Acts: the claimed work on a kernel's record. Whoever wins the claim does the work; every later step filters on it.

What is guaranteed: a step is taken for won only if the record shows what it wrote, and for lost only if a linearizable
read shows that the act is another's; between the two ("unknown") it is read again, or sent again, until the act's own
deadline. What is not: that a lost act has done nothing outside of the database. Its actor ends what it started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from logging import Logger, LoggerAdapter
from typing import Any
from uuid import uuid4

from culling.membership import Membership
from persistence import clock
from persistence.documents import Act, KernelRecord, Step
from persistence.errors import DuplicateKey, StaleWrite, StoreAway, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.phases import Phase

READ_AGAIN_SECONDS = 0.2
LATE_SECONDS = 5.0
"""So long after the database is back a write may still be made that was sent before; it is soon if at all."""


class ActLost(Exception):
    """The act is not (or no longer) this replica's.

    Attributes:
        record: The record as read back, None where it is gone.
    """

    def __init__(self, step: str, record: KernelRecord | None) -> None:
        super().__init__(step)
        self.record = record


class Acts:
    """Claims and steps of acts for one replica.

    Args:
        store: Where the records are.
        membership: Under whose id acts are claimed.
        log: Gets a line for each claim that was lost.
    """

    def __init__(self, store: KernelSessionManager, membership: Membership, log: Logger | LoggerAdapter[Any]) -> None:
        self._store = store
        self._membership = membership
        self._log = log

    def new_act(self) -> Act:
        """Return a fresh act of this replica, since now."""
        return Act(id=uuid4().hex, replica=self._membership.replica_id, since=self._store.clock.latest_now())

    def age_seconds(self, act: Act) -> float:
        """How long the act has been at work, at least."""
        return (self._store.clock.earliest_now() - act.since).total_seconds()

    async def insert(
        self, record: KernelRecord, *, give_up: clock.Deadline, doubt: asyncio.Event | None = None
    ) -> None:
        """Insert the record that an act of this replica begins with, whatever becomes of the write's answer.

        Args:
            record: With its act.
            give_up: How long it is asked again what became of the write.
            doubt: Set where the database goes away before that is known: whoever waits is told so. From then on the
                record is not sent again, for he may have done something else since; it counts if it was made.

        Raises:
            DuplicateKey: Another kernel has what the index names; nothing was written.
            StoreUnavailable: Nothing was written, as the database is known away; it is unknown until `give_up`; or it
                was in doubt, and is not made.
        """
        sent = False

        def won(found: KernelRecord | None) -> bool:
            return holds(found, record.act)

        while True:
            try:
                return await self._store.kernels.insert(record)
            except (DuplicateKey, StoreUnavailable) as error:
                if isinstance(error, StoreAway) and not sent:
                    raise
                sent = True
                # What is found under the id may be this very insert: then the other error was about its own retry.
                if won(await self._become(record.kernel_id, won, give_up, doubt)):
                    return
                if isinstance(error, DuplicateKey):
                    raise

    async def claim(
        self, step: Step, act: Act, *, give_up: clock.Deadline, doubt: asyncio.Event | None = None
    ) -> KernelRecord:
        """Try to win the work; `doubt` as for `insert`.

        Returns:
            The record with this act in it, whatever became of the write's answer.

        Raises:
            ActLost: Somebody else was faster, or the kernel is no longer what the claim was for.
            StoreUnavailable: It is unknown; nothing may be done on the strength of it.
        """
        return await self.apply(step, lambda record: holds(record, act), give_up=give_up, doubt=doubt)

    async def apply(
        self,
        step: Step,
        won: Callable[[KernelRecord], bool],
        *,
        give_up: clock.Deadline,
        doubt: asyncio.Event | None = None,
    ) -> KernelRecord:
        """Apply one step of an act; `won` says whether a record shows what this step wrote.

        Raises:
            ActLost: The step matched nothing, and the record does not show it.
            StoreUnavailable: Unknown until `give_up`. With a `doubt`, as for `insert`.
        """
        sent = False

        def shown(found: KernelRecord | None) -> bool:
            return found is not None and won(found)

        while True:
            try:
                return await self._store.kernels.apply(step)
            except (StaleWrite, StoreUnavailable) as error:
                if doubt is not None and isinstance(error, StoreAway) and not sent:
                    raise
                sent = True
                record = await self._become(step.kernel_id, shown, give_up, doubt)
                if record is not None and shown(record):
                    self._store.kernels.made(step, record)
                    return record
                if isinstance(error, StaleWrite):
                    self._log.debug("The step '%s' of kernel %s is stale", step.name, step.kernel_id)
                    raise ActLost(step.name, record) from None

    async def _become(
        self,
        kernel_id: str,
        won: Callable[[KernelRecord | None], bool],
        give_up: clock.Deadline,
        doubt: asyncio.Event | None,
    ) -> KernelRecord | None:
        """Return the record after a write whose outcome is unknown; in doubt, only one that shows the write."""
        record = await self._read_back(kernel_id, give_up, doubt)
        late = clock.Deadline(LATE_SECONDS)
        while doubt is not None and doubt.is_set() and not won(record):
            if late.passed:
                raise StoreUnavailable(f"kernel {kernel_id}: the write was not made, and is not sent again")
            await clock.sleep(READ_AGAIN_SECONDS)
            record = await self._read_back(kernel_id, give_up, doubt)
        return record

    async def _read_back(
        self, kernel_id: str, give_up: clock.Deadline, doubt: asyncio.Event | None
    ) -> KernelRecord | None:
        """Read the record surely: no answer is "unknown", asked again."""
        while True:
            try:
                return await self._store.kernels.get_surely(kernel_id)
            except StoreUnavailable:
                if give_up.passed:
                    raise
                if doubt is not None:
                    doubt.set()
                await clock.sleep(READ_AGAIN_SECONDS)


def holds(record: KernelRecord | None, act: Act | None) -> bool:
    """Is this act the one at work in the record?"""
    return record is not None and act is not None and record.act is not None and record.act.id == act.id


def still_running(record: KernelRecord) -> bool:
    """Does the record say that this generation serves requests?"""
    return record.phase == Phase.RUNNING.value
