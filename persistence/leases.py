"""Leases: of all who want one, one has it, and each time that it changes hands its term rises.

Guaranteed: every write is a compare-and-set on (term, beat), so of two that were meant for the same state one is made.
Not said here: when a lease has run out. That is seen by watching it not change (`culling.election`).
"""

from __future__ import annotations

from collections.abc import Sequence

from persistence.documents import ClockStep, Document, LeaseRecord
from persistence.driver import Database
from persistence.errors import DuplicateKey, StaleWrite
from persistence.reads import SureReads

__all__ = ["COLLECTION", "LeaseStore"]

COLLECTION = "leases"


class LeaseStore:
    """All leases of the deployment.

    Every method raises `StoreUnavailable` when the database gives no answer in time, and `PersistenceError` where a
    document can't be read.
    """

    def __init__(self, database: Database) -> None:
        self._leases = database.collection(COLLECTION)
        self._sure = SureReads(self._leases)

    async def get(self, name: str) -> LeaseRecord | None:
        """Read a lease from the primary, to watch it change; None: nobody ever had it."""
        return _record(await self._leases.find_one({"_id": name}))

    async def get_surely(self, name: str) -> LeaseRecord | None:
        """Read a lease as the majority has it now: what became of a write whose answer was lost."""
        return _record(await self._sure.get(name))

    async def take_over(self, seen: LeaseRecord, holder: str) -> LeaseRecord:
        """Take a lease, as it was seen, from whoever had it.

        Args:
            seen: As it was last read; one with term 0 where nobody ever had it.
            holder: The replica that takes it.

        Raises:
            StaleWrite: It is no longer as it was seen. After a lost answer that may be this very write's doing.
        """
        taken = await self._first(seen, holder) if seen.term == 0 else await self._next(seen, holder)
        return taken

    async def renew(self, held: LeaseRecord) -> LeaseRecord:
        """Show that its holder lives.

        Raises:
            StaleWrite: It is no longer as it was held. After a lost answer that may be this very write's doing.
        """
        return await self._change(held, {"$inc": {"beat": 1}}, "renew lease")

    async def release(self, held: LeaseRecord) -> None:
        """Give it back, whatever its beat is by now: the next may have it at once.

        Raises:
            StaleWrite: Another has it.
        """
        where = {"_id": held.name, "term": held.term, "holder": held.holder}
        if await self._leases.find_one_and_update(where, {"$set": {"holder": None}, "$inc": {"beat": 1}}) is None:
            raise StaleWrite("release lease")

    async def note_clock_steps(self, held: LeaseRecord, steps: Sequence[ClockStep]) -> None:
        """Write down how the database's clock has jumped, for the holders to come.

        Raises:
            StaleWrite: Another has it.
        """
        where = {"_id": held.name, "term": held.term, "holder": held.holder}
        values = {"clock_steps": [step.to_document() for step in steps]}
        if await self._leases.find_one_and_update(where, {"$set": values}) is None:
            raise StaleWrite("note clock steps")

    async def _first(self, seen: LeaseRecord, holder: str) -> LeaseRecord:
        taken = LeaseRecord(name=seen.name, holder=holder, term=1, beat=1)
        try:
            await self._leases.insert(taken.to_document())
        except DuplicateKey:
            raise StaleWrite("take over lease") from None
        return taken

    async def _next(self, seen: LeaseRecord, holder: str) -> LeaseRecord:
        return await self._change(seen, {"$set": {"holder": holder}, "$inc": {"term": 1, "beat": 1}}, "take over lease")

    async def _change(self, seen: LeaseRecord, update: Document, what: str) -> LeaseRecord:
        where = {"_id": seen.name, "term": seen.term, "beat": seen.beat}
        after = await self._leases.find_one_and_update(where, update)
        if after is None:
            raise StaleWrite(what)
        return LeaseRecord.from_document(after)


def _record(document: Document | None) -> LeaseRecord | None:
    return None if document is None else LeaseRecord.from_document(document)
