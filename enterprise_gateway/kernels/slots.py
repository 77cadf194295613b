"""Limits that hold on all replicas together: every live kernel holds a slot, and a unique index lets one hold each.

A kernel of a user with a limit of five holds one of that user's slots 0 to 4; so a sixth can't be inserted, however
many replicas try at once. A free slot is picked from those that were not seen taken; who loses it to another looks
again.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from enterprise_gateway.errors import forbidden
from persistence.documents import KernelRecord
from persistence.errors import DuplicateKey
from persistence.kernels import KernelStore, SlotField

SLOT_INDEXES = ("slot", "user_slot")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many kernels may live at once; None for no limit."""

    in_total: int | None = None
    per_user: int | None = None


async def insert_within_limits(
    store: KernelStore, record: KernelRecord, limits: Limits, insert: Callable[[KernelRecord], Awaitable[KernelRecord]]
) -> KernelRecord:
    """Insert `record` with a free slot of each limit.

    Each turn that is lost was lost to another kernel that took the slot, so it ends: with a slot, or with none free.

    Raises:
        GatewayError: 403, a limit is reached.
        DuplicateKey: Another index than a slot's is violated.
    """
    while True:
        candidate = replace(
            record,
            slot=await _free_slot(store, "slot", limits.in_total, None),
            user_slot=await _free_slot(store, "user_slot", limits.per_user, record.username),
        )
        try:
            return await insert(candidate)
        except DuplicateKey as error:
            if error.index not in SLOT_INDEXES:
                raise


async def _free_slot(store: KernelStore, field: SlotField, limit: int | None, username: str | None) -> str | None:
    if limit is None:
        return None
    used = await store.used_slots(field, username)
    prefix = "" if username is None else f"{username}:"
    slots = [f"{prefix}{number}" for number in range(limit)]
    free = [slot for slot in slots if slot not in used]
    # Kernels from before there was this limit hold none of its slots. Each keeps one free, always the last ones.
    besides = sum(slot not in slots for slot in used)
    open_to_all = free[: max(0, len(free) - besides)]
    if not open_to_all:
        raise _limit_reached(limit, username, len(used))
    return random.choice(open_to_all)


def _limit_reached(limit: int, username: str | None, living: int) -> Exception:
    whose = "on this deployment" if username is None else f"for user '{username}'"
    return forbidden(
        f"No more kernels may be started {whose}: the limit is {limit}, and {living} are running. "
        "Shut one down, then try again.",
        "Maximum number of kernels reached",
    )
