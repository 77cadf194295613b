"""What the dead have left to do: found by a look at the records, done without a request.

Acts that are overdue are finished (see `takeover`), by any replica that can reach the kernel. Kernels of this machine
before its last boot are ended. Of several replicas that see the same, one wins the claim.
"""

from __future__ import annotations

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels.acts import ActLost
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.takeover import Takeover
from enterprise_gateway.provisioners.host import HostIdentity
from persistence import steps
from persistence.documents import KernelNotice
from persistence.errors import PersistenceError, StaleWrite


class Undone:
    """Finishes what nobody is at work on any more."""

    def __init__(self, parts: KernelParts, takeover: Takeover, host: HostIdentity) -> None:
        self._parts = parts
        self._takeover = takeover
        self._host = host
        self._at_work: set[str] = set()

    async def met(self, notice: KernelNotice) -> None:
        """Do what is left to do for a live kernel, if anything is.

        Raises:
            StoreUnavailable: It is for the next look.
        """
        if notice.host is not None and self._host.was(notice.host):
            await self._gone_with_its_host(notice)
        elif self._parts.managers.reaches(notice) and self._takeover.overdue(notice):
            self._finish_soon(notice.kernel_id)

    async def _gone_with_its_host(self, notice: KernelNotice) -> None:
        # Machines may be cloned, name and all. Then a replica lives there, as it can't on a machine that was rebooted.
        if notice.host is None or self._parts.membership.inhabited(notice.host.id):
            return
        reason = f"the machine {notice.host.name} was started anew"
        step = steps.end_with_host(notice, reason=reason, now=self._parts.store.clock.latest_now())
        try:
            await self._parts.store.kernels.apply(step)
        except StaleWrite:
            return
        self._parts.log.warning("Kernel %s is gone: %s", notice.kernel_id, reason)
        self._parts.changes.changed(notice.kernel_id)

    def _finish_soon(self, kernel_id: str) -> None:
        if kernel_id not in self._at_work and not self._parts.work.closed:
            self._at_work.add(kernel_id)
            task = self._parts.background.once(f"finish of kernel {kernel_id}", self._finish(kernel_id))
            task.add_done_callback(lambda _: self._at_work.discard(kernel_id))

    async def _finish(self, kernel_id: str) -> None:
        try:
            record = await self._parts.store.kernels.get(kernel_id)
            if record is not None and self._takeover.overdue(record):
                await self._takeover.finish(record)
        except ActLost:
            return  # somebody else was faster
        except (GatewayError, PersistenceError) as error:
            self._parts.log.debug("Of what was left undone on kernel %s: %s", kernel_id, error)
