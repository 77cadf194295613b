"""Hydration: from a record to a kernel that this replica can serve, whoever started it, busy or not.

Nothing is asked of the kernel itself, so a busy one is hydrated as fast as an idle one. What fails here never touches
the record: a kernel that can't be reached from this host is 503, and so is one whose keys this replica lacks.
"""

from __future__ import annotations

from collections.abc import Callable

from enterprise_gateway.errors import GatewayError, unavailable
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.managers import ProcessGone
from enterprise_gateway.kernels.ownership import Ownership
from enterprise_gateway.kernels.parts import KernelParts
from persistence.documents import KernelRecord
from persistence.phases import Phase


class Hydrator:
    """Holds kernels, from their records."""

    def __init__(self, parts: KernelParts, ownership: Ownership, new_held: Callable[[str], HeldKernel]) -> None:
        self._parts = parts
        self._ownership = ownership
        self._new_held = new_held

    def hold(self, kernel_id: str) -> HeldKernel:
        """Return the held kernel, newly held if need be; it serves no generation then."""
        held = self._parts.held.get(kernel_id)
        if held is None:
            held = self._new_held(kernel_id)
            self._parts.held.add(held)
        return held

    async def hydrate(self, record: KernelRecord) -> HeldKernel:
        """Serve the generation that the record names; adopt the kernel where it has no owner.

        A kernel that is not running yet (or not now) is held without a generation: its clients wait.

        Raises:
            GatewayError: 503, it can't be reached from here, or its process is gone and its owner has yet to see it.
        """
        held = self.hold(record.kernel_id)
        try:
            async with held.hydrating:
                await self._serve(held, record)
        except GatewayError:
            self._forget(held)
            raise
        return held

    def _forget(self, held: HeldKernel) -> None:
        """What can't be reached from here is not held, so that it is not tried again with every beat."""
        if not held.generation and not held.relay.in_use and not held.hydrating.locked():
            self._parts.held.drop(held.kernel_id)

    async def _serve(self, held: HeldKernel, record: KernelRecord) -> None:
        if record.phase == Phase.RESTARTING.value and held.generation < record.generation:
            held.pause(record)  # else who comes now would be joined to the process that is gone, and told so later
        if record.phase != Phase.RUNNING.value:
            return
        held.recorded_state = record.execution_state if record.execution_state in ("busy", "idle") else None
        if held.generation < record.generation:
            await self._restore(held, record)
        if record.owner == self._parts.membership.replica_id:
            await self._ownership.own(held, record)
        elif self._ownership.orphaned(record) and not self._parts.work.closed:
            await self._ownership.adopt(held, record)

    async def _restore(self, held: HeldKernel, record: KernelRecord) -> None:
        try:
            manager = await self._parts.managers.restored(record)
        except ProcessGone as gone:
            if record.owner != self._parts.membership.replica_id and not self._ownership.orphaned(record):
                raise unavailable(
                    "The kernel's process is gone; the replica that watches it is about to say so. Try again.",
                    "Kernel is gone",
                ) from gone
            manager = gone.manager  # owned as it is: the watch sees it dead at once
        if held.generation:
            held.pause(record)
        await held.serve(record.generation, manager, manager.connection(), record.kernel_info)
