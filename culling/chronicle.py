"""Turns this replica's steps on kernels into events: who started, adopted, restarted and ended what, and why.

What is to be told waits in memory until the database has it, however long that is away; a replica that is killed takes
along what it has not told. Culls and deaths of replicas are handed in by whoever decides them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice
from logging import Logger, LoggerAdapter
from typing import Any

from persistence import clock
from persistence.documents import EventKind, EventRecord, KernelRecord, Step
from persistence.errors import PersistenceError, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager

MOST_WAITING = 10_000
TOLD_AT_ONCE = 500
RETRY_SECONDS = 1.0
GATHER_SECONDS = 1.0  # what happens in that time is told in one write

_KINDS = {
    "mark running": EventKind.STARTED,
    "adopt": EventKind.ADOPTED,
    "claim restart": EventKind.RESTARTED,
    "restart dead": EventKind.RESTARTED,
    "take over start": EventKind.RESTARTED,
    "end act": EventKind.ENDED,
    "end dead": EventKind.ENDED,
    "end with host": EventKind.ENDED,
}


class Chronicle:
    """What this replica has done and not told yet.

    Args:
        store: Open.
        replica_id: Gives this replica's id.
        log: Told of what can't be told.
    """

    def __init__(
        self, store: KernelSessionManager, *, replica_id: Callable[[], str], log: Logger | LoggerAdapter[Any]
    ) -> None:
        self._store = store
        self._replica_id = replica_id
        self._log = log
        self._waiting: deque[EventRecord] = deque(maxlen=MOST_WAITING)
        self._some = asyncio.Event()

    def made(self, step: Step, after: KernelRecord) -> None:
        """A step was made; `after` is the record as it has left it."""
        kind = _KINDS.get(step.name)
        if kind is not None:
            self.add(self._event(kind, after))

    def add(self, event: EventRecord) -> None:
        """Tell of this, too."""
        self._waiting.append(event)
        self._some.set()

    async def tell_for_ever(self) -> None:
        """Write what is to be told, soon, or else as soon as it can be."""
        while True:
            await self._some.wait()
            await clock.sleep(GATHER_SECONDS)
            try:
                await self.tell()
            except StoreUnavailable:
                await clock.sleep(RETRY_SECONDS)

    async def tell(self) -> None:
        """Write what is to be told now.

        Raises:
            StoreUnavailable: The rest waits.
        """
        while self._waiting:
            events = list(islice(self._waiting, TOLD_AT_ONCE))
            try:
                await self._store.events.tell(events)
            except StoreUnavailable:
                raise
            except PersistenceError as error:
                self._log.warning("Of the events from %s on some can't be told: %s", events[0].event_id, error)
            for event in events:
                if self._waiting and self._waiting[0] is event:  # else it had to make room meanwhile
                    self._waiting.popleft()
        self._some.clear()

    def _event(self, kind: EventKind, record: KernelRecord) -> EventRecord:
        # An adoption is one of many of its generation; all else happens to a generation once.
        number = f" {record.activity_seq}" if kind is EventKind.ADOPTED else ""
        details: dict[str, Any] = {"generation": record.generation}
        if kind is EventKind.ADOPTED:
            details["owner"] = record.owner
        if record.restarts:
            details["restarts"] = record.restarts
        return EventRecord(
            event_id=f"{record.kernel_id} {record.generation} {kind.value}{number}",
            kind=kind.value,
            at=self._store.clock.latest_now(),
            replica=self._replica_id(),
            kernel_id=record.kernel_id,
            username=record.username,
            reason=record.reason,
            details=details,
        )
