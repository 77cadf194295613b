"""Owning a kernel: exactly one replica watches its process and its IOPub, and says when it has died.

Ownership is what the record says. A late notice of an old death matches nothing: the end filters on owner and on the
generation that died. A kernel whose owner left it (drained) or is declared dead is adopted by whoever meets it first.
"""

from __future__ import annotations

from enterprise_gateway.kernels import ending
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.relay import probe
from persistence import clock, steps
from persistence.documents import KernelRecord
from persistence.errors import StaleWrite, StoreUnavailable
from persistence.phases import Phase

PROBE_SECONDS = 86_400.0
RETRY_SECONDS = 1.0


class Ownership:
    """The kernels that this replica watches."""

    def __init__(self, parts: KernelParts) -> None:
        self._parts = parts

    async def own(self, held: HeldKernel, record: KernelRecord) -> None:
        """Watch the generation that is served, whose record names this replica."""
        if held.manager is None or held.generation != record.generation:
            return
        if held.owned and held.watch is not None and held.watched_generation == held.generation:
            return
        held.release()
        held.owned = True
        held.watched_generation = held.generation
        held.watch = self._parts.background.once(
            f"watch of kernel {held.kernel_id}", self._watch(held, record, held.manager)
        )
        await held.bind()

    async def adopt(self, held: HeldKernel, record: KernelRecord) -> bool:
        """Become the owner of a kernel that has none; False where somebody else was faster."""
        replica = self._parts.membership.replica_id
        try:
            adopted = await self._parts.store.kernels.apply(steps.adopt(record, replica=replica))
        except StaleWrite:
            return False
        self._parts.log.info("Adopted kernel %s, generation %s", record.kernel_id, record.generation)
        held.activity.new_generation(None)
        await self.own(held, adopted)
        self._parts.background.once(f"probe of kernel {held.kernel_id}", self._probe(held, record.generation))
        return True

    async def trim_logs(self) -> None:
        """Shorten the output files of the kernels watched here that have grown too long."""
        for held in self._parts.held:
            if held.owned and held.manager is not None:
                await self._parts.managers.trim_log(held.manager)

    def orphaned(self, record: KernelRecord) -> bool:
        """Is this a running kernel whose owner is gone, by its own leave or declared dead?"""
        if record.phase != Phase.RUNNING.value:
            return False
        return record.owner is None or self._parts.membership.gone(record.owner)

    async def _probe(self, held: HeldKernel, generation: int) -> None:
        """Ask on shell whether a cell is running: no answer yet is busy, an answer is idle as of then."""
        if held.connection is None:
            return
        held.activity.probed("busy")
        try:
            answer = await probe.kernel_info(held.connection, channel="shell", timeout_seconds=PROBE_SECONDS)
        except TimeoutError:
            return
        if held.generation == generation:
            held.activity.probed("idle")
            held.activity.learned(answer)

    async def _watch(self, held: HeldKernel, record: KernelRecord, manager: GatewayKernelManager) -> None:
        await ending.gone(manager, None)
        reason = await self._parts.managers.obituary(manager)
        ended = await self._end_dead(record, reason)
        if ended is None:
            return
        self._parts.log.warning("Kernel %s has died: %s", record.kernel_id, reason)
        held.watch = None  # this task: its own end is no release
        held.end(reason)
        self._parts.held.drop(record.kernel_id)
        self._parts.changes.changed(record.kernel_id)
        await self._parts.managers.discard(manager)

    async def _end_dead(self, record: KernelRecord, reason: str) -> KernelRecord | None:
        """End the record of the generation that died; None where it was restarted, stopped or handed on meanwhile."""
        while True:
            step = steps.end_dead(
                record,
                owner=self._parts.membership.replica_id,
                reason=reason,
                now=self._parts.store.clock.latest_now(),
            )
            try:
                return await self._parts.store.kernels.apply(step)
            except StaleWrite:
                return await self._ended_by_me(record, reason)
            except StoreUnavailable:
                await clock.sleep(RETRY_SECONDS)

    async def _ended_by_me(self, record: KernelRecord, reason: str) -> KernelRecord | None:
        # The write may have been made and its answer lost: then the record tells exactly this reason.
        found = await self._parts.store.kernels.get(record.kernel_id)
        same = found is not None and found.generation == record.generation and found.reason == reason
        return found if same else None
