"""Owning a kernel: exactly one replica watches its process and its IOPub, and sees when it has died.

Ownership is what the record says. A kernel whose owner left it (drained) or is declared dead is adopted by whoever
meets it first. What follows a death is said in `deaths`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from enterprise_gateway.kernels import ending
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.probing import KernelProber
from persistence import steps
from persistence.documents import KernelRecord
from persistence.errors import StaleWrite
from persistence.phases import Phase

Died = Callable[[HeldKernel, KernelRecord, GatewayKernelManager], Coroutine[Any, Any, None]]


class Ownership:
    """The kernels that this replica watches."""

    def __init__(self, parts: KernelParts) -> None:
        self._parts = parts
        self._prober = KernelProber(parts)
        self._died: Died | None = None
        parts.membership.on_new_identity(self._renounce)

    def on_death(self, died: Died) -> None:
        """Have `died` called, once a watch, when the process of a kernel that is owned here was seen dead."""
        self._died = died

    async def own(self, held: HeldKernel, record: KernelRecord) -> None:
        """Watch the generation that is served, if its record names this replica as it is called now."""
        mine = record.owner == self._parts.membership.replica_id
        if held.manager is None or held.generation != record.generation or not mine:
            return
        if not held.watched:
            held.release()
            held.owned = True
            held.watch = self._parts.background.once(
                f"watch of kernel {held.kernel_id}", self._watch(held, _to_watch(record), held.manager)
            )
        await held.bind()
        if record.execution_state == steps.UNKNOWN:  # adopted, or handed on by the leader
            held.activity.new_generation(None)
            self._prober.ask(held)

    def _renounce(self) -> None:
        """It was declared dead: what it owned is whoever's by now. The next look shows what is its own again."""
        for held in self._parts.held:
            held.release()

    async def adopt(self, held: HeldKernel, record: KernelRecord) -> bool:
        """Become the owner of a kernel that has none; False where somebody else was faster."""
        now = self._parts.store.clock.latest_now()
        try:
            adopted = await self._parts.store.kernels.apply(
                steps.adopt(record, replica=self._parts.membership.replica_id, now=now)
            )
        except StaleWrite:
            return False
        self._parts.log.info("Adopted kernel %s, generation %s", record.kernel_id, record.generation)
        await self.own(held, adopted)
        return True

    async def trim_logs(self) -> None:
        """Shorten the output files of the kernels watched here that have grown too long."""
        for held in self._parts.held:
            if held.owned and held.manager is not None:
                await self._parts.managers.trim_log(held.manager)

    def ask_silent(self) -> None:
        """Ask the kernels watched here that were silent for long whether they are busy."""
        self._prober.ask_silent()

    def orphaned(self, record: KernelRecord) -> bool:
        """Is this a running kernel whose owner is gone, by its own leave or declared dead?"""
        if record.phase != Phase.RUNNING.value:
            return False
        return record.owner is None or self._parts.membership.gone(record.owner)

    async def _watch(self, held: HeldKernel, record: KernelRecord, manager: GatewayKernelManager) -> None:
        await ending.gone(manager, None)
        await self._parts.managers.end_remains(manager)  # while the object that can name the group is still open
        if self._died is not None:
            death = self._parts.background.act(f"death of kernel {held.kernel_id}", self._died(held, record, manager))
            # A write that is cancelled is made all the same: what was begun goes on, also when the watch is ended.
            await asyncio.shield(death)


def _to_watch(record: KernelRecord) -> KernelRecord:
    """Return what a death is judged by, without what is long: it is kept for as long as the kernel lives."""
    request = replace(record.request, env=b"")
    return replace(record, request=request, kernelspec={}, kernel_info=None, connection=None, provisioner_info=None)
