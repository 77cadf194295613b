"""What the relay of one kernel asks about its clients' connections: the database and the other replicas know it."""

from __future__ import annotations

from typing import Protocol

from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.openings import Openings
from enterprise_gateway.relay.claims import Claim, Former
from enterprise_gateway.relay.handover import Handover


class Fetcher(Protocol):
    """Asks other replicas."""

    async def fetch(self, kernel_id: str, key: str, former: Former, seconds: float) -> Handover | None:
        """End a connection on another replica and take what it has kept; None where that can't be had in time."""
        ...


class KernelReconnects:
    """Answers for one kernel."""

    def __init__(self, held: HeldKernel, openings: Openings, peers: Fetcher) -> None:
        self._held = held
        self._openings = openings
        self._peers = peers

    async def claim(self, key: str) -> Claim | None:
        """Make a connection here the session's newest; None where that can't be recorded now."""
        return await self._openings.claim(self._held, key)

    async def newest(self, key: str, n: int) -> bool | None:
        """Is this connection still the session's newest? None: nobody can say now."""
        return await self._openings.newest(self._held.kernel_id, key, n)

    async def fetch(self, key: str, former: Former, seconds: float) -> Handover | None:
        """End a connection on another replica and take what it has kept; None where that can't be had in time."""
        return await self._peers.fetch(self._held.kernel_id, key, former, seconds)
