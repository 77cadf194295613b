"""One session of a client on this replica: its channels to the kernel, its WebSockets, and what is kept for it.

A session outlives its WebSockets: what its kernel sends meanwhile is kept, bounded in bytes and in time, until its
client comes back here, or another replica, to which it came, fetches it (`succession`). Without a session id nobody can
come back, and it ends with its WebSocket.

While nothing is asked of the kernel, nothing will come on its channels: a session whose client is away closes them.

Promised: at most once and in order, on each channel. Not promised: what a connection that is out of reach has kept, and
what a WebSocket that was gone already had been given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from logging import Logger, LoggerAdapter
from secrets import token_hex
from typing import Any, Protocol

import zmq

from enterprise_gateway.relay import messages
from enterprise_gateway.relay.buffer import BufferBudget
from enterprise_gateway.relay.channel import ChannelFull, ChannelLost
from enterprise_gateway.relay.channels import MakeChannels
from enterprise_gateway.relay.claims import Claiming, Place, Reconnects
from enterprise_gateway.relay.codec import ClientMessage, read_header
from enterprise_gateway.relay.handover import Handover, Passed
from enterprise_gateway.relay.inheritance import HeardKernel, Inheritance, aborted
from enterprise_gateway.relay.mailbox import Mailbox, Outlet
from enterprise_gateway.relay.open_requests import OpenRequest, OpenRequests
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.outbox import Outgoing
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.presence import PONG_SECONDS, Presence
from enterprise_gateway.relay.sockets import KernelLink
from enterprise_gateway.relay.succession import Succession
from persistence import clock

CLOSE_NORMAL, CLOSE_RESTARTING, CLOSE_TRY_AGAIN_LATER = 1000, 1012, 1013
TOOK_OVER = "Another connection of this session took over"
LINGER_SECONDS = 1.0  # what a client sent last is on its way by then


class Kernel(HeardKernel, Protocol):
    """The kernel, as a session of it sees it."""

    def read_rest(self) -> None:
        """Read what has arrived on IOPub."""
        ...

    def session_changed(self) -> None:
        """A WebSocket was opened or closed, or a session is over."""
        ...


class Siblings(Protocol):
    """The sessions on this replica, as one of them sees them."""

    async def supersede_of(self, heir: ClientSession, n: int, seconds: float) -> bool:
        """Tell another connection of the heir's session that it has a successor; True once no DEALERs come after."""
        ...

    async def give_to(self, heir: ClientSession, n: int | None, seconds: float) -> Handover | None:
        """End another connection of the heir's session, the last one if `n` is None; give what it has kept."""
        ...

    async def admit(self, key: str, n: int, seconds: float) -> bool | None:
        """Let a silent connection succeed this one; False while the client of this one is there and has spoken."""
        ...


