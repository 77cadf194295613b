"""How one connection of a session takes over from the former one, wherever that is.

1. It is recorded as the session's newest, which also says which one was before (`Claim`).
2. Its DEALERs are made only within a second of having read that it is the newest still.
3. When the kernel has seen these, it fetches what the former connection has kept, and thereby ends it. Who is asked and
   has not fetched himself does so first. A connection that was superseded fetches only when it is asked.

No sockets and no HTTP here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from enterprise_gateway.relay.claims import FRESH_SECONDS, Claim, Former, Reconnects
from enterprise_gateway.relay.handover import Handover
from persistence import clock

STAND_PATIENCE_SECONDS = 3.0  # a kernel that sees no DEALER in that time sends none of its replies either
FETCH_SECONDS = 4.0
LOOK_AGAIN_SECONDS = 1.0


class Heir(Protocol):
    """The session here, as it takes over."""

    @property
    def hands_over(self) -> bool:
        """Does the kernel give its replies to the newest DEALER?"""
        ...

    @property
    def gave_way(self) -> bool:
        """Has it no DEALERs, for a newer connection was found?"""
        ...

    async def settled(self) -> None:
        """Wait until its DEALERs stand, or there won't be any now."""
        ...

    def succeed(self, handover: Handover | None) -> None:
        """Here is what the former connection has kept, or nothing."""
        ...


class Succession:
    """The order of a session's connections, as one of them keeps it.

    Args:
        key: The session.
        reconnects: Who knows of the others; None: nobody does.
        heir: The session here.

    Attributes:
        claim: The connection's place; None while it could not be recorded.
    """

    def __init__(self, key: str, reconnects: Reconnects | None, heir: Heir) -> None:
        self.claim: Claim | None = None
        self._key = key
        self._reconnects = reconnects
        self._heir = heir
        self._fresh = clock.Deadline(0.0)
        self._asked = asyncio.Event()
        self._asked_within = FETCH_SECONDS
        self._caught_up = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def n(self) -> int | None:
        """The connection's number."""
        return None if self.claim is None else self.claim.n

    @property
    def recorded(self) -> bool:
        """Is its place known to be recorded?"""
        return self.claim is not None and self.claim.sure

    @property
    def caught_up(self) -> bool:
        """Has it what the former connection has kept?"""
        return self._caught_up.is_set()

    def begin(self, claim: Claim | None) -> bool:
        """Take over; False if there is nobody to take over from."""
        self._take_place(claim)
        former = _elsewhere(claim)
        if former is None:
            self._caught_up.set()
            return False
        self._start(self._take_over(former))
        return True

    def renumber(self, claim: Claim | None) -> None:
        """The same session has connected here again: it goes on as its next connection."""
        self._take_place(claim)
        former = _elsewhere(claim)
        if former is not None:
            # The database was away when this one opened. Its client has got what the kernel sent since then, so what
            # is kept elsewhere is too old to be sent.
            self._start(self._discard(former))

    async def may_connect(self) -> bool:
        """Wait until DEALERs may be made; False if a newer connection of the session has them."""
        if not self._heir.hands_over:
            await self._caught_up.wait()  # the former's have to go first
        while (claim := self.claim) is not None and self._reconnects is not None and self._fresh.passed:
            fresh = clock.Deadline(FRESH_SECONDS)
            newest = await self._reconnects.newest(self._key, claim.n)
            if claim is not self.claim:
                continue
            if newest is False:
                return False
            if newest:
                self._fresh = fresh
            else:
                await clock.sleep(LOOK_AGAIN_SECONDS)
        return True

    def look_again(self) -> None:
        """Rely no longer on what was read: time has passed in which a newer connection may have come."""
        self._fresh = clock.Deadline(0.0)

    async def catch_up(self, seconds: float) -> None:
        """Somebody asks for what this one has kept: see to it that it has fetched itself, for at most so long."""
        self._asked_within = seconds
        self._asked.set()
        try:
            async with asyncio.timeout(seconds):
                await self._caught_up.wait()
        except TimeoutError:
            return

    def stop(self) -> None:
        """The session is over here."""
        for task in self._tasks:
            task.cancel()
        self._caught_up.set()

    def _take_place(self, claim: Claim | None) -> None:
        if claim is not None:
            self.claim, self._fresh = claim, claim.fresh

    async def _take_over(self, former: Former) -> None:
        if self._heir.hands_over:
            await self._stand()
        if self._heir.gave_way:
            await self._asked.wait()
        self._heir.succeed(await self._fetch(former))
        self._caught_up.set()

    async def _stand(self) -> None:
        try:
            async with asyncio.timeout(STAND_PATIENCE_SECONDS):
                await self._heir.settled()
        except TimeoutError:
            return

    async def _discard(self, former: Former) -> None:
        await self._fetch(former)

    async def _fetch(self, former: Former) -> Handover | None:
        if self._reconnects is None:
            return None
        # Less than whoever asks has left, so that he gets what is here even if the former one says nothing.
        seconds = self._asked_within / 2 if self._asked.is_set() else FETCH_SECONDS
        return await self._reconnects.fetch(self._key, former, seconds)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="take over a session")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _elsewhere(claim: Claim | None) -> Former | None:
    return None if claim is None or claim.former is None or claim.former.here else claim.former
