"""How a connection whose client has not spoken comes to be recorded as its session's next one.

A client may open a WebSocket, give it up without closing it, and open another one, which a balancer sends to another
replica. Whichever is recorded last would take the session. So who is silent asks the former connection first, and is
not recorded, but closed, if the client is there: it answers a ping, and has spoken. Who speaks is recorded at once.

The former connection, once it has let a silent one in, sends no request of its client any more until it is recorded
anew: by then its DEALERs may be deaf. A former connection that can't be asked in time lets in.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from enterprise_gateway.relay.claims import Former, Place, Reconnects
from enterprise_gateway.relay.flag import Flag


class Guest(Protocol):
    """The session that wants to come in."""

    @property
    def arrivals(self) -> int:
        """How often its client has come again."""
        ...

    async def spoken(self) -> None:
        """Wait until its client speaks."""
        ...

    async def is_there(self) -> bool:
        """Does its client answer a ping?"""
        ...

    async def admitted_here(self, n: int) -> bool:
        """Does another connection of the session on this replica let this one succeed it?"""
        ...


class Entry:
    """The way of one connection into the record.

    Args:
        key: The session.
        reconnects: Who knows of the others.
        guest: The session here.
    """

    def __init__(self, key: str, reconnects: Reconnects, guest: Guest) -> None:
        self._key = key
        self._reconnects = reconnects
        self._guest = guest
        self._decided = Flag()

    async def decided(self) -> None:
        """Wait until it is being recorded, or stands aside."""
        await self._decided.wait()

    async def enter(self, former: Former) -> Place:
        """Be recorded after this one, or after those that came meanwhile.

        Returns:
            The former connection that the client is at, if it is there and not here: nothing was recorded.
        """
        spoken = asyncio.ensure_future(self._guest.spoken())
        try:
            place: Place = former
            while isinstance(place, Former):
                self._decided.clear()
                arrivals = self._guest.arrivals
                if not await self._admitted(place, spoken):
                    if arrivals == self._guest.arrivals:
                        return place
                    continue  # the answer was about the time before the client came here
                self._decided.set()
                place = await self._reconnects.claim(self._key, after=None if spoken.done() else place)
                if isinstance(place, Former) and not spoken.done() and not await self._guest.is_there():
                    return place  # the client has gone on to that one
            return place
        finally:
            spoken.cancel()
            self._decided.set()

    async def _admitted(self, former: Former, spoken: asyncio.Future[None]) -> bool:
        """Ask the former connection, until the client speaks here."""
        if spoken.done():
            return True
        asking = self._guest.admitted_here(former.n) if former.here else self._reconnects.admits(self._key, former)
        asked = asyncio.ensure_future(asking)
        either: set[asyncio.Future[Any]] = {asked, spoken}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return spoken.done() or asked.result()
        finally:
            asked.cancel()
