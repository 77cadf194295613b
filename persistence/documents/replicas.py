"""A replica: one process of the gateway, and its beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from persistence.documents.parts import SCHEMA, Document, HostDoc, instant, reading, without_none


class ReplicaState(StrEnum):
    """What a replica says of itself, or was declared to be."""

    READY = "ready"
    DRAINING = "draining"
    DEAD = "dead"
    """Written by the leader, once its beat was seen unchanged, or by itself with its last beat; never undone: who was
    declared dead comes back under a new id."""


@dataclass(frozen=True, kw_only=True)
class ReplicaRecord:
    """A replica as it last told of itself. Whether it lives is never read from the times here: only seen."""

    replica_id: str
    """New for each process, and without dots: it is a key of `connections`."""
    url: str
    """Where its peers reach it."""
    host: HostDoc
    version: str
    schema: int = SCHEMA
    key_ids: tuple[str, ...] = ()
    """Of the sealing keys it has, first the one it would rather seal with."""
    beat: int = 0
    """+1 each renewal."""
    beat_at: datetime | None = None
    """The database's clock at the last beat; None before the first."""
    state: str = ReplicaState.READY
    """A `ReplicaState`, or a newer replica's word."""
    load: int = 0
    """Kernels it watches or launches."""
    culling: str = ""
    """Digest of its settings of culling: replicas should have the same ones."""
    cleared: bool = False
    """Of a dead one: its counts of connections are dropped."""

    def __post_init__(self) -> None:
        """Refuse an id that can't be a field's name."""
        if not self.replica_id or "." in self.replica_id or self.replica_id.startswith("$"):
            raise ValueError("a replica's id has no dots, no leading dollar, and is not empty")

    def to_document(self) -> Document:
        """Give the document to insert."""
        return without_none(
            {
                "_id": self.replica_id,
                "url": self.url,
                "host": self.host.to_document(),
                "version": self.version,
                "schema": self.schema,
                "key_ids": list(self.key_ids),
                "beat": self.beat,
                "beat_at": None if self.beat_at is None else instant(self.beat_at),
                "state": str(self.state),
                "load": self.load,
                "culling": self.culling,
            }
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ReplicaRecord:
        """Read a stored document.

        Raises:
            PersistenceError: It lacks a field that every replica has.
        """
        with reading("replica", document):
            beat_at = document.get("beat_at")
            return cls(
                replica_id=document["_id"],
                url=document["url"],
                host=HostDoc.from_document(document["host"]),
                version=document["version"],
                schema=int(document.get("schema", SCHEMA)),
                key_ids=tuple(document.get("key_ids", ())),
                beat=int(document["beat"]),
                beat_at=None if beat_at is None else instant(beat_at),
                state=document["state"],
                load=int(document.get("load", 0)),
                culling=document.get("culling", ""),
                cleared=bool(document.get("cleared", False)),
            )
