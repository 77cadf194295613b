"""The records of Jupyter sessions: which kernel a notebook uses.

A session counts only while its kernel's record is live; who lists sessions joins the two. Deleting one is tidying.
"""

from __future__ import annotations

from collections.abc import Mapping

from persistence.coalesce import SharedQuery
from persistence.documents import Document, SessionRecord
from persistence.driver import Database
from persistence.errors import StaleWrite
from persistence.reads import SureReads

__all__ = ["COLLECTION", "SessionStore"]

COLLECTION = "sessions"

_CHANGEABLE = frozenset({"path", "name", "type", "kernel_id"})


class SessionStore:
    """All sessions of all users.

    Every method raises `StoreUnavailable` when the database gives no answer in time, and `PersistenceError` where a
    record can't be read.
    """

    def __init__(self, database: Database) -> None:
        self._sessions = database.collection(COLLECTION)
        self._sure = SureReads(self._sessions)
        self._all = SharedQuery(self._read_all)

    async def insert(self, record: SessionRecord) -> None:
        """Write a new session.

        Raises:
            DuplicateKey: `index` is `user_path_type` where this user has a session of this path and type: `find` it.
        """
        await self._sessions.insert(record.to_document())

    async def get(self, session_id: str) -> SessionRecord | None:
        """Read a session from the primary. None is no proof that it is gone: see `get_surely`."""
        return _record(await self._sessions.find_one({"_id": session_id}))

    async def get_surely(self, session_id: str) -> SessionRecord | None:
        """Read a session as the majority has it now: a 404 may rest on the answer."""
        return _record(await self._sure.get(session_id))

    async def find(self, username: str, path: str, type: str) -> SessionRecord | None:
        """Find a user's session of a path and type, of which there is at most one."""
        return _record(await self._sessions.find_one({"username": username, "path": path, "type": type}))

    async def list_all(self) -> list[SessionRecord]:
        """List all sessions: whole, as the majority has it now, or an error.

        Callers that wait share the next query, never one that began before they came.
        """
        return await self._all()

    async def update(
        self, session_id: str, changes: Mapping[str, str], *, while_kernel: str | None = None
    ) -> SessionRecord:
        """Change a session, and give it as it is then.

        Args:
            session_id: Which one.
            changes: Any of path, name, type and kernel_id.
            while_kernel: Only while it uses this kernel; None: whichever it uses.

        Raises:
            StaleWrite: It is gone, or uses another kernel than `while_kernel`.
            DuplicateKey: `user_path_type`: another session of this user has that path and type.
            ValueError: There is nothing to change, or what can't be changed.
        """
        if not changes or not _CHANGEABLE.issuperset(changes):
            raise ValueError(f"of a session only {', '.join(sorted(_CHANGEABLE))} can be changed")
        where: Document = {"_id": session_id}
        if while_kernel is not None:
            where["kernel_id"] = while_kernel
        after = await self._sessions.find_one_and_update(where, {"$set": dict(changes)})
        if after is None:
            raise StaleWrite("update session")
        return SessionRecord.from_document(after)

    async def delete(self, session_id: str, *, while_kernel: str | None = None) -> bool:
        """Delete a session, with `while_kernel` only while it uses this kernel; False where there was none."""
        where: Document = {"_id": session_id}
        if while_kernel is not None:
            where["kernel_id"] = while_kernel
        return await self._sessions.delete_many(where) > 0

    async def any_of_kernel(self, kernel_id: str) -> bool:
        """Tell whether a kernel has a session."""
        return await self._sessions.find_one({"kernel_id": kernel_id}, ("_id",)) is not None

    async def delete_for_kernel(self, kernel_id: str) -> int:
        """Delete all sessions of a kernel, and tell how many there were. Calling it again is harmless."""
        return await self._sessions.delete_many({"kernel_id": kernel_id})

    async def _read_all(self) -> list[SessionRecord]:
        found = await self._sessions.find({}, linearizable=True)
        return [SessionRecord.from_document(document) for document in found]


def _record(document: Document | None) -> SessionRecord | None:
    return None if document is None else SessionRecord.from_document(document)
