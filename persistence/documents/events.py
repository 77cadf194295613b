"""An event: what happened to a kernel or a replica, when, by whom and why. History, on which nothing rests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from persistence.documents.parts import SCHEMA, Document, instant, reading, without_none


class EventKind(StrEnum):
    """What happened."""

    STARTED = "started"
    ADOPTED = "adopted"
    RESTARTED = "restarted"
    CULLED = "culled"
    ENDED = "ended"
    REPLICA_DEAD = "replica dead"


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """One event. Its id is made from what happened, so whoever tells it again tells nothing new."""

    event_id: str
    kind: str
    """An `EventKind`, or a newer replica's word."""
    at: datetime
    """On the database's clock."""
    replica: str
    """Who did it, or saw it."""
    kernel_id: str | None = None
    username: str | None = None
    """Whose kernel it was."""
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else is known of it: numbers and words, few."""
    schema: int = SCHEMA

    def to_document(self) -> Document:
        """Give the document to insert."""
        return without_none(
            {
                "_id": self.event_id,
                "kind": str(self.kind),
                "at": instant(self.at),
                "replica": self.replica,
                "kernel_id": self.kernel_id,
                "username": self.username,
                "reason": self.reason,
                "details": dict(self.details),
                "schema": self.schema,
            }
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> EventRecord:
        """Read a stored document.

        Raises:
            PersistenceError: It lacks a field that every event has.
        """
        with reading("event", document):
            return cls(
                event_id=document["_id"],
                kind=document["kind"],
                at=instant(document["at"]),
                replica=document["replica"],
                kernel_id=document.get("kernel_id"),
                username=document.get("username"),
                reason=document.get("reason"),
                details=dict(document.get("details", {})),
                schema=int(document.get("schema", SCHEMA)),
            )
