"""The act that ends a kernel: its process first, its record when that has been seen dead."""

from __future__ import annotations

from enterprise_gateway.errors import unavailable
from enterprise_gateway.kernels import ending
from enterprise_gateway.kernels.acts import ActLost
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.starting import ended_so
from persistence import clock, steps
from persistence.documents import KernelRecord

SHUT_DOWN = "shut down"


class StopActs:
    """Stops of this replica. A stop is a task of its own: it ends what it began, whoever stops to wait for it."""

    def __init__(self, parts: KernelParts) -> None:
        self._parts = parts

    async def stop(self, record: KernelRecord) -> None:
        """End the kernel of a claimed stop.

        Raises:
            GatewayError: 503, its process still exists after SIGKILL; the record stays `stopping`, to be tried again.
            ActLost: Another has taken the stop over, and is still at it.
            StoreUnavailable: The process has ended; its record is ended by whoever meets it next.
        """
        held = self._parts.held.get(record.kernel_id)
        idle = held is not None and held.known_idle(record.generation)
        serving = held.give_up(record.process) if held is not None else None
        try:
            await self._parts.managers.end_present(record, serving=serving, idle=idle)
        except ending.EndFailed as error:
            raise unavailable(f"The kernel can't be ended: {error}.", "Kernel can't be ended") from error
        await self._end_record(record)

    async def _end_record(self, record: KernelRecord) -> None:
        now = self._parts.store.clock.latest_now()
        reason = reason_to_stop(record)
        give_up = clock.Deadline(self._parts.settings.stop_limit_seconds)
        try:
            await self._parts.acts.apply(
                steps.end_act(record, reason=reason, now=now),
                lambda found: ended_so(found, record, reason),
                give_up=give_up,
            )
        except ActLost as lost:
            if _still_ending(lost.record, record):
                raise
        self._parts.log.info("Kernel %s was ended: %s", record.kernel_id, reason)
        held = self._parts.held.drop(record.kernel_id)
        if held is not None:
            held.end(None if reason == SHUT_DOWN else reason)
        self._parts.changes.changed(record.kernel_id)


def _still_ending(found: KernelRecord | None, record: KernelRecord) -> bool:
    """Is this stop not over yet, in whosever hands? A later generation is another kernel, of the same id."""
    return found is not None and found.live and found.generation == record.generation


def reason_to_stop(record: KernelRecord) -> str:
    """Say why a kernel is ended that somebody wants stopped: the record knows where that is not a client."""
    # Beside a count of automatic restarts the reason is another: why the generation before has died.
    return record.reason if record.reason is not None and not record.restarts else SHUT_DOWN
