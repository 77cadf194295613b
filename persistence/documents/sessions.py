"""A Jupyter session: a notebook's path, and the kernel it uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from persistence.documents.parts import SCHEMA, Document, instant, reading


@dataclass(frozen=True, kw_only=True)
class SessionRecord:
    """A Jupyter session. Unique by (username, path, type); it counts only while its kernel's record is live."""

    session_id: str
    username: str
    path: str
    name: str
    type: str
    kernel_id: str
    created_at: datetime
    schema: int = SCHEMA

    def to_document(self) -> Document:
        """Give the document to insert."""
        return {
            "_id": self.session_id,
            "username": self.username,
            "path": self.path,
            "name": self.name,
            "type": self.type,
            "kernel_id": self.kernel_id,
            "created_at": instant(self.created_at),
            "schema": self.schema,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> SessionRecord:
        """Read a stored document.

        Raises:
            PersistenceError: It lacks a field that every session has.
        """
        with reading("session", document):
            return cls(
                session_id=document["_id"],
                username=document["username"],
                path=document["path"],
                name=document["name"],
                type=document["type"],
                kernel_id=document["kernel_id"],
                created_at=instant(document["created_at"]),
                schema=int(document.get("schema", SCHEMA)),
            )
