"""What happened to kernels and replicas: told once, kept for a time, newest first.

Guaranteed: an event that is told twice (its answer was lost, or two saw the same) is there once. Not guaranteed: that
everything is told. A replica that is killed right after a deed has not told it; the records alone are the truth.
"""

from __future__ import annotations

from collections.abc import Sequence

from persistence.documents import Document, EventRecord
from persistence.driver import Database

__all__ = ["COLLECTION", "EventStore"]

COLLECTION = "events"

MOST = 1000


class EventStore:
    """All events.

    Every method raises `StoreUnavailable` when the database gives no answer in time, and `PersistenceError` where a
    document can't be read.
    """

    def __init__(self, database: Database) -> None:
        self._events = database.collection(COLLECTION)

    async def tell(self, events: Sequence[EventRecord]) -> None:
        """Write events, in one round trip; what is told already stays as it is."""
        await self._events.insert_new([event.to_document() for event in events])

    async def newest(self, kernel_id: str | None = None, *, limit: int = 100) -> list[EventRecord]:
        """List events of all kernels and replicas, or of one kernel, newest first, at most so many (and 1,000)."""
        where: Document = {} if kernel_id is None else {"kernel_id": kernel_id}
        found = await self._events.find(where, sort=[("at", -1)], limit=max(1, min(limit, MOST)))
        return [EventRecord.from_document(document) for document in found]
