"""The acts that are at work in this process, so that what is told to their kernels reaches them at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypeVar

from enterprise_gateway.errors import unavailable
from persistence.errors import StoreUnavailable

T = TypeVar("T")


@dataclass(kw_only=True)
class Work:
    """One act at work here.

    Attributes:
        kernel_id: The kernel.
        generation: The one that it brings up, or ends.
        stop: Set when the kernel is not wanted any more: a launch or restart that sees it stops what it started.
        doubt: Set when the database has gone away before it is known whether the act has begun.
        task: The act itself.
    """

    kernel_id: str
    generation: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    doubt: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[object] | None = None


class WorkAtHand:
    """The acts at work, by kernel.

    Attributes:
        closed: No act that brings a kernel up is begun any more: the replica is leaving.
    """

    def __init__(self) -> None:
        self.closed = False
        self._work: dict[str, Work] = {}

    def add(self, work: Work, task: asyncio.Task[object]) -> None:
        """Know an act until its task ends."""
        work.task = task
        self._work[work.kernel_id] = work
        task.add_done_callback(lambda _: self._forget(work))

    def stop(self, kernel_id: str, generation: int) -> None:
        """Tell the act on this kernel, if there is one here, that the kernel is not wanted any more.

        One that brings up a later generation is not told: that is wanted since, under the same id.
        """
        work = self._work.get(kernel_id)
        if work is not None and work.generation <= generation:
            work.stop.set()

    @property
    def tasks(self) -> list[asyncio.Task[object]]:
        """All acts at work."""
        return [work.task for work in self._work.values() if work.task is not None]

    @property
    def kernel_ids(self) -> list[str]:
        """The kernels on which an act is at work here."""
        return list(self._work)

    def _forget(self, work: Work) -> None:
        if self._work.get(work.kernel_id) is work:
            del self._work[work.kernel_id]


async def outcome(act: asyncio.Task[T], doubt: asyncio.Event | None = None) -> T:
    """Wait for an act, which goes on where this is cancelled, or raises for itself.

    Args:
        act: The act.
        doubt: Set when nobody knows whether it has begun, nor will soon: nothing is waited for then.

    Raises:
        GatewayError: 503, the replica has left before the act was over; another one finishes it.
        StoreUnavailable: It is in doubt. Once the database is back it goes on, if it has begun.
    """
    if doubt is not None and not await _known(act, doubt):
        raise StoreUnavailable("the database has gone away before it said whether this has begun")
    try:
        return await asyncio.shield(act)
    except asyncio.CancelledError:
        if not act.cancelled():
            raise
        raise unavailable(
            "This replica was stopped meanwhile, and another one goes on. Try again.", "Gateway stops"
        ) from None


async def _known(act: asyncio.Task[T], doubt: asyncio.Event) -> bool:
    """Wait until the act is over, or in doubt; says whether it is over."""
    doubted = asyncio.ensure_future(doubt.wait())
    try:
        await asyncio.wait({act, doubted}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        doubted.cancel()
    return act.done()
