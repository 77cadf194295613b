"""Writing activity: one batch for all kernels, only what changed, and again what a flush did not reach."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from culling.membership import Membership
from enterprise_gateway.kernels.held import HeldKernels
from persistence import clock
from persistence.kernel_session_manager import KernelSessionManager
from persistence.kernels import ActivityEntry

# Between two flushes, however many kernels turn busy and idle: what other replicas say of them is no older than this.
SOON_SECONDS = 0.5


class Flusher:
    """Writes what this replica saw of its kernels' activity."""

    def __init__(self, store: KernelSessionManager, membership: Membership, held: HeldKernels) -> None:
        self._store = store
        self._membership = membership
        self._held = held
        self._clock_steps = store.clock.steps
        self._soon = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def soon(self) -> None:
        """A kernel turned busy or idle: don't wait for the interval's end."""
        self._soon.set()

    def report_anew(self) -> None:
        """This replica has a new id: what it knows is written under it."""
        for held in self._held:
            held.activity.report_anew()
        self.soon()

    async def wait(self, interval_seconds: float) -> None:
        """Wait for the next turn: the interval's end, or sooner when a kernel turned busy or idle."""
        gap_seconds = min(SOON_SECONDS, interval_seconds)
        await clock.sleep(gap_seconds)
        try:
            async with asyncio.timeout(interval_seconds - gap_seconds):
                await self._soon.wait()
        except TimeoutError:
            return
        finally:
            self._soon.clear()

    async def flush(self) -> None:
        """Write what is pending, in one round trip whatever the number of kernels.

        Raises:
            StoreUnavailable: Nothing is taken for written; all of it stays pending.
        """
        async with self._one_at_a_time:
            self._look_at_clock()
            marks: dict[str, int] = {}
            entries: list[ActivityEntry] = []
            for held in self._held:
                found = held.activity.pending(held.generation, owner=held.owned)
                if found is not None and held.generation:
                    marks[held.kernel_id], entry = found
                    entries.append(entry)
            if not entries:
                return
            acknowledged = await self._store.kernels.flush(self._membership.replica_id, uuid4().hex, entries)
            for kernel_id in acknowledged:
                held_now = self._held.get(kernel_id)
                if held_now is not None:
                    held_now.activity.acknowledge(marks[kernel_id])

    def _look_at_clock(self) -> None:
        steps, self._clock_steps = self._clock_steps, self._store.clock.steps
        if steps != self._clock_steps:
            for held in self._held:
                held.activity.clock_jumped()
