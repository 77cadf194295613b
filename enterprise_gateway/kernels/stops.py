"""Shutting a kernel down for a client, whatever it is doing and whoever is at work on it."""

from __future__ import annotations

import asyncio

from enterprise_gateway.errors import GatewayError, unavailable
from enterprise_gateway.kernels.ability import can_end, check_can_end
from enterprise_gateway.kernels.acts import ActLost
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.stopping import StopActs
from enterprise_gateway.kernels.takeover import Takeover
from enterprise_gateway.kernels.waiting import wait_until
from enterprise_gateway.kernels.work import Work, outcome
from persistence import clock, steps
from persistence.documents import KernelRecord
from persistence.errors import StaleWrite
from persistence.phases import Phase

RACES = 10


class NotClaimed(ActLost):
    """The kernel does not run as it was thought to, so that nothing was begun."""


class Stops:
    """Shutdown requests of this replica's clients."""

    def __init__(self, parts: KernelParts, acts: StopActs, takeover: Takeover) -> None:
        self._parts = parts
        self._acts = acts
        self._takeover = takeover

    async def shutdown(self, record: KernelRecord) -> None:
        """End the kernel and wait until its record is ended.

        Raises:
            GatewayError: 503 out of reach, or it can't be ended.
            StoreUnavailable: The database is away. It is ended all the same where that had begun.
        """
        for _ in range(RACES):
            if not record.live:
                return
            try:
                await self._once(record)
            except ActLost as lost:
                if lost.record is None:
                    return
                record = lost.record
                continue
            except GatewayError as error:
                if error.status != 404:
                    raise
            return
        raise unavailable("Others are at work on the kernel all the time; try again.")

    async def shutdown_owned(self, kernel_id: str) -> bool:
        """End a kernel that this replica watches and can reach: its record need not be read first.

        Returns:
            False if there is no such kernel here, or it could not be claimed: then `shutdown` knows what to do.

        Raises:
            GatewayError: 503, it can't be ended.
            StoreUnavailable: The database is away. It is ended all the same where that had begun.
        """
        held = self._parts.held.get(kernel_id)
        if held is None or not held.owned or held.manager is None or not held.manager.is_local:
            return False
        try:
            await self._stop_running(kernel_id, held.generation)
        except NotClaimed:
            return False
        except ActLost as lost:
            if lost.record is not None:  # another has taken the stop over
                await self.shutdown(lost.record)
        return True

    async def _once(self, record: KernelRecord) -> None:
        if not await can_end(self._parts, record):
            await self._ask_another(record)
        elif self._takeover.overdue(record):
            # Whoever finishes it finds the target, and stops instead of starting.
            await self._want_stopped(record)
            await self._takeover.finish(record)
        elif record.phase == Phase.RUNNING.value:
            await self._stop_running(record.kernel_id, record.generation)
        else:
            await self._ask_the_actor(record)

    async def _stop_running(self, kernel_id: str, generation: int) -> None:
        doubt = asyncio.Event()
        stop = self._claim_and_run(kernel_id, generation, doubt)
        await outcome(self._parts.background.act(f"shutdown of kernel {kernel_id}", stop), doubt)

    async def _claim_and_run(self, kernel_id: str, generation: int, doubt: asyncio.Event) -> None:
        act = self._parts.acts.new_act()
        give_up = clock.Deadline(self._parts.settings.stop_limit_seconds)
        step = steps.claim_stop(kernel_id, generation, act=act)
        try:
            claimed = await self._parts.acts.claim(step, act, give_up=give_up, doubt=doubt)
        except ActLost as lost:
            raise NotClaimed(step.name, lost.record) from lost
        task = self._parts.background.act(f"stop of kernel {kernel_id}", self._acts.stop(claimed))
        self._parts.work.add(Work(kernel_id=kernel_id, generation=generation), task)
        await outcome(task)

    async def _ask_the_actor(self, record: KernelRecord) -> None:
        """Somebody starts, restarts or stops it: he ends it."""
        await self._want_stopped(record)
        self._parts.work.stop(record.kernel_id, record.generation)
        limit = clock.Deadline(self._parts.settings.stop_limit_seconds + record.request.launch_timeout_seconds)

        def done(found: KernelRecord | None) -> bool:
            at_work = found is not None and found.live and found.phase != Phase.RUNNING.value
            return not at_work or (found is not None and self._takeover.overdue(found))

        found, finished = await wait_until(self._parts.store, self._parts.changes, record.kernel_id, done, limit)
        if found is None or not found.live:
            return
        if not finished:
            raise still_ending()
        raise ActLost("wait for the end", found)

    async def _ask_another(self, record: KernelRecord) -> None:
        """Its owner, who can, sees with his next beat that it is to be stopped, and does it."""
        await self._want_stopped(record)
        limit = clock.Deadline(self._parts.settings.stop_limit_seconds)

        def ended(found: KernelRecord | None) -> bool:
            return found is None or not found.live

        _, done = await wait_until(self._parts.store, self._parts.changes, record.kernel_id, ended, limit)
        if not done:
            await check_can_end(self._parts, record)
            raise still_ending()

    async def _want_stopped(self, record: KernelRecord) -> None:
        try:
            await self._parts.store.kernels.apply(steps.want_stopped(record.kernel_id))
        except StaleWrite:
            return


def still_ending() -> GatewayError:
    """What a client is told whose patience the end of its kernel has outlasted."""
    return unavailable("The kernel is still being ended. Try again.", "Kernel is being shut down")
