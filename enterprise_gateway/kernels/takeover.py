"""Acts that were left undone: finished by whoever meets them.

An act past its limit, or one whose actor is declared dead or unknown, is taken over by compare-and-set. A launch
past its request's deadline is ended, not launched again; a restart is tried once more; a stop is taken over as it is.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from enterprise_gateway.errors import not_found
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.starting import StartActs
from enterprise_gateway.kernels.stopping import StopActs
from enterprise_gateway.kernels.work import Work, outcome
from persistence import clock, steps
from persistence.documents import Act, KernelRecord, Step
from persistence.phases import Phase, Target

T = TypeVar("T")

_LIMITED = (Phase.QUEUED.value, Phase.LAUNCHING.value, Phase.RESTARTING.value, Phase.STOPPING.value)
LEFT_UNDONE = "its launch was left undone by the replica that began it"


class Takeover:
    """Finishes what others have left."""

    def __init__(self, parts: KernelParts, starting: StartActs, stopping: StopActs) -> None:
        self._parts = parts
        self._starting = starting
        self._stopping = stopping

    def overdue(self, record: KernelRecord) -> bool:
        """Is somebody's act on this kernel dead or past its limit?"""
        if record.act is None or record.phase not in _LIMITED:
            return False
        if self._parts.membership.gone(record.act.replica):
            return True
        return self._parts.acts.age_seconds(record.act) > self._limit_seconds(record)

    async def finish(self, record: KernelRecord) -> KernelRecord:
        """Take the act over and bring it to its end.

        Returns:
            The running record of a restart that was tried once more.

        Raises:
            ActLost: Somebody else has moved it meanwhile: look again.
            GatewayError: 404 a stop, or a launch that was too late, is over: the kernel is gone; 503 out of reach.
        """
        self._parts.managers.check_reach(record)
        act = self._parts.acts.new_act()
        claimed = await self._parts.acts.claim(self._claim(record, act), act, give_up=self._give_up())
        self._parts.log.info(
            "Took over the %s of kernel %s from replica %s",
            record.phase,
            record.kernel_id,
            record.act and record.act.replica,
        )
        if claimed.phase == Phase.STOPPING.value:
            await self._run(claimed, self._stopping.stop(claimed))
            raise not_found(record.kernel_id)
        if claimed.target == Target.STOPPED.value or not self._worth_trying(claimed):
            await self._run(claimed, self._starting.end_overdue(claimed, LEFT_UNDONE))
            raise not_found(record.kernel_id)
        return await self._again(claimed)

    async def _again(self, claimed: KernelRecord) -> KernelRecord:
        work = Work(kernel_id=claimed.kernel_id)
        deadline = clock.Deadline(claimed.request.launch_timeout_seconds)
        return await self._run(claimed, self._starting.restart(claimed, work, deadline, graceful=False), work)

    async def _run(self, record: KernelRecord, act: Coroutine[Any, Any, T], work: Work | None = None) -> T:
        task = self._parts.background.act(f"takeover of kernel {record.kernel_id}", act)
        self._parts.work.add(work or Work(kernel_id=record.kernel_id), task)
        return await outcome(task)

    def _claim(self, record: KernelRecord, act: Act) -> Step:
        if record.phase == Phase.STOPPING.value:
            return steps.take_over_stop(record, act=act)
        return steps.take_over_start(record, act=act, now=self._parts.store.clock.latest_now())

    def _worth_trying(self, record: KernelRecord) -> bool:
        if record.phase == Phase.RESTARTING.value:
            return True
        return self._parts.store.clock.latest_now() < record.request.deadline

    def _limit_seconds(self, record: KernelRecord) -> float:
        if record.phase == Phase.STOPPING.value:
            return self._parts.settings.stop_limit_seconds
        return 2 * record.request.launch_timeout_seconds

    def _give_up(self) -> clock.Deadline:
        return clock.Deadline(self._parts.settings.stop_limit_seconds)
