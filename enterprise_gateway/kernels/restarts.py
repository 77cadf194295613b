"""Restarting a kernel for a client. Of two who want it at once, one restarts it and the other waits for that."""

from __future__ import annotations

import asyncio

from enterprise_gateway.errors import GatewayError, being_shut_down, conflict, not_found
from enterprise_gateway.kernels.ability import check_can_end
from enterprise_gateway.kernels.acts import ActLost
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.starting import WITHDRAWN, StartActs, gone_meanwhile
from enterprise_gateway.kernels.stopping import SHUT_DOWN
from enterprise_gateway.kernels.takeover import Takeover
from enterprise_gateway.kernels.waiting import wait_until
from enterprise_gateway.kernels.work import Work, outcome
from persistence import clock, steps
from persistence.documents import KernelRecord
from persistence.phases import Phase, Target

RACES = 10


class Restarts:
    """Restart requests of this replica's clients."""

    def __init__(self, parts: KernelParts, acts: StartActs, takeover: Takeover) -> None:
        self._parts = parts
        self._acts = acts
        self._takeover = takeover

    async def restart(self, record: KernelRecord) -> KernelRecord:
        """Restart the kernel, or wait for the restart that is at work; returns its running record.

        Raises:
            GatewayError: 404 gone; 409 starting or being shut down; 503 out of reach; 500, 504 it did not come up.
            StoreUnavailable: The database is away. It is restarted all the same where that had begun.
        """
        for _ in range(RACES):
            await check_can_end(self._parts, record)
            try:
                if self._takeover.overdue(record):
                    return await self._takeover.finish(record)
                if record.phase == Phase.RESTARTING.value:
                    return await self._wait_for(record)
                self._check(record)
                doubt = asyncio.Event()
                restart = self._claim_and_run(record, doubt)
                return await outcome(self._parts.background.act(f"restart of {record.kernel_id}", restart), doubt)
            except ActLost as lost:
                if lost.record is None or not lost.record.live:
                    raise not_found(record.kernel_id) from lost
                record = lost.record
        raise conflict("The kernel is restarted by others all the time; try again.")

    def _check(self, record: KernelRecord) -> None:
        if record.target == Target.STOPPED.value or record.phase == Phase.STOPPING.value:
            raise being_shut_down()
        if record.phase != Phase.RUNNING.value:
            raise conflict("The kernel is still starting; restart it when it is ready.", "Kernel is starting")

    async def _claim_and_run(self, record: KernelRecord, doubt: asyncio.Event) -> KernelRecord:
        seconds = record.request.launch_timeout_seconds
        deadline = clock.Deadline(seconds + self._parts.settings.shutdown_wait_seconds)
        await self._parts.managers.headroom.check_for_kernel()  # the kernel that there is is better than none
        held = self._parts.held.get(record.kernel_id)
        foreign = held.foreign(record.process) if held is not None else None  # who sees the claim first lets it go
        act = self._parts.acts.new_act()
        step = steps.claim_restart(record, act=act, now=self._parts.store.clock.latest_now())
        claimed = await self._parts.acts.claim(step, act, give_up=deadline, doubt=doubt)
        work = Work(kernel_id=record.kernel_id, generation=claimed.generation)
        task = self._parts.background.act(
            f"restart of kernel {record.kernel_id}", self._acts.restart(claimed, work, deadline, foreign=foreign)
        )
        self._parts.work.add(work, task)
        return await outcome(task)

    async def _wait_for(self, record: KernelRecord) -> KernelRecord:
        """Wait for another's restart."""
        limit = clock.Deadline(2 * record.request.launch_timeout_seconds)

        def done(found: KernelRecord | None) -> bool:
            return found is None or found.phase != Phase.RESTARTING.value or self._takeover.overdue(found)

        found, _ = await wait_until(self._parts.store, self._parts.changes, record.kernel_id, done, limit)
        if found is None or not found.live:
            reason = found.reason if found is not None else None
            if reason in (None, WITHDRAWN, SHUT_DOWN):
                raise gone_meanwhile()
            raise GatewayError(500, "Kernel did not restart", f"The kernel did not restart: {reason}")
        if found.phase != Phase.RUNNING.value:
            raise ActLost("wait for restart", found)
        return found