class ClientSession:
    """One connection of a session, in the order that its claim gives; with any number of WebSockets.

    Args:
        kernel: The kernel.
        siblings: The other sessions here.
        key: Names the session; None if its client did not.
        reconnects: Who knows of the session's other connections.
        budget: What all sessions may keep together.
        options: The bounds.
        log: Where trouble is told.
        make_channels: Makes the channels to the kernel.

    Attributes:
        key: As given.
        over: Was it handed over, or has it ended?
        arrivals: How often its client has come again.
    """

    def __init__(
        self,
        kernel: Kernel,
        siblings: Siblings,
        *,
        key: str | None,
        reconnects: Reconnects | None,
        budget: BufferBudget,
        options: RelayOptions,
        log: Logger | LoggerAdapter[Any],
        make_channels: MakeChannels,
    ) -> None:
        self.key = key
        self.over = False
        self.arrivals = 0
        self._kernel = kernel
        self._siblings = siblings
        self._options = options
        self._log = log
        self._link: KernelLink | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gone_at: float | None = None
        self._requests = OpenRequests(options.open_requests)
        self._inheritance = Inheritance(kernel, self._requests)
        self._presence = Presence(lambda: self.outlets)
        self._mailbox = Mailbox(
            lambda: budget.buffer(limit_bytes=options.reconnect_buffer_bytes), release=budget.release
        )
        self._succession = Succession(key or "", reconnects, self)
        self._channels = make_channels(
            identity=identity_of(key),
            read=self._from_kernel,
            may_connect=self._may_connect,
            broken=self._broken,
            options=options,
            log=log,
        )

    # Its place among the session's connections

    @property
    def n(self) -> int | None:
        """Its number among the session's connections; None while that could not be recorded."""
        return self._succession.n

    @property
    def pending(self) -> bool:
        """Is its place being recorded?"""
        return self._succession.pending

    @property
    def superseded(self) -> bool:
        """Is a newer connection known to have taken its place, so that its client hears nothing here?"""
        return self.over or self._channels.gave_way

    @property
    def must_claim(self) -> bool:
        """Has it, or may it have, no DEALERs that the kernel hears, so that its client's word makes it the newest?"""
        return self.superseded or self._presence.yielded

    @property
    def gave_way(self) -> bool:
        """Has it no DEALERs, for a newer connection was found?"""
        return self._channels.gave_way

    def begin(self, claiming: Claiming, link: KernelLink | None) -> None:
        """Take over from the former connection, if there is one, and serve."""
        if self._succession.begin(claiming):
            self._mailbox.hold()
            self._channels.hold()
        if link is not None:
            self.join(link)

    def renumber(self, place: Place) -> None:
        """The session has connected here again: it goes on as its next connection."""
        self._presence.yielded = False
        self.arrivals += 1
        if not self._succession.caught_up:
            self._inheritance.begin_anew()
        self._succession.renumber(place)

    async def spoken(self) -> None:
        """Wait until its client speaks."""
        await self._presence.spoken()

    async def is_there(self) -> bool:
        """Does its client answer a ping?"""
        return await self._presence.answers()

    def stand_aside(self) -> None:
        """The client is elsewhere: what is here ends."""
        self._log.info("The client speaks on a WebSocket of its session at another replica; this one is closed")
        for outlet in self.outlets:
            outlet.close(CLOSE_NORMAL, TOOK_OVER)
        self.end()

    async def admitted_here(self, n: int) -> bool:
        """Does another connection of the session on this replica let this one succeed it?"""
        return await self._siblings.admit(self.key or "", n, PONG_SECONDS) is not False

    async def admit(self) -> bool:
        """Let a silent connection succeed this one; False while the client of this one is there and has spoken.

        After that no request of its client goes to the kernel before it is the newest again.
        """
        return self.superseded or await self._presence.yields()

    def insist(self) -> None:
        """It can't be recorded anew now: go on with the DEALERs that are there."""
        self._presence.yielded = False

    async def known(self) -> None:
        """Wait until its place is recorded, or it is known that it is not."""
        await self._succession.known()

    async def fetch_here(self, n: int | None, seconds: float) -> Handover | None:
        """End another connection of the session on this replica, the last one if `n` is None; take what it has kept."""
        return await self._siblings.give_to(self, n, seconds)

    async def supersede_here(self, n: int, seconds: float) -> bool:
        """Tell another connection of the session on this replica that it has a successor."""
        return await self._siblings.supersede_of(self, n, seconds)

    async def supersede(self, seconds: float) -> bool:
        """It has a successor: make no DEALERs any more. True once neither this one nor one before it does.

        What its client has sent by this one still goes to the kernel, if its DEALERs stand.
        """
        self._succession.supersede()
        try:
            async with asyncio.timeout(seconds):
                await self._channels.give_way()
                return await self._succession.alone()
        except TimeoutError:
            return False

    async def settled(self) -> None:
        """Wait until its DEALERs stand, or there won't be any now."""
        if self._link is not None:
            await self._channels.settled()

    def succeed(self, handover: Handover | None) -> None:
        """Here is what the former connection has kept, or nothing."""
        taken = self._inheritance.take(handover)
        self._mailbox.replay(taken.kept, recent=taken.recent, delivered=taken.delivered)
        if not self._succession.led_since(self._channels.begun_seconds):
            # The kernel may have seen a former one's DEALERs after ours, and then it gave them the replies.
            self._succession.look_again()
            self._channels.renew()
        self._rest_if_idle()

    def release(self) -> bool:
        """Ask the kernel what its client has asked meanwhile, if anything; returns whether there was."""
        return self._channels.release()

    async def give(self, seconds: float) -> Handover | None:
        """End, and leave to the next connection what the client did not get; None if another one was faster."""
        await self._succession.catch_up(seconds)
        return None if self.over else self._leave_all()

    # Its WebSockets

    @property
    def outlets(self) -> Sequence[Outlet]:
        """The WebSockets that are open."""
        return self._mailbox.outlets

    @property
    def away(self) -> bool:
        """Has its client no WebSocket here?"""
        return not self._mailbox.outlets

    @property
    def awaited(self) -> bool:
        """Has its client gone, so that what comes is kept for it?"""
        return self._timer is not None and not self.over

    @property
    def away_seconds(self) -> float:
        """How long its client has been away; 0 if it is there."""
        return 0.0 if self._gone_at is None else clock.monotonic() - self._gone_at

    @property
    def owes(self) -> bool:
        """Is anything kept for the client, or is an answer of the kernel to come?"""
        return bool(self._mailbox.kept_bytes or self._requests)

    def attach(self, outlet: Outlet) -> None:
        """A WebSocket has opened."""
        if self.over:  # another one has taken over meanwhile, and this one would hear nothing
            outlet.close(CLOSE_RESTARTING, TOOK_OVER)
            return
        self._stop_timer()
        self._mailbox.add(outlet)
        self._presence.look()
        self._channels.renew()
        self._kernel.session_changed()

    def detach(self, outlet: Outlet) -> None:
        """A WebSocket has closed. Doing it again is harmless."""
        self._mailbox.remove(outlet)
        self._presence.look()
        self.keep()
        self._kernel.session_changed()

    def keep(self) -> None:
        """Begin to wait for the client, if it is away; where nobody can come back, this is the end."""
        if not self.away or self.over:
            return
        if self.key is None or not self._options.reconnect_seconds:
            self.end()
            return
        self._stop_timer()
        self._gone_at = clock.monotonic()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._options.reconnect_seconds, self.end)
        loop.call_later(LINGER_SECONDS, self._rest_if_idle)

    def put(self, message: Outgoing) -> None:
        """A message for the client; `flush` sends it."""
        self._mailbox.put(message)

    def flush(self) -> None:
        """Send what is queued."""
        self._mailbox.flush()

    def end(self) -> None:
        """Nobody comes back, or it was handed over: keep nothing. Doing it again is harmless."""
        if self.over:
            return
        self.over = True
        self._stop_timer()
        self._succession.stop()
        self._channels.rest()
        self._mailbox.close()
        self._kernel.session_changed()

    # The kernel

    def join(self, link: KernelLink) -> None:
        """There is a kernel: make DEALERs to it."""
        self._link = link
        self._channels.join(link, resting=self._idle)

    def leave(self, why: str | None = None) -> None:
        """The kernel is no more: answer in its place what it has not answered and won't.

        Args:
            why: Told below the cell that it was at, if it was at one: there JupyterLab shows it.
        """
        self._link = None
        self._channels.leave()
        self._channels.take_waiting()
        requests = self._requests.drain()
        cell = next((request for request in requests if request.msg_type == "execute_request"), None)
        if why is not None and cell is not None:
            said = messages.stderr(why, parent=cell.header, session=self._kernel.kernel_session)
            self._mailbox.put(Outgoing("iopub", said))
        for request in requests:
            self._abort(request)

    def send(self, request: ClientMessage) -> None:
        """The client sends this."""
        self._presence.look()
        try:
            self._channels.send(request.channel, request.parts)
        except ChannelFull as error:
            self._broken(error)
            return
        if request.channel != "stdin":
            self._requests.add(request)

    def _from_kernel(self, name: str, batch: list[list[Piece]]) -> None:
        for wire in batch:
            parts = messages.strip_envelope(wire)
            if parts is None:
                self._log.debug("The kernel sent a message on %s that is none", name)
                continue
            if name != "stdin":  # what asks for input has the request it helps to answer as its parent
                self._requests.answered(messages.parent_id(parts))
            self._mailbox.put(Outgoing(name, parts))
        self._mailbox.flush()
        self._rest_if_idle()

    def _broken(self, error: ChannelFull | ChannelLost | zmq.ZMQError) -> None:
        if self.away:
            return
        code, reason = CLOSE_TRY_AGAIN_LATER, "The gateway can't open a connection to the kernel now"
        if isinstance(error, ChannelLost):
            self._log.warning("The connection to the kernel is lost; its client has to reconnect")
            code, reason = CLOSE_RESTARTING, "The connection to the kernel is lost"
        elif isinstance(error, ChannelFull):
            text = "The kernel does not take more messages now: too many are waiting for it."
            self._mailbox.put(Outgoing("iopub", messages.stderr(text)))
            reason = "Too many messages are waiting for the kernel"
        for outlet in self.outlets:
            outlet.close(code, reason)

    async def _may_connect(self) -> bool:
        allowed = await self._succession.may_connect()
        if not allowed:
            # Once it has given way, its WebSockets are none that count.
            asyncio.get_running_loop().call_soon(self._kernel.session_changed)
        return allowed

    @property
    def _idle(self) -> bool:
        """Will nothing come on the channels, and nothing go?"""
        busy = self._requests or self._channels.has_waiting or not self._succession.caught_up
        return self.away and self._timer is not None and not busy

    def _rest_if_idle(self) -> None:
        if self._idle and not self.over:
            self._channels.rest()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._gone_at = None

    # From one connection to the next

    def _leave_all(self) -> Handover:
        self._kernel.read_rest()
        self._channels.read_rest()
        for parts in self._channels.take_waiting():
            msg_id = str(read_header(parts).get("msg_id"))
            if (request := self._requests.answered(msg_id)) is not None:
                self._abort(request)
        handover = Handover(
            messages=[Passed(message.channel, message.parts) for message in self._mailbox.take()],
            requests=self._requests.drain(),
            generation=self._kernel.generation,
            recent=self._inheritance.heard_lately(),
        )
        self.end()
        return handover

    def _abort(self, request: OpenRequest) -> None:
        for message in aborted(request, self._kernel.kernel_session):
            self._mailbox.put(message)


def identity_of(key: str | None) -> bytes:
    """Return the ZMQ identity of a session: the same on every replica, so that a kernel hands replies over.

    Without a key it is random: nobody can come back to it.
    """
    return f"client-{key or token_hex(16)}".encode()
