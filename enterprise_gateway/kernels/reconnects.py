"""What the relay of one kernel asks about its clients' connections: the database and the other replicas know it."""

from __future__ import annotations

from typing import Protocol

from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.openings import Openings
from enterprise_gateway.relay.claims import Former, Place
from enterprise_gateway.relay.handover import Handover
from persistence import faults


class Others(Protocol):
    """Asks other replicas."""

    async def admits(self, kernel_id: str, key: str, former: Former) -> bool:
        """Ask whether a silent connection may succeed this one; True also where no answer can be had."""
        ...

    async def supersede(self, kernel_id: str, key: str, former: Former, seconds: float) -> bool:
        """Tell a connection on another replica that it has a successor; True once no DEALERs come after."""
        ...

    async def fetch(self, kernel_id: str, key: str, former: Former, seconds: float) -> Handover | None:
        """End a connection on another replica and take what it has kept; None where that can't be had in time."""
        ...


class KernelReconnects:
    """Answers for one kernel."""

    def __init__(self, held: HeldKernel, openings: Openings, peers: Others) -> None:
        self._held = held
        self._openings = openings
        self._peers = peers

    async def claim(self, key: str, *, after: Former | None = None) -> Place:
        """Make a connection here the session's newest; with `after` only if that one is the newest until then."""
        return await self._openings.claim(self._held, key, after=after)

    async def admits(self, key: str, former: Former) -> bool:
        """Ask a connection elsewhere to let a silent one succeed it; False while its own client is there and speaks."""
        return await self._peers.admits(self._held.kernel_id, key, former)

    async def supersede(self, key: str, former: Former, seconds: float) -> bool:
        """Tell a connection elsewhere that it has a successor; True once no DEALERs come after."""
        return await self._peers.supersede(self._held.kernel_id, key, former, seconds)

    async def newest(self, key: str, n: int) -> bool | None:
        """Is this connection still the session's newest? None: nobody can say now."""
        return await self._openings.newest(self._held.kernel_id, key, n)

    async def fetch(self, key: str, former: Former, seconds: float) -> Handover | None:
        """End a connection on another replica and take what it has kept; None where that can't be had in time."""
        faults.reach("before fetch", self._held.kernel_id)
        fetched = await self._peers.fetch(self._held.kernel_id, key, former, seconds)
        faults.reach("fetched", self._held.kernel_id)
        return fetched
