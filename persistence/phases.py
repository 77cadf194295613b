"""The phases of a kernel, and the one table of steps between them. Pure.

A step into a phase starts a piece of work; work that was begun and is taken over (its actor died, or its time is up)
stays in its phase under a new act. A phase that is not in the table is a newer replica's: its kernel is live, and no
step from it or to it is allowed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Phase(StrEnum):
    """Where a kernel is in its life."""

    QUEUED = "queued"
    """Recorded. It waits for its turn, or its process, which has run nothing yet, is not recorded yet."""
    LAUNCHING = "launching"
    """Its process is recorded, or another provisioner than the gateway's may be at it; it has not answered yet."""
    RUNNING = "running"
    """It answered, and its owner watches it."""
    RESTARTING = "restarting"
    """Someone ends it and launches its next generation."""
    STOPPING = "stopping"
    """Someone ends it for good."""
    ENDED = "ended"
    """Gone, and kept as history."""


class Target(StrEnum):
    """What is wanted of a kernel. Once stopped, it stays so for this life of the record."""

    RUNNING = "running"
    STOPPED = "stopped"


_NEXT: Mapping[str, tuple[Phase, ...]] = {
    Phase.QUEUED: (Phase.LAUNCHING, Phase.STOPPING, Phase.ENDED),
    Phase.LAUNCHING: (Phase.RUNNING, Phase.STOPPING, Phase.ENDED),
    Phase.RUNNING: (Phase.RESTARTING, Phase.STOPPING, Phase.ENDED),
    Phase.RESTARTING: (Phase.RUNNING, Phase.STOPPING, Phase.ENDED),
    Phase.STOPPING: (Phase.ENDED,),
    # The same user may start an ended kernel's id anew; the generation goes on counting.
    Phase.ENDED: (Phase.QUEUED,),
}

TAKEOVERS = (Phase.LAUNCHING, Phase.RESTARTING, Phase.STOPPING)
"""Phases whose work another may take over, staying in them: those in which somebody is at work."""

AT_WORK = (Phase.QUEUED.value, *(phase.value for phase in TAKEOVERS))
"""Phases in which an act is at work on the kernel, or waits for its turn."""

LIVE_FILTER: Mapping[str, object] = {"$ne": Phase.ENDED.value}
"""For the field `phase` of a query: live, a newer replica's phases included."""


def live(phase: str) -> bool:
    """Say whether a kernel in `phase` exists, or may. Everything but `ended` is live, unknown phases too."""
    return phase != Phase.ENDED


def allowed(source: str, destination: str) -> bool:
    """Say whether a kernel may step from `source` to `destination`, takeovers included. Unknown phases: no."""
    if source == destination:
        return source in TAKEOVERS
    return destination in _NEXT.get(source, ())


def sources(destination: Phase) -> tuple[Phase, ...]:
    """Give the phases from which a kernel may step into `destination`, for a step's filter.

    `destination` itself is not among them: a takeover must say so, and filter on the act it takes over, or a second
    DELETE or restart would take the work from the one who is at it.
    """
    return tuple(phase for phase in Phase if destination in _NEXT[phase])
