"""A kernel that has died by itself: its owner restarts it, some times in a row, and else ends its record.

Guaranteed: a death is answered once, by the owner, when the database has acknowledged it, however long that is away. A
notice that comes late, after somebody has ended, restarted or adopted the kernel, does nothing. Not: that a kernel is
tried again whose restart fails; it ends, with that reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from enterprise_gateway.kernels.acts import ActLost, holds
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.starting import StartActs, ended_so
from enterprise_gateway.kernels.work import Work
from persistence import clock, steps
from persistence.documents import Act, KernelRecord, Step
from persistence.errors import StoreUnavailable

# As jupyter_client's KernelRestarter has it: a generation that has lived so long starts the count anew.
STABLE_START_SECONDS = 10.0
RETRY_SECONDS = 1.0


class Deaths:
    """What this replica does about the deaths of kernels that it owns."""

    def __init__(self, parts: KernelParts, acts: StartActs) -> None:
        self._parts = parts
        self._acts = acts

    async def died(self, held: HeldKernel, record: KernelRecord, manager: GatewayKernelManager) -> None:
        """The process of this generation was seen dead: restart the kernel, or end its record.

        Args:
            held: The kernel.
            record: As it was when the watch began.
            manager: Of the generation that died.
        """
        if self._parts.work.closed:
            return  # this replica is leaving: whoever adopts the kernel finds it dead, and has time to restart it
        restarts = restarts_in_a_row(record, self._parts.store.clock.earliest_now(), stable_start_seconds(manager))
        reason = await self._parts.managers.obituary(manager)
        if self._parts.settings.autorestart and restarts <= self._parts.settings.restart_limit:
            await self._restart(record, manager, restarts=restarts, reason=reason)
        else:
            await self._end(held, record, manager, reason=last_reason(record, restarts, reason))

    async def _restart(
        self, record: KernelRecord, manager: GatewayKernelManager, *, restarts: int, reason: str
    ) -> None:
        act = self._parts.acts.new_act()

        def claim(now: datetime) -> Step:
            # Under what is this replica's id by now, and since now: after an outage the act is no older than its claim.
            mine = Act(id=act.id, replica=self._parts.membership.replica_id, since=now)
            return steps.restart_dead(record, owner=mine.replica, act=mine, restarts=restarts, reason=reason, now=now)

        claimed = await self._surely(claim, lambda found: holds(found, act))
        if claimed is None:
            return
        self._parts.log.warning(
            "Kernel %s has died and is restarted (%s of at most %s times in a row): %s",
            record.kernel_id,
            restarts,
            self._parts.settings.restart_limit,
            reason,
        )
        self._run(claimed, manager)

    def _run(self, claimed: KernelRecord, dead: GatewayKernelManager) -> None:
        work = Work(kernel_id=claimed.kernel_id, generation=claimed.generation)
        deadline = clock.Deadline(claimed.request.launch_timeout_seconds)
        task = self._parts.background.act(
            f"automatic restart of kernel {claimed.kernel_id}",
            self._acts.restart(claimed, work, deadline, dead=dead),
        )
        self._parts.work.add(work, task)

    async def _end(self, held: HeldKernel, record: KernelRecord, manager: GatewayKernelManager, *, reason: str) -> None:
        def end(now: datetime) -> Step:
            return steps.end_dead(record, owner=self._parts.membership.replica_id, reason=reason, now=now)

        if await self._surely(end, lambda found: ended_so(found, record, reason)) is None:
            return
        self._parts.log.warning("Kernel %s has died: %s", record.kernel_id, reason)
        held.end(reason)
        self._parts.held.drop(record.kernel_id)
        self._parts.changes.changed(record.kernel_id)
        await self._parts.managers.discard(manager)

    async def _surely(
        self, step: Callable[[datetime], Step], won: Callable[[KernelRecord], bool]
    ) -> KernelRecord | None:
        """Apply a step, however long the database is away; None where the kernel is somebody else's business by now."""
        while True:
            try:
                return await self._parts.acts.apply(
                    step(self._parts.store.clock.latest_now()), won, give_up=clock.Deadline(RETRY_SECONDS)
                )
            except ActLost:
                return None
            except StoreUnavailable:
                await clock.sleep(RETRY_SECONDS)


def restarts_in_a_row(record: KernelRecord, died: datetime, stable_seconds: float) -> int:
    """Number the restart that would follow this death: the first again, once a generation has lived a stable time."""
    lived = record.started_at is not None and (died - record.started_at).total_seconds() >= stable_seconds
    return 1 if lived else record.restarts + 1


def last_reason(record: KernelRecord, restarts: int, reason: str) -> str:
    """Say why the kernel is not restarted again, and how it died."""
    return f"The kernel died again after {record.restarts} restarts in a row. {reason}" if restarts > 1 else reason


def stable_start_seconds(manager: GatewayKernelManager) -> float:
    """How long a generation must have lived for its start to count as a success, as its provisioner sees it."""
    if manager.provisioner is None:
        return STABLE_START_SECONDS
    return manager.provisioner.get_stable_start_time(recommended=STABLE_START_SECONDS)
