"""The acts that bring a kernel up: launch, restart, and the finishing of one that its actor left undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from enterprise_gateway.errors import GatewayError, conflict, timed_out, unavailable
from enterprise_gateway.kernels import ending
from enterprise_gateway.kernels.acts import ActLost, holds
from enterprise_gateway.kernels.admission import Withdrawn
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.hydrate import Hydrator
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.kernels.managers import LaunchFailed
from enterprise_gateway.kernels.ownership import Ownership
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.startup import Started, Startup
from enterprise_gateway.kernels.work import Work
from persistence import clock, steps
from persistence.documents import KernelRecord
from persistence.errors import PersistenceError, StoreUnavailable
from persistence.phases import Phase

WITHDRAWN = "shut down while it was starting"


class StartActs:
    """Launches and restarts of this replica. Each method is one act, run as a task of its own to its end."""

    def __init__(self, parts: KernelParts, startup: Startup, hydrator: Hydrator, ownership: Ownership) -> None:
        self._parts = parts
        self._startup = startup
        self._hydrator = hydrator
        self._ownership = ownership

    async def launch(self, record: KernelRecord, work: Work, deadline: clock.Deadline) -> KernelRecord:
        """Bring a queued kernel up when its turn comes; returns its running record.

        Raises:
            GatewayError: It did not come up; its record says why.
        """

        async def body() -> Started:
            async with self._parts.admission.admitted(record.username, deadline, work.stop):
                begun = record if self._parts.managers.gated(record) else await self._begin(record, deadline)
                return await self._startup.bring_up(begun, deadline=deadline, stop=work.stop)

        return await self._to_its_end(record, body, deadline.seconds)

    async def restart(
        self,
        record: KernelRecord,
        work: Work,
        deadline: clock.Deadline,
        *,
        graceful: bool = True,
        dead: GatewayKernelManager | None = None,
        foreign: GatewayKernelManager | None = None,
    ) -> KernelRecord:
        """Go on from a claimed restart, or a launch or restart that was taken over: end the former process, bring up.

        Args:
            record: As the claim returned it: it names what is to be ended.
            work: This act.
            deadline: When the former process must have ended. From its end on the new one has a launch's whole time:
                there is no kernel any more to fall back on.
            graceful: Is the former process a kernel that can be asked to end?
            dead: Of the former generation, where its process was seen dead before the claim: it need not be looked for.
            foreign: Of the former generation, where it may be that no other object can end it.

        Raises:
            GatewayError: The former process can't be ended, or the new one did not come up; the record says why.
        """
        held = self._parts.held.get(record.kernel_id)
        if held is not None:
            held.pause(record)

        seconds = record.request.launch_timeout_seconds

        async def body() -> Started:
            ready = await self._end_former(record, deadline, graceful=graceful, dead=dead, foreign=foreign)
            answered = clock.Deadline(seconds)
            async with self._parts.admission.admitted(record.username, answered, work.stop):
                return await self._startup.bring_up(ready, deadline=answered, stop=work.stop)

        return await self._to_its_end(record, body, seconds)

    async def end_overdue(self, record: KernelRecord, reason: str) -> None:
        """End a launch that was taken over after its deadline: what it had started, then its record."""
        deadline = clock.Deadline(self._parts.settings.stop_limit_seconds)
        ready = await self._end_former(record, deadline, graceful=False)
        await self._end(ready, reason)

    async def _begin(self, record: KernelRecord, deadline: clock.Deadline) -> KernelRecord:
        def won(found: KernelRecord) -> bool:
            return holds(found, record.act) and found.phase == Phase.LAUNCHING.value

        return await self._parts.acts.apply(steps.begin_launch(record), won, give_up=deadline)

    async def _end_former(
        self,
        record: KernelRecord,
        deadline: clock.Deadline,
        *,
        graceful: bool,
        dead: GatewayKernelManager | None = None,
        foreign: GatewayKernelManager | None = None,
    ) -> KernelRecord:
        if record.former is None:
            return record
        if dead is None:
            await self._parts.managers.end_former(record, graceful=graceful, foreign=foreign)
        else:
            await self._parts.managers.discard(dead)
        return await self._parts.acts.apply(
            steps.former_is_dead(record),
            lambda found: holds(found, record.act) and found.former is None,
            give_up=deadline,
        )

    async def _to_its_end(
        self, record: KernelRecord, body: Callable[[], Awaitable[Started]], seconds: float
    ) -> KernelRecord:
        try:
            started = await body()
        except Withdrawn:
            raise await self._failed(record, gone_meanwhile(), WITHDRAWN) from None
        except TimeoutError as error:
            raise await self._failed(record, waited_too_long(seconds)) from error
        except LaunchFailed as failure:
            raise await self._failed(record, failure.answer) from failure
        except ending.EndFailed as error:
            raise unavailable(f"The kernel can't be ended: {error}.", "Kernel can't be ended") from error
        except ActLost as lost:
            raise await self._lost(record, lost) from lost
        except StoreUnavailable:
            raise  # whoever meets the record finishes it
        except PersistenceError as error:
            raise await self._failed(record, refused_by_database(error)) from error
        await self._install(started)
        self._parts.log.info(
            "Kernel %s (%s) of %s is running, generation %s",
            record.kernel_id,
            record.kernel_name,
            record.username,
            record.generation,
        )
        return started.record

    async def _lost(self, record: KernelRecord, lost: ActLost) -> GatewayError:
        """Somebody wanted it stopped, which is this act's to do; or has taken it over, and this act is over."""
        if lost.record is not None and holds(lost.record, record.act):
            return await self._failed(lost.record, gone_meanwhile(), WITHDRAWN)
        return gone_meanwhile() if lost.record is None or not lost.record.live else taken_over()

    async def _failed(self, record: KernelRecord, answer: GatewayError, reason: str | None = None) -> GatewayError:
        """End the record, and return the answer; another one where somebody else is at work on the kernel by now."""
        ended = await self._end(record, reason or answer.message, repeatable=answer.status == 503)
        return answer if ended else taken_over()

    async def _end(self, record: KernelRecord, reason: str, *, repeatable: bool = False) -> bool:
        """End the record as this act; False where the kernel lives on as somebody else's."""
        now = self._parts.store.clock.latest_now()
        give_up = clock.Deadline(self._parts.settings.stop_limit_seconds)
        try:
            await self._parts.acts.apply(
                steps.end_act(record, reason=reason, now=now, repeatable=repeatable),
                lambda found: ended_so(found, record, reason),
                give_up=give_up,
            )
            self._parts.log.warning("Kernel %s did not come up: %s", record.kernel_id, reason)
        except ActLost as lost:
            return lost.record is None or not lost.record.live
        finally:
            self._parts.changes.changed(record.kernel_id)
        held = self._parts.held.drop(record.kernel_id)
        if held is not None:
            held.end(reason)
        return True

    async def _install(self, started: Started) -> HeldKernel:
        held = self._hydrator.hold(started.record.kernel_id)
        held.activity.new_generation("idle")
        held.activity.used()
        held.recorded_state = "idle"
        held.unvisited = not started.record.clients
        try:
            await held.serve(started.record.generation, started.manager, started.connection, started.record.kernel_info)
            await self._ownership.own(held, started.record)
        except GatewayError as error:
            # It runs, and is recorded: the next look joins it.
            self._parts.log.warning("Kernel %s runs, and can't be heard yet: %s", held.kernel_id, error)
        self._parts.changes.changed(started.record.kernel_id)
        return held


def ended_so(found: KernelRecord, record: KernelRecord, reason: str) -> bool:
    """Has this generation's record been ended with this reason?"""
    return found.phase == Phase.ENDED.value and found.generation == record.generation and found.reason == reason


def gone_meanwhile() -> GatewayError:
    """Answer whoever waits for a kernel that somebody else shut down."""
    return conflict("The kernel was shut down while it was starting.", "Kernel was shut down")


def taken_over() -> GatewayError:
    """Answer whoever waits for an act that was overdue here (a pause, an outage): another replica goes on with it."""
    return unavailable("Another replica has taken the kernel over, and goes on with it. Try again.", "Taken over")


def refused_by_database(error: PersistenceError) -> GatewayError:
    """Answer a start whose record the database would not take."""
    return unavailable(f"The database has refused to record the kernel: {error}.", "Database refused")


def waited_too_long(seconds: float) -> GatewayError:
    """Answer a start whose turn did not come in time."""
    return timed_out(
        f"Too many kernels are starting: this one's turn did not come within {seconds:g} s. Try again.",
        "Kernel did not start in time",
    )
