"""The replicas' own documents: who is registered, and his beat.

Guaranteed: of two writers of one beat only one is acknowledged, and a replica that was declared dead can't beat again.
Not said here: who lives. That is seen by watching beats change (`culling.membership`), never read from a stored time.
"""

from __future__ import annotations

from datetime import datetime

from persistence.coalesce import SharedQuery
from persistence.documents import Document, ReplicaRecord, ReplicaState
from persistence.driver import Database
from persistence.errors import StaleWrite
from persistence.reads import SureReads

__all__ = ["COLLECTION", "ReplicaStore"]

COLLECTION = "replicas"


class ReplicaStore:
    """All replicas, also those that have gone.

    Every method raises `StoreUnavailable` when the database gives no answer in time, and `PersistenceError` where a
    document can't be read.
    """

    def __init__(self, database: Database) -> None:
        self._replicas = database.collection(COLLECTION)
        self._sure = SureReads(self._replicas)
        self._all = SharedQuery(self._read_all)

    async def register(self, record: ReplicaRecord) -> ReplicaRecord:
        """Write a new replica's document; give it as it is there, with the database's time in `beat_at`.

        Calling it again, after an answer was lost, changes nothing but `beat_at`. So look at the state: others may have
        declared the replica dead since.
        """
        document = record.to_document()
        for field in ("_id", "beat_at"):
            document.pop(field, None)
        after = await self._replicas.find_one_and_update(
            {"_id": record.replica_id},
            {"$setOnInsert": document, "$currentDate": {"beat_at": True}},
            upsert=True,
        )
        assert after is not None, "an upsert gives the document"
        return ReplicaRecord.from_document(after)

    async def beat(self, replica_id: str, beat: int, *, state: str, load: int) -> ReplicaRecord:
        """Make one beat, by compare-and-set on the last one.

        Args:
            replica_id: Whose beat.
            beat: Number of the last one.
            state: What the replica says of itself with it. `dead` is its last word: it never beats again.
            load: Kernels it watches or launches.

        Returns:
            The document with its new `beat`, and in `beat_at` the database's time of this very write.

        Raises:
            StaleWrite: The last beat is another, the replica is dead or has no document. Read it back (`get`).
        """
        after = await self._replicas.find_one_and_update(
            {"_id": replica_id, "beat": beat, "state": _not_dead()},
            {"$set": {"beat": beat + 1, "state": str(state), "load": load}, "$currentDate": {"beat_at": True}},
        )
        if after is None:
            raise StaleWrite("beat")
        return ReplicaRecord.from_document(after)

    async def mark(self, replica_id: str, state: str) -> None:
        """Say what state a replica is in without a beat, for a beat vouches for a flush. The dead stay dead.

        Raises:
            StaleWrite: It is dead, or has no document.
        """
        after = await self._replicas.find_one_and_update(
            {"_id": replica_id, "state": _not_dead()}, {"$set": {"state": str(state)}}
        )
        if after is None:
            raise StaleWrite("mark replica")

    async def declare_dead(self, replica_id: str, beat: int) -> None:
        """Declare a replica dead whose beat was seen unchanged, before anything of it moves.

        Args:
            replica_id: Whom.
            beat: Number of the beat that was seen for too long.

        Raises:
            StaleWrite: It has beaten since, is dead already or has no document.
        """
        after = await self._replicas.find_one_and_update(
            {"_id": replica_id, "beat": beat, "state": _not_dead()}, {"$set": {"state": str(ReplicaState.DEAD)}}
        )
        if after is None:
            raise StaleWrite("declare dead")

    async def clear(self, replica_id: str) -> None:
        """Note that nothing counts for a dead replica any more."""
        await self._replicas.find_one_and_update(
            {"_id": replica_id, "state": str(ReplicaState.DEAD)}, {"$set": {"cleared": True}}
        )

    async def forget(self, *, before: datetime) -> int:
        """Delete the documents of those that are dead, cleared, and last beat before a time; give their number."""
        return await self._replicas.delete_many(
            {"state": str(ReplicaState.DEAD), "cleared": True, "beat_at": {"$lt": before}}
        )

    async def get(self, replica_id: str) -> ReplicaRecord | None:
        """Read a replica's document as the majority has it now; None means that there is none."""
        document = await self._sure.get(replica_id)
        return None if document is None else ReplicaRecord.from_document(document)

    async def list_all(self) -> list[ReplicaRecord]:
        """List all of them as the majority has them now: who is missing here has no document.

        Callers that wait share the next query, never one that began before they came.
        """
        return await self._all()

    async def _read_all(self) -> list[ReplicaRecord]:
        return [ReplicaRecord.from_document(found) for found in await self._replicas.find({}, linearizable=True)]


def _not_dead() -> Document:
    return {"$ne": str(ReplicaState.DEAD)}
