"""The parts that records are made of, and how single values are stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from persistence.errors import PersistenceError

SCHEMA = 1
"""Number of the shapes below. It rises when an older replica could no longer act rightly on what a newer one writes."""

Document = dict[str, Any]


def instant(value: datetime) -> datetime:
    """Give `value` as it is stored: aware, UTC, whole milliseconds, what is finer cut off.

    Raises:
        ValueError: `value` has no time zone. Guessing one would shift it by hours.
    """
    if value.tzinfo is None:
        raise ValueError("a time without a time zone can't be stored")
    value = value.astimezone(UTC)
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def instant_rounded_up(value: datetime) -> datetime:
    """Like `instant`, but never earlier than `value`: for activity, which stamped early would be culled early."""
    cut = instant(value)
    return cut if cut == value else cut + timedelta(milliseconds=1)


KERNEL_INFO_MAX_CHARS = 65_536
"""A longer `kernel_info` is not stored (it takes one or two thousand): documents don't grow with what kernels say."""


def packed(value: Mapping[str, Any]) -> str:
    """Give a mapping of foreign origin (a kernel's, a kernelspec's) as the JSON text it is stored as.

    As BSON, one such mapping could make the whole batch that carries it fail: numbers over 64 bits, keys with NUL,
    unpaired surrogates, a hundred levels.

    Raises:
        TypeError, ValueError: It is not JSON-able.
    """
    return json.dumps(value, separators=(",", ":"))


def unpacked(stored: str | Mapping[str, Any]) -> dict[str, Any]:
    """Give back what `packed` was given. A mapping that was stored as one is given as it is."""
    value = json.loads(stored) if isinstance(stored, str) else stored
    return dict(value)


def without_none(document: Document) -> Document:
    """Leave out what is None; partial unique indexes and `$exists` then say what they mean."""
    return {key: value for key, value in document.items() if value is not None}


@contextmanager
def reading(what: str, document: Mapping[str, Any]) -> Iterator[None]:
    """Turn what goes wrong while a document is read into a PersistenceError that names it, without its content.

    A record that can't be read is trouble (503), never an absence (404).
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PersistenceError(
            f"the {what} document {document.get('_id')!r} can't be read ({type(error).__name__})"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Act:
    """The step at work on a kernel: its random id, who does it, since when (database's clock)."""

    id: str
    replica: str
    since: datetime

    def to_document(self) -> Document:
        """Give the stored form."""
        return {"id": self.id, "replica": self.replica, "since": instant(self.since)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Act:
        """Read the stored form."""
        return cls(id=document["id"], replica=document["replica"], since=instant(document["since"]))


@dataclass(frozen=True, kw_only=True)
class ConnectionCount:
    """How many WebSockets a replica holds to a kernel; `n` rises with each change on that replica."""

    count: int
    n: int

    def to_document(self) -> Document:
        """Give the stored form."""
        return {"count": self.count, "n": self.n}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ConnectionCount:
        """Read the stored form."""
        return cls(count=int(document["count"]), n=int(document["n"]))


@dataclass(frozen=True, kw_only=True)
class ClientHold:
    """Which replica holds a client's buffer; `n` rises with each connection of that client."""

    replica: str
    n: int

    def to_document(self) -> Document:
        """Give the stored form."""
        return {"replica": self.replica, "n": self.n}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ClientHold:
        """Read the stored form."""
        return cls(replica=document["replica"], n=int(document["n"]))


@dataclass(frozen=True, kw_only=True)
class HostDoc:
    """The host where alone a local kernel can be reached: hash of all its parts, and those that tell a reboot."""

    id: str
    machine: str
    boot: str
    name: str

    def to_document(self) -> Document:
        """Give the stored form."""
        return {"id": self.id, "machine": self.machine, "boot": self.boot, "name": self.name}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> HostDoc:
        """Read the stored form."""
        return cls(id=document["id"], machine=document["machine"], boot=document["boot"], name=document["name"])


@dataclass(frozen=True, kw_only=True)
class RequestDoc:
    """What a restart on any replica needs of the request that asked for the kernel."""

    path: str | None = None
    env: bytes = field(repr=False)
    """Sealed."""
    key: str | None = None
    """The client's `Idempotency-Key`; kept when the kernel ends, for it names one request for ever."""
    deadline: datetime
    """When the launch must be ready (database's clock)."""
    has_id: bool = False
    """The client named the kernel's id, and may come back for it: its going away withdraws nothing."""
    launch_timeout_seconds: float
    cull_idle_timeout_seconds: float | None = None
    """How long the kernel wishes to be idle before it is culled; None: no wish."""

    def to_document(self) -> Document:
        """Give the stored form."""
        return without_none(
            {
                "path": self.path,
                "env": self.env,
                "key": self.key,
                "deadline": instant(self.deadline),
                "has_id": self.has_id,
                "launch_timeout_seconds": self.launch_timeout_seconds,
                "cull_idle_timeout_seconds": self.cull_idle_timeout_seconds,
            }
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RequestDoc:
        """Read the stored form."""
        wish = document.get("cull_idle_timeout_seconds")
        return cls(
            path=document.get("path"),
            env=bytes(document["env"]),
            key=document.get("key"),
            deadline=instant(document["deadline"]),
            has_id=bool(document.get("has_id", False)),
            launch_timeout_seconds=float(document["launch_timeout_seconds"]),
            cull_idle_timeout_seconds=None if wish is None else float(wish),
        )
