"""Acts that were left undone: finished by whoever meets them.

An act past its limit, or one whose actor is declared dead or unknown, is taken over by compare-and-set. A launch is
tried once more where its client may come back for it and there is time, else it is ended. A restart is tried once more,
a stop is taken over as it is.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from enterprise_gateway.errors import not_found
from enterprise_gateway.kernels.ability import check_can_end
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.starting import WITHDRAWN, StartActs
from enterprise_gateway.kernels.stopping import StopActs
from enterprise_gateway.kernels.work import Work, outcome
from persistence import clock, steps
from persistence.documents import Act, KernelNotice, KernelRecord, RequestDoc, Step
from persistence.phases import AT_WORK, Phase, Target

T = TypeVar("T")

LEFT_UNDONE = "its launch was left undone by the replica that began it"


class Takeover:
    """Finishes what others have left."""

    def __init__(self, parts: KernelParts, starting: StartActs, stopping: StopActs) -> None:
        self._parts = parts
        self._starting = starting
        self._stopping = stopping

    def overdue(self, kernel: KernelRecord | KernelNotice) -> bool:
        """Is somebody's act on this kernel dead or past its limit?"""
        if kernel.act is None or kernel.phase not in AT_WORK:
            return False
        if self._parts.membership.gone(kernel.act.replica):
            return True
        limit = limit_seconds(kernel, self._parts.settings.stop_limit_seconds)
        return self._parts.acts.age_seconds(kernel.act) > limit

    async def finish(self, record: KernelRecord) -> KernelRecord:
        """Take the act over and bring it to its end.

        Returns:
            The running record of a restart that was tried once more.

        Raises:
            ActLost: Somebody else has moved it meanwhile: look again.
            GatewayError: 404 a stop, or a launch that was too late, is over: the kernel is gone; 503 out of reach.
        """
        await check_can_end(self._parts, record)
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
            reason = WITHDRAWN if claimed.target == Target.STOPPED.value else LEFT_UNDONE
            await self._run(claimed, self._starting.end_overdue(claimed, reason))
            raise not_found(record.kernel_id)
        return await self._again(claimed)

    async def _again(self, claimed: KernelRecord) -> KernelRecord:
        work = Work(kernel_id=claimed.kernel_id, generation=claimed.generation)
        deadline = clock.Deadline(claimed.request.launch_timeout_seconds)
        return await self._run(claimed, self._starting.restart(claimed, work, deadline, graceful=False), work)

    async def _run(self, record: KernelRecord, act: Coroutine[Any, Any, T], work: Work | None = None) -> T:
        task = self._parts.background.act(f"takeover of kernel {record.kernel_id}", act)
        self._parts.work.add(work or Work(kernel_id=record.kernel_id, generation=record.generation), task)
        return await outcome(task)

    def _claim(self, record: KernelRecord, act: Act) -> Step:
        if record.phase == Phase.STOPPING.value:
            return steps.take_over_stop(record, act=act)
        return steps.take_over_start(record, act=act, now=self._parts.store.clock.latest_now())

    def _worth_trying(self, record: KernelRecord) -> bool:
        if record.phase == Phase.RESTARTING.value:
            return True
        return self._awaited(record.request) and self._parts.store.clock.latest_now() < record.request.deadline

    def _awaited(self, request: RequestDoc) -> bool:
        """Does the client know the kernel's id, or can it ask again? One that can't has lost it with its connection."""
        return request.has_id or request.key is not None or self._parts.settings.answer_before_ready

    def _give_up(self) -> clock.Deadline:
        return clock.Deadline(self._parts.settings.stop_limit_seconds)


def limit_seconds(kernel: KernelRecord | KernelNotice, stop_limit_seconds: float) -> float:
    """How long an act may be at work before another takes it over: twice what it needs. A restart is end and start."""
    if kernel.phase == Phase.STOPPING.value:
        return stop_limit_seconds
    launching = 2 * kernel.launch_timeout_seconds
    return stop_limit_seconds + launching if kernel.phase == Phase.RESTARTING.value else launching
