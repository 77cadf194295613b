"""A kernel: its whole record, and the two excerpts that are queried often."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from persistence import phases
from persistence.documents.parts import (
    SCHEMA,
    Act,
    ClientHold,
    ConnectionCount,
    Document,
    HostDoc,
    RequestDoc,
    instant,
    packed,
    reading,
    unpacked,
    without_none,
)


@dataclass(frozen=True, kw_only=True)
class KernelRecord:
    """All that is stored of a kernel. Written before anything is launched, kept as history after its end."""

    kernel_id: str
    kernel_name: str
    username: str
    phase: str
    """A `Phase`, or a newer replica's word."""
    target: str
    """A `Target`: once stopped it stays so."""
    generation: int = 1
    """+1 each launch. Connection, keys, process and paths belong to one generation."""
    act: Act | None = None
    """The step at work, if one is."""
    owner: str | None = None
    """The replica that watches the kernel and alone restarts it if it dies."""
    execution_state: str = "starting"
    execution_n: int = 0
    """Rises with each change that the owner saw of `execution_state` or `kernel_info`; starts anew with each owner."""
    last_activity: datetime
    activity_seq: int = 0
    """+1 by whatever must stop a cull that was decided before."""
    flush: str | None = None
    """Id of the last flush of activity that reached this record."""
    connections: Mapping[str, ConnectionCount] = field(default_factory=dict)
    """Open WebSockets by replica."""
    clients: Mapping[str, ClientHold] = field(default_factory=dict)
    """Who holds a client's buffer, by a safe form of its session id; the newest few."""
    kernel_info: Mapping[str, Any] | None = field(default=None, repr=False)
    """As the kernel last told it."""
    kernelspec: Mapping[str, Any] = field(repr=False)
    """As launched: its `to_dict()`, `name` and `resource_dir`. May carry secrets in its env."""
    host: HostDoc | None = None
    """Where alone it can be reached; None for a kernel that any replica can reach."""
    provisioner_name: str
    provisioner_info: bytes | None = field(default=None, repr=False)
    """Sealed whole: it carries keys."""
    process: Mapping[str, Any] | None = None
    """What names this generation's process or pod, plain, so that steps can filter on it."""
    former: Mapping[str, Any] | None = None
    """The process of the generation before, until it is seen dead."""
    restarts: int = 0
    """Automatic restarts in a row, the one that brought this generation among them; 0 where none did."""
    connection: bytes | None = field(default=None, repr=False)
    """Sealed connection info."""
    request: RequestDoc
    user_slot: str | None = None
    """Holds one of the user's places; gone with the write that ends the kernel."""
    slot: str | None = None
    """Holds one of the cluster's places; likewise."""
    reason: str | None = None
    """Why it ended, or is ending; where `restarts` counts, why the generation before died."""
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    schema: int = SCHEMA

    @property
    def live(self) -> bool:
        """Whether the kernel exists, or may: every phase but `ended`, a newer replica's too."""
        return phases.live(self.phase)

    @property
    def launch_timeout_seconds(self) -> float:
        """How long a launch of it may take."""
        return self.request.launch_timeout_seconds

    def to_document(self) -> Document:
        """Give the document to insert. For inserting only: an update of it all would wipe a newer replica's fields."""
        return without_none(
            {
                "_id": self.kernel_id,
                "kernel_name": self.kernel_name,
                "username": self.username,
                "phase": str(self.phase),
                "target": str(self.target),
                "generation": self.generation,
                "act": None if self.act is None else self.act.to_document(),
                "owner": None if self.owner is None else {"replica": self.owner},
                **self._activity(),
                "kernelspec": packed(self.kernelspec),
                "host": None if self.host is None else self.host.to_document(),
                "provisioner": without_none({"name": self.provisioner_name, "info": self.provisioner_info}),
                "process": None if self.process is None else dict(self.process),
                "former": None if self.former is None else dict(self.former),
                "restarts": self.restarts,
                "connection": self.connection,
                "request": self.request.to_document(),
                "user_slot": self.user_slot,
                "slot": self.slot,
                "reason": self.reason,
                "created_at": instant(self.created_at),
                "started_at": None if self.started_at is None else instant(self.started_at),
                "ended_at": None if self.ended_at is None else instant(self.ended_at),
                "schema": self.schema,
            }
        )

    def _activity(self) -> Document:
        return {
            "execution_state": self.execution_state,
            "execution_n": self.execution_n,
            "last_activity": instant(self.last_activity),
            "activity_seq": self.activity_seq,
            "flush": self.flush,
            "connections": {replica: held.to_document() for replica, held in self.connections.items()},
            "clients": {client: hold.to_document() for client, hold in self.clients.items()},
            "kernel_info": None if self.kernel_info is None else packed(self.kernel_info),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> KernelRecord:
        """Read a stored document.

        Raises:
            PersistenceError: It lacks a field that every kernel has.
        """
        with reading("kernel", document):
            provisioner = document["provisioner"]
            return cls(
                kernel_id=document["_id"],
                kernel_name=document["kernel_name"],
                username=document["username"],
                phase=document["phase"],
                target=document["target"],
                generation=int(document["generation"]),
                act=_act(document),
                owner=_owner(document),
                execution_state=document["execution_state"],
                execution_n=int(document.get("execution_n", 0)),
                last_activity=instant(document["last_activity"]),
                activity_seq=int(document["activity_seq"]),
                flush=document.get("flush"),
                connections=_connections(document),
                clients={key: ClientHold.from_document(hold) for key, hold in document.get("clients", {}).items()},
                kernel_info=_mapping(document, "kernel_info"),
                kernelspec=unpacked(document["kernelspec"]),
                host=_host(document),
                provisioner_name=provisioner["name"],
                provisioner_info=provisioner.get("info"),
                process=_mapping(document, "process"),
                former=_mapping(document, "former"),
                restarts=int(document.get("restarts", 0)),
                connection=document.get("connection"),
                request=RequestDoc.from_document(document["request"]),
                user_slot=document.get("user_slot"),
                slot=document.get("slot"),
                reason=document.get("reason"),
                created_at=instant(document["created_at"]),
                started_at=_instant(document, "started_at"),
                ended_at=_instant(document, "ended_at"),
                schema=int(document.get("schema", SCHEMA)),
            )


@dataclass(frozen=True, kw_only=True)
class KernelListing:
    """What a list of kernels shows of one."""

    FIELDS: ClassVar[tuple[str, ...]] = (
        "_id",
        "kernel_name",
        "username",
        "phase",
        "execution_state",
        "last_activity",
        "connections",
        "reason",
    )
    """The fields to query."""

    kernel_id: str
    kernel_name: str
    username: str
    phase: str
    execution_state: str
    last_activity: datetime
    connections: Mapping[str, ConnectionCount]
    reason: str | None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> KernelListing:
        """Read a stored document, or its `FIELDS`.

        Raises:
            PersistenceError: It lacks a field that every kernel has.
        """
        with reading("kernel", document):
            return cls(
                kernel_id=document["_id"],
                kernel_name=document["kernel_name"],
                username=document["username"],
                phase=document["phase"],
                execution_state=document["execution_state"],
                last_activity=instant(document["last_activity"]),
                connections=_connections(document),
                reason=document.get("reason"),
            )


@dataclass(frozen=True, kw_only=True)
class KernelNotice:
    """What concerns a replica of a kernel that it holds, owns or could reach on its host; asked at every beat."""

    FIELDS: ClassVar[tuple[str, ...]] = (
        "_id",
        "generation",
        "phase",
        "target",
        "owner",
        "act",
        "reason",
        "restarts",
        "activity_seq",
        "last_activity",
        "host",
        "execution_state",
        "request.launch_timeout_seconds",
    )
    """The fields to query."""

    kernel_id: str
    generation: int
    phase: str
    target: str
    owner: str | None
    act: Act | None
    reason: str | None
    restarts: int
    activity_seq: int
    last_activity: datetime
    host: HostDoc | None
    execution_state: str
    launch_timeout_seconds: float

    @property
    def live(self) -> bool:
        """As `KernelRecord.live`."""
        return phases.live(self.phase)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> KernelNotice:
        """Read a stored document, or its `FIELDS`.

        Raises:
            PersistenceError: It lacks a field that every kernel has.
        """
        with reading("kernel", document):
            return cls(
                kernel_id=document["_id"],
                generation=int(document["generation"]),
                phase=document["phase"],
                target=document["target"],
                owner=_owner(document),
                act=_act(document),
                reason=document.get("reason"),
                restarts=int(document.get("restarts", 0)),
                activity_seq=int(document["activity_seq"]),
                last_activity=instant(document["last_activity"]),
                host=_host(document),
                execution_state=document["execution_state"],
                launch_timeout_seconds=float(document["request"]["launch_timeout_seconds"]),
            )


@dataclass(frozen=True, kw_only=True)
class KernelCandidate:
    """What decides whether a running kernel is culled, and what its claim rests on."""

    FIELDS: ClassVar[tuple[str, ...]] = (
        "_id",
        "kernel_name",
        "username",
        "generation",
        "owner",
        "host",
        "execution_state",
        "last_activity",
        "activity_seq",
        "connections",
        "created_at",
        "request.cull_idle_timeout_seconds",
    )
    """The fields to query."""

    kernel_id: str
    kernel_name: str
    username: str
    generation: int
    owner: str | None
    host: HostDoc | None
    execution_state: str
    last_activity: datetime
    activity_seq: int
    connections: Mapping[str, ConnectionCount]
    created_at: datetime
    cull_idle_timeout_seconds: float | None
    """Its own wish."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> KernelCandidate:
        """Read a stored document, or its `FIELDS`.

        Raises:
            PersistenceError: It lacks a field that every kernel has.
        """
        with reading("kernel", document):
            wish = document.get("request", {}).get("cull_idle_timeout_seconds")
            return cls(
                kernel_id=document["_id"],
                kernel_name=document["kernel_name"],
                username=document["username"],
                generation=int(document["generation"]),
                owner=_owner(document),
                host=_host(document),
                execution_state=document["execution_state"],
                last_activity=instant(document["last_activity"]),
                activity_seq=int(document["activity_seq"]),
                connections=_connections(document),
                created_at=instant(document["created_at"]),
                cull_idle_timeout_seconds=None if wish is None else float(wish),
            )


def connection_count(kernel: KernelRecord | KernelListing | KernelCandidate, ignoring: Collection[str] = ()) -> int:
    """Count the open WebSockets to a kernel on all replicas but those in `ignoring` (the dead, the unknown)."""
    return sum(held.count for replica, held in kernel.connections.items() if replica not in ignoring)


def _act(document: Mapping[str, Any]) -> Act | None:
    stored = document.get("act")
    return None if stored is None else Act.from_document(stored)


def _owner(document: Mapping[str, Any]) -> str | None:
    stored = document.get("owner")
    return None if stored is None else stored["replica"]


def _host(document: Mapping[str, Any]) -> HostDoc | None:
    stored = document.get("host")
    return None if stored is None else HostDoc.from_document(stored)


def _connections(document: Mapping[str, Any]) -> dict[str, ConnectionCount]:
    stored = document.get("connections", {})
    return {replica: ConnectionCount.from_document(held) for replica, held in stored.items()}


def _mapping(document: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    stored = document.get(name)
    return None if stored is None else unpacked(stored)


def _instant(document: Mapping[str, Any], name: str) -> datetime | None:
    stored = document.get(name)
    return None if stored is None else instant(stored)
