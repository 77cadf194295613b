"""A lease: one right that one replica at a time may hold, and what its holders leave to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from persistence.documents.parts import SCHEMA, Document, instant, reading, without_none


@dataclass(frozen=True, kw_only=True)
class ClockStep:
    """A jump of the database's clock: another member, with another clock, became primary."""

    seconds: float
    """How far it jumped, at most; above 0: ahead, so that what was stored before looks older than it is."""
    at: datetime
    """When it was seen, on the clock as it was after the jump."""
    within_seconds: float = 60.0
    """It happened at most so long before: the reading before was made then."""

    def to_document(self) -> Document:
        """Give the stored form."""
        return {"seconds": self.seconds, "at": instant(self.at), "within_seconds": self.within_seconds}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ClockStep:
        """Read the stored form."""
        return cls(
            seconds=float(document["seconds"]),
            at=instant(document["at"]),
            within_seconds=float(document.get("within_seconds", cls.within_seconds)),
        )


@dataclass(frozen=True, kw_only=True)
class LeaseRecord:
    """A lease as it is stored. Whether it is still good is never read from a time: only seen, by its changing."""

    name: str
    holder: str | None = None
    """The replica that has it, or had it when it died; None: it was given back."""
    term: int = 0
    """+1 each takeover."""
    beat: int = 0
    """+1 each takeover and renewal."""
    clock_steps: tuple[ClockStep, ...] = ()
    """The newest few, for holders who were not there to see them."""
    schema: int = SCHEMA

    def to_document(self) -> Document:
        """Give the document to insert."""
        return without_none(
            {
                "_id": self.name,
                "holder": self.holder,
                "term": self.term,
                "beat": self.beat,
                "clock_steps": [step.to_document() for step in self.clock_steps],
                "schema": self.schema,
            }
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> LeaseRecord:
        """Read a stored document.

        Raises:
            PersistenceError: It lacks a field that every lease has.
        """
        with reading("lease", document):
            return cls(
                name=document["_id"],
                holder=document.get("holder"),
                term=int(document["term"]),
                beat=int(document["beat"]),
                clock_steps=tuple(ClockStep.from_document(step) for step in document.get("clock_steps", ())),
                schema=int(document.get("schema", SCHEMA)),
            )
