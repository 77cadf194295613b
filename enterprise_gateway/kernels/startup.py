"""Bringing up one generation of a kernel: from a claimed record to a kernel that answers.

The order is the point. The child is forked but held at a gate; its pid and start time are stored by a compare-and-set
that also asks whether the kernel is still wanted; only then the gate opens. So no process runs that no record names,
and one whose record was lost to somebody else never begins. Whoever loses a step ends what he started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from logging import Logger, LoggerAdapter
from typing import Any

from enterprise_gateway.errors import GatewayError, timed_out
from enterprise_gateway.kernels import ending
from enterprise_gateway.kernels.acts import ActLost, Acts, holds
from enterprise_gateway.kernels.admission import Withdrawn
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.kernels.managers import LAUNCH_ERRORS, LaunchFailed, Managers, cannot_launch
from enterprise_gateway.relay.first_cell import IPYKERNEL, FirstCell
from enterprise_gateway.relay.probe import Questions
from persistence import clock, faults, steps
from persistence.documents import KernelRecord
from persistence.errors import PersistenceError, SealingKeyMissing, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.phases import Phase

TRIM_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Started:
    """A generation that answers."""

    record: KernelRecord
    manager: GatewayKernelManager
    connection: Mapping[str, Any]


class PerhapsRunning(Exception):
    """Nobody knows whether the record says that the kernel runs."""


class Startup:
    """Brings generations up."""

    def __init__(
        self,
        store: KernelSessionManager,
        acts: Acts,
        managers: Managers,
        log: Logger | LoggerAdapter[Any],
        *,
        first_cell: FirstCell | None = None,
    ) -> None:
        self._store = store
        self._acts = acts
        self._managers = managers
        self._log = log
        self._first_cell = first_cell or FirstCell()

    async def bring_up(self, record: KernelRecord, *, deadline: clock.Deadline, stop: asyncio.Event) -> Started:
        """Launch the generation that `record` names and wait until its kernel answers on shell.

        Args:
            record: With an act of this replica, in phase launching or restarting; also queued, where it is gated.
            deadline: When it must have answered.
            stop: Set when the kernel is not wanted any more.

        Raises:
            LaunchFailed: It did not come up; what was started has been ended, the record has not.
            Withdrawn: `stop` was set; likewise.
            ActLost: Somebody else has taken the kernel over; likewise.
            StoreUnavailable: Unknown. What was started has been ended, unless its record may say by now that it runs.
                The record is taken over by whoever meets it.
        """
        manager = await self._launched(record, deadline)
        try:
            stored = await self._store_process(record, manager, deadline)
            await manager.open()
            faults.reach("gate opened", record.kernel_id)
            kernel_info = await self._ready(manager, deadline, stop)
            faults.reach("kernel answered", record.kernel_id)
            running = await self._mark_running(stored, kernel_info, deadline)
        except (*LAUNCH_ERRORS, SealingKeyMissing) as error:
            await self._end_own(manager)
            raise LaunchFailed(cannot_launch(error)) from error
        except PerhapsRunning as unknown:
            # Clients may use it already. Whoever meets the record goes on with it, or ends it, which the record names.
            manager.close()
            raise StoreUnavailable(str(unknown)) from unknown
        except (LaunchFailed, Withdrawn, ActLost, PersistenceError):
            await self._end_own(manager)
            raise
        manager.started()
        return Started(record=running, manager=manager, connection=manager.connection())

    async def _launched(self, record: KernelRecord, deadline: clock.Deadline) -> GatewayKernelManager:
        if deadline.passed:
            raise LaunchFailed(not_begun(deadline.seconds))
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining_seconds)):
                return await self._managers.launched(record)
        except TimeoutError as error:
            # A disk, or a file system of the network, that hangs: nothing is at the gate yet, or it ends there.
            message = (
                f"The kernel could not be launched within {deadline.seconds:g} s: a directory of it does not answer."
            )
            raise LaunchFailed(timed_out(message, "Kernel did not start in time")) from error

    async def _store_process(
        self, record: KernelRecord, manager: GatewayKernelManager, deadline: clock.Deadline
    ) -> KernelRecord:
        step = await self._managers.store_process_step(record, manager)
        process = step.update["$set"]["process"]
        return await self._acts.apply(
            step, lambda found: holds(found, record.act) and found.process == process, give_up=deadline
        )

    async def _ready(
        self, manager: GatewayKernelManager, deadline: clock.Deadline, stop: asyncio.Event
    ) -> dict[str, Any]:
        """Return the kernel's answer to `kernel_info_request`."""
        answer = asyncio.ensure_future(self._greet(manager.connection(), deadline))
        death = asyncio.ensure_future(ending.gone(manager, None))
        stopped = asyncio.ensure_future(stop.wait())
        bounded = asyncio.ensure_future(self._bound_log(manager))
        racers = {answer, death, stopped, bounded}
        try:
            await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                raise Withdrawn
            if not answer.done():
                raise LaunchFailed(await self._died(manager))
            return self._answered(answer, deadline)
        finally:
            for racer in racers:
                racer.cancel()
            await asyncio.gather(*racers, return_exceptions=True)

    async def _greet(self, connection: Mapping[str, Any], deadline: clock.Deadline) -> dict[str, Any]:
        """Ask `kernel_info`, and have an ipykernel made ready for those who will listen."""
        with closing(Questions(connection, "shell")) as questions:
            answer = await questions.ask("kernel_info_request", {}, timeout_seconds=deadline.remaining_seconds)
            if answer.get("implementation") == IPYKERNEL:
                await self._first_cell.run(questions, connection, timeout_seconds=deadline.remaining_seconds)
        return answer

    async def _bound_log(self, manager: GatewayKernelManager) -> None:
        """Bound what a kernel writes before it is owned; one that does not come up may write as fast as the disk."""
        while True:
            await clock.sleep(TRIM_SECONDS)
            await self._managers.trim_log(manager)

    def _answered(self, answer: asyncio.Future[dict[str, Any]], deadline: clock.Deadline) -> dict[str, Any]:
        try:
            return answer.result()
        except TimeoutError as error:
            raise LaunchFailed(too_late(deadline.seconds)) from error

    async def _died(self, manager: GatewayKernelManager) -> GatewayError:
        return GatewayError(500, "Kernel died before it was ready", await self._managers.obituary(manager))

    async def _mark_running(
        self, record: KernelRecord, kernel_info: Mapping[str, Any], deadline: clock.Deadline
    ) -> KernelRecord:
        replica = record.act.replica if record.act else ""
        step = steps.mark_running(record, now=self._store.clock.latest_now(), kernel_info=kernel_info, replica=replica)

        def won(found: KernelRecord) -> bool:
            same = found.generation == record.generation and found.process == record.process
            return same and found.phase == Phase.RUNNING.value

        try:
            return await self._acts.apply(step, won, give_up=deadline)
        except StoreUnavailable as error:
            raise PerhapsRunning(str(error)) from error

    async def _end_own(self, manager: GatewayKernelManager) -> None:
        await self._managers.abandon(manager)


def not_begun(seconds: float) -> GatewayError:
    """504: an outage of the database, or the wait for its turn, has left the launch no time."""
    return timed_out(
        f"The launch of the kernel could not begin within {seconds:g} s. Try again.", "Kernel did not start in time"
    )


def too_late(seconds: float) -> GatewayError:
    """504: the kernel had so long to answer."""
    return timed_out(
        f"The kernel did not answer within {seconds:g} s, so its launch was stopped. "
        "Try again; a longer KERNEL_LAUNCH_TIMEOUT gives it more time.",
        "Kernel did not answer in time",
    )
