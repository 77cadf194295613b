"""How one connection of a session takes over from the former one, wherever that is.

1. It is recorded as the session's newest, which also says which one was before (`Claim`). A silent one asks that one
   first (`Entry`).
2. It tells the former connection, which makes no DEALERs from then on, and says so when those that it was making stand
   and those before it do so, too. Else late ones would take the replies to what is asked here.
3. Its DEALERs are made only within a second of having read that it is the newest still.
4. When the kernel has seen these, it fetches what the former connection has kept, and thereby ends it. Who is asked and
   has not fetched himself does so first. A connection that was superseded fetches only when it is asked.
5. Where nobody answered in the second step, its DEALERs are made anew.
6. Only then is the kernel asked anything by it: a former connection that still hears the kernel may give the answer's
   output to a WebSocket that nobody reads.

No sockets and no HTTP here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from enterprise_gateway.relay.claims import FRESH_SECONDS, Claim, Claiming, Former, Place, Reconnects
from enterprise_gateway.relay.entry import Entry, Guest
from enterprise_gateway.relay.flag import Flag
from enterprise_gateway.relay.handover import Handover
from persistence import clock

STAND_PATIENCE_SECONDS = 3.0  # a kernel that sees no DEALER in that time sends none of its replies either
CLAIM_PATIENCE_SECONDS = 1.0  # then DEALERs are made by whoever connected last, as far as is known here
TELL_SECONDS = 2.0  # a former connection that is at work says within one that its DEALERs stand
FETCH_SECONDS = 4.0
LOOK_AGAIN_SECONDS = 1.0
UNDER_WAY_SECONDS = 0.02  # what the client sent last by its former connection is with the kernel by then


class Heir(Guest, Protocol):
    """The session here, as it takes over."""

    @property
    def gave_way(self) -> bool:
        """Has it no DEALERs, for a newer connection was found?"""
        ...

    def stand_aside(self) -> None:
        """The client is elsewhere: what is here ends."""
        ...

    async def settled(self) -> None:
        """Wait until its DEALERs stand, or there won't be any now."""
        ...

    async def fetch_here(self, n: int | None, seconds: float) -> Handover | None:
        """End another connection of the session on this replica, the last one if `n` is None; take what it has kept."""
        ...

    async def supersede_here(self, n: int, seconds: float) -> bool:
        """Tell another connection of the session on this replica that it has a successor."""
        ...

    def succeed(self, handover: Handover | None) -> None:
        """Here is what the former connection has kept, or nothing."""
        ...

    def release(self) -> bool:
        """Ask the kernel what its client has asked meanwhile, if anything; returns whether there was."""
        ...


