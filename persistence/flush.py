"""What a replica saw of its kernels' activity, as one batch of updates, and how to tell which of them arrived. Pure.

Two kinds of value go into a kernel's record. Activity only grows (`$max`), so a late or repeated write of it is
harmless. What is absolute (connection counts, busy or idle, `kernel_info`) carries a number that rises with each change
and goes by a second update, filtered on a lower number: a late "0" over a newer "1" would cull a connected kernel.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from persistence.documents import KERNEL_INFO_MAX_CHARS, Document, instant_rounded_up, packed
from persistence.phases import LIVE_FILTER

Update = tuple[Document, Document]
"""A filter that holds the `_id`, and what to do to the document it matches."""


@dataclass(frozen=True, kw_only=True)
class ActivityEntry:
    """What one replica has to say of one kernel. At most one entry a kernel in a flush."""

    kernel_id: str
    generation: int
    """The one it was seen in: what is said of an older generation is not written."""
    last_activity: datetime
    """On the database's clock, the latest that it can have been."""
    execution_state: str | None = None
    """None: has not changed. Written only where this replica owns the kernel."""
    execution_n: int = 0
    """Number of `execution_state` and `kernel_info`."""
    kernel_info: Mapping[str, Any] | None = field(default=None, repr=False)
    """None: has not changed. Written as `execution_state` is."""
    connection_count: int | None = None
    """Open WebSockets on this replica; None: has not changed."""
    connection_n: int = 0
    owner: bool = False
    """This replica believes that it owns the kernel."""

    @property
    def speaks_as_owner(self) -> bool:
        """Whether it has something to write that only the owner may."""
        return self.owner and (self.execution_state is not None or self.kernel_info is not None)


def updates(replica_id: str, flush_id: str, entries: Sequence[ActivityEntry]) -> list[Update]:
    """Give all updates of one flush, each marked with its id."""
    return [update for entry in entries for update in _updates_of(replica_id, flush_id, entry)]


def acknowledged_fields(replica_id: str) -> tuple[str, ...]:
    """Name the fields that `acknowledged` needs of the documents which bear the flush's id."""
    return ("_id", "owner", "execution_n", f"connections.{replica_id}")


def acknowledged(replica_id: str, entries: Sequence[ActivityEntry], marked: Collection[Mapping[str, Any]]) -> set[str]:
    """Name the kernels of whose entry nothing is missing.

    Args:
        replica_id: Whose flush it was.
        entries: What was sent.
        marked: The documents that bear the flush's id, at least their `acknowledged_fields`.
    """
    by_id = {document["_id"]: document for document in marked}
    return {
        entry.kernel_id
        for entry in entries
        if entry.kernel_id in by_id and _arrived(replica_id, entry, by_id[entry.kernel_id])
    }


def _updates_of(replica_id: str, flush_id: str, entry: ActivityEntry) -> list[Update]:
    # No step changes an unknown phase, but activity is none: a newer replica's kernel may be culled for lack of it.
    live = {"_id": entry.kernel_id, "generation": entry.generation, "phase": dict(LIVE_FILTER)}
    seen: Document = {
        "$max": {"last_activity": instant_rounded_up(entry.last_activity)},
        "$inc": {"activity_seq": 1},
        "$set": {"flush": flush_id},
    }
    pair = [(live, seen)]
    if entry.connection_count is not None:
        pair.append(_count_update(replica_id, flush_id, entry, live))
    if entry.speaks_as_owner:
        pair.append(_owner_update(replica_id, flush_id, entry, live))
    return pair


def _count_update(replica_id: str, flush_id: str, entry: ActivityEntry, live: Document) -> Update:
    mine = f"connections.{replica_id}"
    count = {"count": entry.connection_count, "n": entry.connection_n}
    return {**live, f"{mine}.n": _lower_than(entry.connection_n)}, {"$set": {mine: count, "flush": flush_id}}


def _owner_update(replica_id: str, flush_id: str, entry: ActivityEntry, live: Document) -> Update:
    values: Document = {"execution_n": entry.execution_n, "flush": flush_id}
    if entry.execution_state is not None:
        values["execution_state"] = entry.execution_state
    info = None if entry.kernel_info is None else packed(entry.kernel_info)
    if info is not None and len(info) <= KERNEL_INFO_MAX_CHARS:
        values["kernel_info"] = info
    where = {**live, "owner.replica": replica_id, "execution_n": _lower_than(entry.execution_n)}
    return where, {"$set": values}


def _lower_than(n: int) -> Document:
    """Match a lower number and none at all."""
    return {"$not": {"$gte": n}}


def _arrived(replica_id: str, entry: ActivityEntry, stored: Mapping[str, Any]) -> bool:
    """Say whether the absolute values are there too: the mark may be the first update's, and the second's lost."""
    if entry.connection_count is not None:
        held = stored.get("connections", {}).get(replica_id, {})
        if held.get("n", -1) < entry.connection_n:
            return False
    if entry.speaks_as_owner and (stored.get("owner") or {}).get("replica") == replica_id:
        return bool(stored.get("execution_n", -1) >= entry.execution_n)
    # Another owns the kernel by now: what this replica thought as its owner has nobody to tell it to.
    return True
