"""Frozen dataclasses and the documents they are stored as.

Replicas of two versions work on one database during every upgrade. So reading ignores the fields it does not know and
gives the optional ones it misses a default; `to_document` is for inserting only, and whatever changes a document later
`$set`s what it means to change and nothing else. What is None is not stored, and a filter on null matches it.

Times are aware, in UTC, whole milliseconds: all that a BSON date keeps.
"""

from persistence.documents.events import EventKind, EventRecord
from persistence.documents.kernels import (
    KernelCandidate,
    KernelListing,
    KernelNotice,
    KernelRecord,
    connection_count,
)
from persistence.documents.leases import ClockStep, LeaseRecord
from persistence.documents.parts import (
    KERNEL_INFO_MAX_CHARS,
    SCHEMA,
    Act,
    ClientHold,
    ConnectionCount,
    Document,
    HostDoc,
    RequestDoc,
    instant,
    instant_rounded_up,
    packed,
    unpacked,
)
from persistence.documents.replicas import ReplicaRecord, ReplicaState
from persistence.documents.sessions import SessionRecord
from persistence.documents.steps import Step

__all__ = [
    "KERNEL_INFO_MAX_CHARS",
    "SCHEMA",
    "Act",
    "ClientHold",
    "ClockStep",
    "ConnectionCount",
    "Document",
    "EventKind",
    "EventRecord",
    "HostDoc",
    "KernelCandidate",
    "KernelListing",
    "KernelNotice",
    "KernelRecord",
    "LeaseRecord",
    "ReplicaRecord",
    "ReplicaState",
    "RequestDoc",
    "SessionRecord",
    "Step",
    "connection_count",
    "instant",
    "instant_rounded_up",
    "packed",
    "unpacked",
]
