"""All indexes, by their names: `DuplicateKey.index` is one of them.

Making them is idempotent, and safe while ten replicas start at once. An index that exists with another time to live is
changed in place; one that exists with other keys is an error, for dropping it would drop what it promises.
"""

from __future__ import annotations

from persistence import events, kernels, sessions
from persistence.driver import Database, Index
from persistence.phases import Phase


async def ensure_indexes(database: Database, *, history_seconds: int) -> None:
    """Make what is missing, and set how long ended kernels are kept.

    Args:
        database: Where.
        history_seconds: An ended kernel's record is deleted some time after so many seconds, and its
            `Idempotency-Key` with it; an event too. Of replicas that are told differently, the last one to start has
            its way.

    Raises:
        StoreUnavailable: No answer; some may have been made.
        PersistenceError: An index of this name exists with other keys.
    """
    await database.collection(kernels.COLLECTION).ensure_indexes(_kernels(history_seconds))
    await database.collection(sessions.COLLECTION).ensure_indexes(_sessions())
    await database.collection(events.COLLECTION).ensure_indexes(_events(history_seconds))


def _kernels(history_seconds: int) -> list[Index]:
    return [
        # Limits, enforced by the database: a slot is a string while the kernel lives, and unset by its end.
        _unique_string("slot", ("slot",)),
        _unique_string("user_slot", ("user_slot",)),
        # An ended kernel keeps its key: it names one request for ever, which is until its record is deleted.
        _unique_string("idempotency", ("username", "request.key")),
        Index(name="history", keys=("ended_at",), expire_after_seconds=history_seconds),
        # Lists of what is live, and the culler's of what is idle.
        Index(name="idle", keys=("phase", "last_activity", "_id")),
        Index(name="lived", keys=("created_at",), partial={"phase": Phase.RUNNING.value}),
        # Also for the janitor's search of what runs and has no owner among the living: ended ones have none at all.
        Index(name="owner_phase", keys=("owner.replica", "phase")),
        Index(name="host", keys=("host.id",)),
        Index(name="machine", keys=("host.machine", "host.name")),
    ]


def _sessions() -> list[Index]:
    return [
        Index(name="user_path_type", keys=("username", "path", "type"), unique=True),
        Index(name="kernel", keys=("kernel_id",)),
    ]


def _events(history_seconds: int) -> list[Index]:
    return [
        Index(name="history", keys=("at",), expire_after_seconds=history_seconds),
        Index(name="kernel_at", keys=("kernel_id", "at")),
    ]


def _unique_string(name: str, keys: tuple[str, ...]) -> Index:
    """Give an index that is unique among the documents whose last key is there at all."""
    return Index(name=name, keys=keys, unique=True, partial={keys[-1]: {"$type": "string"}})
