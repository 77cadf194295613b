"""Whether a session's client is at this replica: it has spoken here, and answers a ping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from enterprise_gateway.relay.flag import Flag
from enterprise_gateway.relay.mailbox import Outlet
from enterprise_gateway.relay.succession import within

SPEAK_SECONDS = 0.3  # a client that opens a WebSocket to use it says something at once
PONG_SECONDS = 1.0


class Presence:
    """The client of one connection.

    Args:
        outlets: Gives the WebSockets that are open.

    Attributes:
        yielded: Was a silent connection elsewhere let in, so that the kernel may not hear what is sent from here?
    """

    def __init__(self, outlets: Callable[[], Sequence[Outlet]]) -> None:
        self.yielded = False
        self._outlets = outlets
        self._spoken = Flag()

    def look(self) -> None:
        """The client has spoken, or a WebSocket has opened or closed."""
        if any(outlet.spoken for outlet in self._outlets()):
            self._spoken.set()
        else:
            self._spoken.clear()

    async def spoken(self) -> None:
        """Wait until the client speaks."""
        await self._spoken.wait()

    async def answers(self) -> bool:
        """Does a WebSocket answer a ping?"""
        return await _any_answers(self._outlets())

    async def yields(self) -> bool:
        """Let a silent connection elsewhere succeed this one, unless the client is here and has spoken."""
        if self._outlets():
            await within(SPEAK_SECONDS, self._spoken.wait())
            if await _any_answers(outlet for outlet in self._outlets() if outlet.spoken):
                return False
        self.yielded = True
        return True


async def _any_answers(outlets: Iterable[Outlet]) -> bool:
    return any(await asyncio.gather(*(outlet.answers(PONG_SECONDS) for outlet in outlets)))
