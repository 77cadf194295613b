"""What concerns this replica: seen once a beat, at once where the database has change streams, by one query.

The record is the truth: a kernel that was ended elsewhere is dead to the clients here too, one that was restarted gets
fresh sockets, one that its owner released is adopted; what was left undone is finished, what was left over is swept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.hydrate import Hydrator
from enterprise_gateway.kernels.managers import LAUNCH_ERRORS
from enterprise_gateway.kernels.ownership import Ownership
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.sweep import Sweep
from enterprise_gateway.kernels.undone import Undone
from persistence.documents import KernelNotice
from persistence.errors import StoreUnavailable
from persistence.phases import Phase, Target

# A replica that comes back may have a thousand kernels to watch, and each waits for the database and the kernel.
HYDRATED_AT_ONCE = 16


class Noticing:
    """Brings what is held here in line with the records."""

    def __init__(
        self,
        parts: KernelParts,
        hydrator: Hydrator,
        ownership: Ownership,
        *,
        undone: Undone,
        sweep: Sweep,
        shutdown: Callable[[str], Awaitable[None]],
    ) -> None:
        self._parts = parts
        self._undone = undone
        self._sweep = sweep
        self._shutdown = shutdown
        self._hydrator = hydrator
        self._ownership = ownership
        self._short = False

    async def look(self) -> None:
        """Ask once about all kernels that concern this replica, and act on what differs.

        Raises:
            StoreUnavailable: Nothing was learned, and nothing is changed.
        """
        census = await self._sweep.census()  # before the records are read
        asked = self._parts.held.ids
        notices = await self._parts.store.kernels.notices(
            self._parts.membership.replica_id,
            self._parts.managers.host.to_doc(),
            {*asked, *(census.kernel_ids if census else ())},
            surely=census is not None,
        )
        if census is not None:
            await self._sweep.clear(census, notices)
        seen = {notice.kernel_id for notice in notices}
        await self._hydrate_all([notice.kernel_id for notice in notices if await self._notice(notice)])
        for kernel_id in asked:
            if kernel_id not in seen:
                await self._missing(kernel_id)

    async def _notice(self, notice: KernelNotice) -> bool:
        """Act on what a record says; True if the kernel is to be hydrated for it."""
        if notice.target == Target.STOPPED.value:
            self._parts.work.stop(notice.kernel_id, notice.generation)
        if notice.live:
            await self._undone.met(notice)
        held = self._parts.held.get(notice.kernel_id)
        if notice.phase == Phase.ENDED.value:
            self._ended(held, notice)
        elif notice.phase == Phase.RUNNING.value and notice.target == Target.STOPPED.value:
            self._wanted_stopped(notice)
        elif notice.phase == Phase.RUNNING.value:
            return self._to_hydrate(held, notice)
        elif held is not None and notice.phase == Phase.RESTARTING.value and held.generation < notice.generation:
            held.pause(notice)
        return False

    def _ended(self, held: HeldKernel | None, notice: KernelNotice) -> None:
        if held is None or held.generation > notice.generation:
            return
        self._parts.held.drop(notice.kernel_id)
        held.end(notice.reason)

    def _wanted_stopped(self, notice: KernelNotice) -> None:
        """A replica that can't reach the kernel, or died over it, wants it stopped: its owner does it."""
        mine = notice.owner == self._parts.membership.replica_id or self._orphaned(notice)
        if mine and notice.kernel_id not in self._parts.work.kernel_ids:
            self._parts.background.once(f"stop of kernel {notice.kernel_id}", self._stop(notice.kernel_id))

    async def _stop(self, kernel_id: str) -> None:
        try:
            await self._shutdown(kernel_id)
        except (GatewayError, StoreUnavailable) as error:
            self._parts.log.info("Kernel %s could not be stopped yet: %s", kernel_id, error)

    def _to_hydrate(self, held: HeldKernel | None, notice: KernelNotice) -> bool:
        mine = notice.owner == self._parts.membership.replica_id
        if held is not None and held.owned and not mine:
            held.release()
        behind = held is not None and held.generation < notice.generation
        to_watch = mine and (held is None or not held.owned or not held.bound)
        # Those of the dead are not taken by whoever looks first: the leader spreads them, in the pass that declares it.
        released = notice.owner is None and self._parts.managers.reaches(notice)
        return behind or to_watch or released

    def _orphaned(self, notice: KernelNotice) -> bool:
        ownerless = notice.owner is None or self._parts.membership.gone(notice.owner)
        return ownerless and self._parts.managers.reaches(notice)

    async def _hydrate_all(self, kernel_ids: Sequence[str]) -> None:
        left = iter(kernel_ids)

        async def hydrate_some() -> None:
            for kernel_id in left:
                if self._parts.held.get(kernel_id) is not None or self._room():
                    await self._hydrate(kernel_id)

        some = (hydrate_some() for _ in range(min(HYDRATED_AT_ONCE, len(kernel_ids))))
        for failure in await asyncio.gather(*some, return_exceptions=True):
            if failure is not None:
                raise failure

    def _room(self) -> bool:
        """May this process open what one more kernel needs, and answer requests all the same?"""
        try:
            self._parts.managers.headroom.check_for_client()
        except GatewayError as error:
            if not self._short:
                self._parts.log.error("Not all kernels of this host can be watched from here: %s", error.message)
            self._short = True
            return False
        self._short = False
        return True

    async def _hydrate(self, kernel_id: str) -> None:
        record = await self._parts.store.kernels.get(kernel_id)
        if record is None:
            return
        try:
            await self._hydrator.hydrate(record)
        except (GatewayError, *LAUNCH_ERRORS) as error:
            # One kernel's trouble, or too few descriptors: not to end the look at the others, nor all later looks.
            self._parts.log.debug("Kernel %s can't be served from here now: %s", kernel_id, error)

    async def _missing(self, kernel_id: str) -> None:
        """Held, and without a record: gone for sure only if a linearizable read says so too."""
        held = self._parts.held.get(kernel_id)
        if held is None or await self._parts.store.kernels.get_surely(kernel_id) is not None:
            return
        self._parts.held.drop(kernel_id)
        held.end(None)
