"""Answers another replica about a client that has come to that one: may it come in there, and what was kept here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from enterprise_gateway.errors import GatewayError, forbidden, missing
from enterprise_gateway.kernels.held import HeldKernel, HeldKernels
from enterprise_gateway.peers.letters import ADMIT, HAND_OVER, Ask, Letters, NotGenuine
from enterprise_gateway.relay.handover import Handover, pack

YES, NO = b"yes", b"no"


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
            GatewayError: 403, no replica asks; 404, there is no such connection here (any more).
        """
        ask = self._opened(kernel_id, sealed, HAND_OVER)
        held = self._held.get(kernel_id)
        handover = None if held is None else await self._given(held, ask)
        if handover is None:
            raise missing("There is no such connection here.", "No such connection")
        return await asyncio.to_thread(lambda: self._letters.seal_answer(ask, pack(handover)))

    async def admit(self, kernel_id: str, sealed: str) -> bytes:
        """Say, sealed, whether a silent connection may succeed the one that is asked: `YES` or `NO`.

        Raises:
            GatewayError: 403, no replica asks.
        """
        ask = self._opened(kernel_id, sealed, ADMIT)
        held = self._held.get(kernel_id)
        admitted = held is None or await held.relay.admit(ask.key, ask.n, ask.seconds)
        return self._letters.seal_answer(ask, YES if admitted else NO)

    async def _given(self, held: HeldKernel, ask: Ask) -> Handover | None:
        given = await held.relay.give(ask.key, ask.n, ask.seconds)
        if given is None and held.claiming.locked():
            async with held.claiming:  # it may be the one whose place is being recorded
                pass
            given = await held.relay.give(ask.key, ask.n, ask.seconds)
        return given

    def _opened(self, kernel_id: str, sealed: str, purpose: str) -> Ask:
        try:
            ask = self._letters.open(kernel_id, sealed, purpose)
        except NotGenuine as error:
            raise refused() from error
        if not self._is_here(ask.replica):
            raise refused()
        return ask


def refused() -> GatewayError:
    """Answer who is no replica, or asks the wrong one. It does not say what was wrong."""
    return forbidden("Only replicas of this deployment may ask for this.")
