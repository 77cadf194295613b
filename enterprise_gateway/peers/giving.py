"""Answers another replica about a client that has come to that one: may it come in there, and what was kept here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from enterprise_gateway.errors import GatewayError, forbidden, missing
from enterprise_gateway.kernels.held import HeldKernel, HeldKernels
from enterprise_gateway.peers.letters import ADMIT, HAND_OVER, SUPERSEDE, Ask, Letters, NotGenuine
from enterprise_gateway.relay.handover import pack
from enterprise_gateway.relay.relay import Relay

YES, NO = b"yes", b"no"

T = TypeVar("T")


class Handovers:
    """Answers the asks of other replicas.

    Args:
        held: The kernels that are held here.
        letters: Opens the asks.
        is_here: Is, or was, this an id of this replica?
    """

    def __init__(self, held: HeldKernels, letters: Letters, is_here: Callable[[str], bool]) -> None:
        self._held = held
        self._letters = letters
        self._is_here = is_here

    async def give(self, kernel_id: str, sealed: str) -> bytes:
        """End the connection that is asked for, and return, sealed, what it has kept.

        Raises:
            GatewayError: 403, no replica asks; 404, there is no such connection here (any more), or another replica is
                asked.
        """
        ask = self._opened(kernel_id, sealed, HAND_OVER)
        held = self._held.get(kernel_id)
        handover = None if held is None else await _found(held, lambda relay: relay.give(ask.key, ask.n, ask.seconds))
        if handover is None:
            raise missing("There is no such connection here.", "No such connection")
        return await asyncio.to_thread(lambda: self._letters.seal_answer(ask, pack(handover)))

    async def admit(self, kernel_id: str, sealed: str) -> bytes:
        """Say, sealed, whether a silent connection may succeed the one that is asked: `YES` or `NO`.

        Raises:
            GatewayError: 403, no replica asks; 404, it asks another one.
        """
        ask = self._opened(kernel_id, sealed, ADMIT)
        return await self._answer(ask, lambda relay: relay.admit(ask.key, ask.n, ask.seconds))

    async def supersede(self, kernel_id: str, sealed: str) -> bytes:
        """Tell the connection that is asked that it has a successor.

        Returns:
            Sealed, `YES` once neither it nor one before it makes DEALERs, as where it is not here; `NO` if that is not
            sure.

        Raises:
            GatewayError: 403, no replica asks; 404, it asks another one.
        """
        ask = self._opened(kernel_id, sealed, SUPERSEDE)
        return await self._answer(ask, lambda relay: relay.supersede(ask.key, ask.n, ask.seconds))

    async def _answer(self, ask: Ask, look: Callable[[Relay], Awaitable[bool | None]]) -> bytes:
        """Answer for a connection: one that is not here is in nobody's way."""
        held = self._held.get(ask.kernel_id)
        answer = None if held is None else await _found(held, look)
        return self._letters.seal_answer(ask, NO if answer is False else YES)

    def _opened(self, kernel_id: str, sealed: str, purpose: str) -> Ask:
        try:
            ask = self._letters.open(kernel_id, sealed, purpose)
        except NotGenuine as error:
            raise refused() from error
        if not self._is_here(ask.replica):
            raise missing("The replica that is asked has gone; another one listens here now.", "Another replica")
        return ask


async def _found(held: HeldKernel, look: Callable[[Relay], Awaitable[T | None]]) -> T | None:
    """Look for a connection, and again if it may be the one whose place is being recorded."""
    found = await look(held.relay)
    if found is None and held.claiming.locked():
        async with held.claiming:
            pass
        found = await look(held.relay)
    return found


def refused() -> GatewayError:
    """Answer who is no replica, or asks the wrong one. It does not say what was wrong."""
    return forbidden("Only replicas of this deployment may ask for this.")