class Succession:
    """The order of a session's connections, as one of them keeps it.

    Args:
        key: The session.
        reconnects: Who knows of the others; None: nobody does.
        heir: The session here.

    Attributes:
        claim: The connection's place; None while it is not recorded.
    """

    def __init__(self, key: str, reconnects: Reconnects | None, heir: Heir) -> None:
        self.claim: Claim | None = None
        self._key = key
        self._reconnects = reconnects
        self._heir = heir
        self._entry: Entry | None = None
        self._fresh = clock.Deadline(0.0)
        self._claimed = Flag()
        self._recorded = Flag()
        self._superseded: Claim | None = None
        self._told = Flag()
        self._alone_since: float | None = None
        self._asked = Flag()
        self._asked_within = FETCH_SECONDS
        self._caught_up = Flag()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def n(self) -> int | None:
        """The connection's number."""
        return None if self.claim is None else self.claim.n

    @property
    def pending(self) -> bool:
        """Is its place being recorded?"""
        return not self._claimed.is_set()

    @property
    def caught_up(self) -> bool:
        """Has it what the former connection has kept?"""
        return self._caught_up.is_set()

    def begin(self, claiming: Claiming) -> bool:
        """Take over; False if there is nobody to take over from."""
        if isinstance(claiming, asyncio.Future):
            self._start(self._take_over_later(claiming))
            return True
        if isinstance(claiming, Former):
            self._entry = self._new_entry()
            self._start(self._come_in(self._entry, claiming))
            return True
        self._take_place(claiming)
        former = None if claiming is None else claiming.former
        if former is None or former.here:  # what is here and could be taken over would have gone on itself
            self._be_alone()
            self._caught_up.set()
            return False
        self._start(self._take_over(former))
        return True

    def renumber(self, place: Place) -> None:
        """The same session has connected here again: it goes on as its next connection."""
        if not isinstance(place, Former):
            self._renumber(place)
        elif not self.pending:
            self._start(self._come_back(place))

    def _renumber(self, claim: Claim | None) -> None:
        self._take_place(claim)
        if claim is not None and claim.former is not None and not claim.former.here:
            # The database was away when this one opened. Its client has got what the kernel sent since then, so what
            # is kept elsewhere is too old to be sent.
            self._start(self._discard(claim.former))

    async def may_connect(self) -> bool:
        """Wait until DEALERs may be made; False if a newer connection of the session has them."""
        await self._entered()
        await within(CLAIM_PATIENCE_SECONDS, self._claimed.wait())
        await self._entered()  # it may have been known late that there is one to be asked
        if self._key and self._reconnects is not None and self.claim is None:
            # Unrecorded and silent, it may be one that its client gave up, and would take the replies from another one.
            await first_of(self._recorded.wait(), self._heir.spoken())
        if not self.caught_up:
            await clock.sleep(UNDER_WAY_SECONDS)
        if self.claim is not None:
            await self._told.wait()
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
        return not self.superseded

    def look_again(self) -> None:
        """Rely no longer on what was read: time has passed in which a newer connection may have come."""
        self._fresh = clock.Deadline(0.0)

    @property
    def superseded(self) -> bool:
        """Was it told that it has a successor, and has not come again since?"""
        return self._superseded is not None and self._superseded is self.claim

    def supersede(self) -> None:
        """It has a successor: no DEALERs are made any more."""
        self._superseded = self.claim

    async def alone(self) -> bool:
        """Wait until the connections before it make no DEALERs any more; False if they were told and did not answer."""
        await self._told.wait()
        return self._alone_since is not None

    def led_since(self, begun_seconds: float) -> bool:
        """Are DEALERs that began to connect so long ago surely the last of the session, but for a successor's?"""
        return self._alone_since is not None and begun_seconds <= clock.monotonic() - self._alone_since

    async def known(self) -> None:
        """Wait until its place is recorded, or it is known that it is not."""
        await self._claimed.wait()

    async def catch_up(self, seconds: float) -> None:
        """Somebody asks for what this one has kept: see to it that it has fetched itself, for at most so long."""
        self._asked_within = seconds
        self._asked.set()
        await within(seconds, self._caught_up.wait())

    def stop(self) -> None:
        """The session is over here."""
        for task in self._tasks:
            task.cancel()
        self._claimed.set()
        self._told.set()
        self._caught_up.set()

    def _be_alone(self) -> None:
        self._alone_since = clock.monotonic()
        self._told.set()

    def _take_place(self, claim: Claim | None) -> None:
        if claim is not None:
            self.claim, self._fresh = claim, claim.fresh
            self._recorded.set()
        self._claimed.set()

    async def _take_over_later(self, claiming: asyncio.Future[Place]) -> None:
        place = await claiming
        if isinstance(place, Former):
            self._entry = self._new_entry()
            await self._come_in(self._entry, place)
        else:
            await self._take_over_by(place)

    async def _come_in(self, entry: Entry, former: Former) -> None:
        place = await entry.enter(former)
        if isinstance(place, Former):
            self._heir.stand_aside()
        else:
            await self._take_over_by(place)

    async def _come_back(self, former: Former) -> None:
        """While it could not be recorded, the session went elsewhere, and now it is here again."""
        place = await self._new_entry().enter(former)
        if isinstance(place, Former):
            self._heir.stand_aside()
        else:
            self._renumber(place)

    async def _entered(self) -> None:
        if self._entry is not None:
            await self._entry.decided()

    def _new_entry(self) -> Entry:
        assert self._reconnects is not None, "only they know of a former connection"
        return Entry(self._key, self._reconnects, self._heir)

    async def _take_over_by(self, claim: Claim | None) -> None:
        self._take_place(claim)
        if claim is None:
            self._told.set()
            await self._succeed(await self._heir.fetch_here(None, FETCH_SECONDS))
        elif claim.former is not None:
            await self._take_over(claim.former)
        else:
            self._be_alone()
            await self._succeed(None)

    async def _take_over(self, former: Former) -> None:
        try:
            if await self._tell(former):
                self._be_alone()
        finally:
            self._told.set()
        await within(STAND_PATIENCE_SECONDS, self._heir.settled())
        if self._heir.gave_way:
            await self._asked.wait()
        await self._succeed(await self._fetch(former))

    async def _succeed(self, handover: Handover | None) -> None:
        self._heir.succeed(handover)
        await within(STAND_PATIENCE_SECONDS, self._heir.settled())
        if self._heir.release():
            await clock.sleep(UNDER_WAY_SECONDS)
        self._caught_up.set()

    async def _tell(self, former: Former) -> bool:
        if former.here:
            return await self._heir.supersede_here(former.n, TELL_SECONDS)
        return self._reconnects is None or await self._reconnects.supersede(self._key, former, TELL_SECONDS)

    async def _discard(self, former: Former) -> None:
        await self._fetch(former)

    async def _fetch(self, former: Former) -> Handover | None:
        # Less than whoever asks has left, so that he gets what is here even if the former one says nothing.
        patience = FETCH_SECONDS if self._alone_since is not None else FETCH_SECONDS - TELL_SECONDS
        seconds = self._asked_within / 2 if self._asked.is_set() else patience
        if former.here:
            return await self._heir.fetch_here(former.n, seconds)
        return None if self._reconnects is None else await self._reconnects.fetch(self._key, former, seconds)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="take over a session")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def within(seconds: float, work: Coroutine[Any, Any, object]) -> None:
    """Wait for this, at most so long."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return


async def first_of(*work: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of these; the others are given up."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
