"""A kernel's record as clients see it: the shape of jupyter_server's kernel model. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from persistence.documents import KernelListing, KernelRecord, connection_count
from persistence.phases import Phase
from persistence.steps import AUTORESTARTING

WAITS = "It waits for its turn, or is about to be launched."
# What is said of a kernel in a phase, whatever its last own word was. A running one speaks for itself.
_STATE_IN_PHASE = {
    Phase.QUEUED.value: "starting",
    Phase.LAUNCHING.value: "starting",
    Phase.RESTARTING.value: "restarting",
    Phase.STOPPING.value: "terminating",
    Phase.ENDED.value: "dead",
}


def timestamp(value: datetime) -> str:
    """Write a time as Jupyter's clients parse it: always six fractional digits and `Z`."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def execution_state(phase: str, state: str) -> str:
    """Say what state a kernel is in: its phase's word, or its own. One that nobody has asked yet counts as busy."""
    said = state if state == AUTORESTARTING else _STATE_IN_PHASE.get(phase, state)
    return "busy" if said == "unknown" else said


def kernel_model(kernel: KernelRecord | KernelListing, gone: Callable[[str], bool]) -> dict[str, Any]:
    """Return the model that `/api/kernels` shows. One that waits for its launch says so as its `reason`.

    Args:
        kernel: What the database says.
        gone: Is this replica dead or unknown? Its connections don't count.
    """
    model = {
        "id": kernel.kernel_id,
        "name": kernel.kernel_name,
        "last_activity": timestamp(kernel.last_activity),
        "execution_state": execution_state(kernel.phase, kernel.execution_state),
        "connections": connection_count(kernel, {replica for replica in kernel.connections if gone(replica)}),
    }
    return {**model, "reason": WAITS} if kernel.phase == Phase.QUEUED else model
