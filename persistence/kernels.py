"""The records of kernels: read, inserted, and changed by compare-and-set only.

Not promised: that a write which failed was not made. Where the outcome is unknown its sender reads the record back.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Collection as AnyCollection
from datetime import datetime
from typing import Literal

from persistence import faults, flush
from persistence.coalesce import SharedQuery
from persistence.documents import (
    Document,
    HostDoc,
    KernelCandidate,
    KernelListing,
    KernelNotice,
    KernelRecord,
    Step,
    instant_rounded_up,
)
from persistence.driver import Database
from persistence.errors import PersistenceError, StaleWrite, StoreUnavailable
from persistence.flush import ActivityEntry
from persistence.phases import AT_WORK, LIVE_FILTER, Phase, Target
from persistence.reads import SureReads

__all__ = ["COLLECTION", "NOTICED", "ActivityEntry", "KernelStore", "SlotField", "own_changes"]

COLLECTION = "kernels"
NOTICED = ("phase", "target", "generation", "owner")
"""What of a record other replicas have to act on at once."""

_log = logging.getLogger(__name__)

_WANTED: Document = {"phase": Phase.RUNNING.value, "target": Target.RUNNING.value}

SlotField = Literal["slot", "user_slot"]


class KernelStore:
    """All kernels, live and ended, of all replicas.

    Every method raises `StoreUnavailable` when the database gives no answer in time, and `PersistenceError` where a
    record can't be read.
    """

    def __init__(self, database: Database) -> None:
        self._kernels = database.collection(COLLECTION)
        self._sure = SureReads(self._kernels)
        self._live = SharedQuery(self._read_live)
        self._listeners: list[Callable[[Step, KernelRecord], None]] = []

    async def insert(self, record: KernelRecord) -> None:
        """Write a new kernel's record, before anything is launched.

        Raises:
            DuplicateKey: `index` says what is taken: `_id_`, `idempotency`, `user_slot` or `slot`.
        """
        faults.reach("before:insert", record.kernel_id)
        await self._kernels.insert(record.to_document())
        faults.reach("after:insert", record.kernel_id)

    async def get(self, kernel_id: str) -> KernelRecord | None:
        """Read a record from the primary. None is no proof that it is gone: see `get_surely`."""
        return _record(await self._kernels.find_one({"_id": kernel_id}))

    async def get_surely(self, kernel_id: str) -> KernelRecord | None:
        """Read a record as the majority has it now: a 404, a read-back or a kill may rest on the answer."""
        return _record(await self._sure.get(kernel_id))

    async def find_by_key(self, username: str, key: str) -> KernelRecord | None:
        """Find the kernel, live or ended, that this user's request with this `Idempotency-Key` made."""
        return _record(await self._kernels.find_one({"username": username, "request.key": _string(key)}))

    async def list_live(self) -> list[KernelListing]:
        """List the kernels that have not ended: whole, as the majority has it now, or an error.

        Callers that wait share the next query, never one that began before they came.
        """
        return await self._live()

    async def used_slots(self, field: SlotField, username: str | None = None) -> list[str | None]:
        """Give the slot of each live kernel, of all users or of one; None: it began when there was no limit.

        A hint: only the insert decides.
        """
        where: Document = {"phase": dict(LIVE_FILTER)}
        if username is not None:
            where["username"] = username
        return [document.get(field) for document in await self._kernels.find(where, (field,))]

    async def notices(
        self, replica_id: str, host: HostDoc | None, held_ids: AnyCollection[str] = (), *, surely: bool = False
    ) -> list[KernelNotice]:
        """Ask, in one query, what concerns a replica.

        Args:
            replica_id: The live kernels that it owns are told.
            host: So are the live kernels that only this host can reach, or could before its machine was started anew;
                None: it has no such kernels.
            held_ids: So are these, ended or not. One that is missing from the answer has no record.
            surely: Ask the majority (linearizable). A sweep's kill must, after it listed the processes.

        Told too are the kernels that somebody is at work on and that no host has yet: if he dies, anybody may finish.
        """
        live = {"phase": dict(LIVE_FILTER)}
        concerns: list[Document] = [
            {"_id": {"$in": list(held_ids)}},
            {"owner.replica": replica_id, **live},
            {"phase": {"$in": list(AT_WORK)}, "host": None},
        ]
        if host is not None:
            concerns.append({"host.id": host.id, **live})
            concerns.append(
                {"host.machine": host.machine, "host.name": host.name, "host.boot": {"$ne": host.boot}, **live}
            )
        found = await self._kernels.find({"$or": concerns}, KernelNotice.FIELDS, linearizable=surely)
        return [KernelNotice.from_document(document) for document in found] if surely else _readable(found)

    async def apply(self, step: Step) -> KernelRecord:
        """Make one compare-and-set, and give the record as it is after it.

        Raises:
            StaleWrite: Nothing matched: another was first, or an earlier try of this very write was.
            DuplicateKey: It would take a slot that is taken.
        """
        faults.reach(f"before:{step.name}", step.kernel_id)
        after = await self._kernels.find_one_and_update({**step.where, "_id": step.kernel_id}, dict(step.update))
        if after is None:
            raise StaleWrite(step.name)
        faults.reach(f"after:{step.name}", step.kernel_id)
        record = KernelRecord.from_document(after)
        self.made(step, record)
        return record

    def on_step(self, listener: Callable[[Step, KernelRecord], None]) -> None:
        """Have `listener` called with each step that this store was seen to make, and the record after it."""
        self._listeners.append(listener)

    def made(self, step: Step, record: KernelRecord) -> None:
        """Tell of a step that was made; for those who had to read back whether it was."""
        for listener in self._listeners:
            listener(step, record)

    async def release(self, replica_id: str, *, now: datetime) -> None:
        """Leave what a replica holds to the others: it owns nothing any more, and no connection counts for it.

        Args:
            replica_id: The replica that goes.
            now: The latest that now can be. Whoever was connected needs time to come back, so it counts as activity.
        """
        where = {"owner.replica": replica_id, "phase": dict(LIVE_FILTER)}
        await self._kernels.update_many(where, {"$unset": {"owner": ""}, "$inc": {"activity_seq": 1}})
        await self.drop_connections(replica_id, now=now)

    async def drop_connections(self, replica_id: str, *, now: datetime) -> None:
        """Count no connection for a replica that goes or is dead.

        Args:
            replica_id: Whose.
            now: The latest that now can be. Whoever was connected needs time to come back, so it counts as activity.
        """
        count = f"connections.{replica_id}"
        gone = {
            "$unset": {count: ""},
            "$max": {"last_activity": instant_rounded_up(now)},
            "$inc": {"activity_seq": 1},
        }
        await self._kernels.update_many({f"{count}.count": {"$gt": 0}, "phase": dict(LIVE_FILTER)}, gone)

    async def unattended(self, attending: AnyCollection[str], *, limit: int) -> list[KernelNotice]:
        """Find what nobody may be at any more: running kernels without an owner among these, and all acts at work.

        Args:
            attending: The replicas that are not dead.
            limit: At most so many of each.
        """
        orphaned: Document = {"phase": Phase.RUNNING.value, "owner.replica": {"$nin": sorted(attending)}}
        at_work: Document = {"phase": {"$in": list(AT_WORK)}}
        found = await self._kernels.find(orphaned, KernelNotice.FIELDS, limit=limit, hint="owner_phase")
        found += await self._kernels.find(at_work, KernelNotice.FIELDS, limit=limit)
        return _readable(found)

    async def owned(self) -> dict[str, int]:
        """Count the running kernels of each owner."""
        running = await self._kernels.find({"phase": Phase.RUNNING.value}, ("owner.replica",))
        return Counter(document["owner"]["replica"] for document in running if document.get("owner"))

    async def idle_since(
        self, before: datetime, *, after: KernelCandidate | None = None, limit: int
    ) -> list[KernelCandidate]:
        """Find running kernels without activity since a time, the longest idle first.

        Args:
            before: That time.
            after: The last one of the page before; None: from the beginning.
            limit: At most so many.
        """
        where: Document = {**_WANTED, "last_activity": {"$lte": before}}
        if after is not None:
            where["last_activity"]["$gte"] = after.last_activity
            where["$or"] = [{"last_activity": {"$gt": after.last_activity}}, {"_id": {"$gt": after.kernel_id}}]
        return await self._candidates(where, sort=("last_activity", "_id"), limit=limit, hint="idle")

    async def older_than(self, before: datetime, *, limit: int) -> list[KernelCandidate]:
        """Find running kernels that were created before a time, the oldest first, at most so many."""
        where = {**_WANTED, "created_at": {"$lte": before}}
        return await self._candidates(where, sort=("created_at",), limit=limit, hint="lived")

    async def _candidates(
        self, where: Document, *, sort: Sequence[str], limit: int, hint: str
    ) -> list[KernelCandidate]:
        found = await self._kernels.find(
            where, KernelCandidate.FIELDS, sort=[(field, 1) for field in sort], limit=limit, hint=hint
        )
        return [KernelCandidate.from_document(document) for document in found]

    async def outdate_reads(self) -> None:
        """Raise `activity_seq` of all live kernels: no claim that rests on what was read of one before matches it."""
        await self._kernels.update_many({"phase": dict(LIVE_FILTER)}, {"$inc": {"activity_seq": 1}})

    async def flush(self, replica_id: str, flush_id: str, entries: Sequence[ActivityEntry]) -> set[str]:
        """Write what this replica saw, in one batch.

        Args:
            replica_id: Whose counts and whose ownership they are.
            flush_id: A fresh random id.
            entries: At most one a kernel, and only what changed.

        Returns:
            The ids of the kernels whose entry was written. Of the others (ended, another generation, the batch was cut
            short) nothing is acknowledged.

        Raises:
            StoreUnavailable: Nothing is acknowledged, though some of it may have been written.
        """
        batch = flush.updates(replica_id, flush_id, entries)
        if not batch:
            return set()
        try:
            matched = await self._kernels.update_many_by_id(batch)
        except StoreUnavailable:
            matched = None
        except PersistenceError as error:
            # One kernel's update that the server refuses must not keep the others' from being acknowledged.
            _log.warning("The database refused a part of flush %s of replica %s: %s", flush_id, replica_id, error)
            matched = None
        if matched == len(batch):
            return {entry.kernel_id for entry in entries}
        return await self._acknowledged(replica_id, flush_id, entries)

    async def _acknowledged(self, replica_id: str, flush_id: str, entries: Sequence[ActivityEntry]) -> set[str]:
        where = {"_id": {"$in": [entry.kernel_id for entry in entries]}, "flush": flush_id}
        fields = flush.acknowledged_fields(replica_id)
        marked = await self._kernels.find(where, fields, linearizable=True)
        return flush.acknowledged(replica_id, entries, marked)

    async def _read_live(self) -> list[KernelListing]:
        found = await self._kernels.find({"phase": dict(LIVE_FILTER)}, KernelListing.FIELDS, linearizable=True)
        return [KernelListing.from_document(document) for document in found]


def own_changes(replica_id: str) -> tuple[Document, ...]:
    """Give what a change sets that is no news to this replica: a claim or start of its own, a launch that has begun.

    None: that is not set. A launch that is taken over has another generation.
    """
    begun = {"phase": Phase.LAUNCHING.value, "generation": None}
    return {"act.replica": replica_id}, {"started_by": replica_id}, begun


def _string(value: str) -> Document:
    # The type is said so that the server sees that the partial index holds every match.
    return {"$eq": value, "$type": "string"}


def _record(document: Document | None) -> KernelRecord | None:
    return None if document is None else KernelRecord.from_document(document)


def _readable(found: Sequence[Document]) -> list[KernelNotice]:
    """Read what can be read: one document that somebody has spoilt must not keep a replica from all its kernels."""
    notices: list[KernelNotice] = []
    for document in found:
        try:
            notices.append(KernelNotice.from_document(document))
        except PersistenceError as error:
            _log.error("A record is left out: %s", error)
    return notices
