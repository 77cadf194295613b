"""The channels of one session to its kernel, and how its DEALERs come to stand.

A DEALER steals its identity from every other one of the same session, on whatever replica. So none is made but by leave
of `may_connect`, none connects twice, and those of one session here never shake hands at the same time: the kernel
could see them in another order than they were made in, and the client would be deaf for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from logging import Logger, LoggerAdapter
from secrets import token_hex
from typing import Any, Protocol

import zmq

from enterprise_gateway.relay.channel import ChannelLost, KernelChannel
from enterprise_gateway.relay.flag import Flag
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.sockets import KernelLink
from persistence import clock

# Connected in this order: a kernel whose I/O thread lags sees what came first first, and its ROUTER drops a question
# on stdin to a client that it has only seen on shell yet.
CHANNELS = ("stdin", "shell", "control")
ALWAYS = frozenset({"shell", "stdin"})  # control opens when it is first needed
STAND_SECONDS = 1.0  # a handshake that takes longer may come after that of a newer connection elsewhere
SETTLE_SECONDS = 0.02  # within 1 ms after the handshake a reply was seen to go to the former DEALER still
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 5.0
REFUSALS = 4

Read = Callable[[str, list[list[Piece]]], None]


class Refused(Exception):
    """Nobody listens for the kernel, or it hung up."""


class Channels(Protocol):
    """What a session asks of its channels."""

    @property
    def gave_way(self) -> bool:
        """Was a newer connection of the session found, so that there are no DEALERs here any more?"""
        ...

    @property
    def has_waiting(self) -> bool:
        """Does anything wait to be sent?"""
        ...

    @property
    def begun_seconds(self) -> float:
        """Since the DEALERs in use began to connect; 0 if there are none."""
        ...

    def join(self, link: KernelLink, *, resting: bool = False) -> None:
        """There is a kernel: make DEALERs to it, with `renew` only if nothing will come until then."""
        ...

    def leave(self) -> None:
        """The kernel is no more: read the last it has sent, close the DEALERs."""
        ...

    def renew(self) -> None:
        """Make fresh DEALERs, unless some are being made."""
        ...

    def hold(self) -> None:
        """Let wait what is sent, until `release`."""
        ...

    def release(self) -> bool:
        """Send what waits, as soon as it can be; returns whether anything was sent."""
        ...

    def rest(self) -> None:
        """Close the DEALERs until `renew`: nothing will come."""
        ...

    async def give_way(self) -> None:
        """Make no DEALERs, for `may_connect` forbids it now; wait for those that the kernel may see any moment."""
        ...

    def send(self, name: str, parts: list[bytes]) -> None:
        """Send to the kernel, now or when it takes messages again; raises `ChannelFull`."""
        ...

    def read_rest(self) -> None:
        """Read what has arrived."""
        ...

    def take_waiting(self) -> list[list[bytes]]:
        """Take what waits to be sent."""
        ...

    async def settled(self) -> None:
        """Wait until the DEALERs stand, or it is known that there won't be any now."""
        ...


class MakeChannels(Protocol):
    """Makes the channels of one session."""

    def __call__(
        self,
        *,
        identity: bytes,
        read: Read,
        may_connect: Callable[[], Awaitable[bool]],
        broken: Callable[[ChannelLost | zmq.ZMQError], None],
        options: RelayOptions,
        log: Logger | LoggerAdapter[Any],
    ) -> Channels:
        """Make them; see `KernelChannels`."""
        ...


class KernelChannels:
    """Channels over real sockets.

    Args:
        identity: What the kernel's ROUTERs know this client by. A kernel that does not hand over knows it by one that
            is these channels' alone: it would take no notice of them while the former ones are connected.
        read: Gets what the kernel sent, with the channel's name.
        may_connect: Waits for leave to make DEALERs; False: a newer connection has them.
        broken: Told why the kernel can't be connected to.
        options: The bounds.
        log: Where trouble is told.
    """

    def __init__(
        self,
        *,
        identity: bytes,
        read: Read,
        may_connect: Callable[[], Awaitable[bool]],
        broken: Callable[[ChannelLost | zmq.ZMQError], None],
        options: RelayOptions,
        log: Logger | LoggerAdapter[Any],
    ) -> None:
        self.gave_way = False
        self._identity = identity
        self._own_identity = identity + b"-" + token_hex(8).encode()
        self._may_connect = may_connect
        self._broken = broken
        self._log = log
        self._channels = {
            name: KernelChannel(name, read=read, changed=self._changed, options=options) for name in CHANNELS
        }
        self._link: KernelLink | None = None
        self._wanted: set[str] = set()
        self._news = Flag()
        self._settled = Flag()
        self._task: asyncio.Task[None] | None = None

    @property
    def has_waiting(self) -> bool:
        """Does anything wait to be sent?"""
        return any(channel.has_waiting for channel in self._channels.values())

    @property
    def begun_seconds(self) -> float:
        """Since the first of the DEALERs in use began to connect; 0 if there are none."""
        begun = [dealer.begun_at for channel in self._each(ALWAYS) if (dealer := channel.used) is not None]
        return clock.monotonic() - min(begun) if begun else 0.0

    def join(self, link: KernelLink, *, resting: bool = False) -> None:
        """There is a kernel: make DEALERs to it, with `renew` only if nothing will come until then."""
        self.rest()
        self._link = link
        if resting:
            return
        self._settled.clear()
        self._want(ALWAYS | {channel.name for channel in self._channels.values() if channel.has_waiting})

    def leave(self) -> None:
        """The kernel is no more: read the last it has sent, close the DEALERs."""
        self._link = None
        self.read_rest()
        self.rest()

    def renew(self) -> None:
        """Make fresh DEALERs, unless some are being made, or nobody could have taken their replies."""
        if self._link is not None and not (self._stands and not self._link.hands_over):
            if self._task is None or self._task.done():
                self._settled.clear()
            self._want(ALWAYS | {channel.name for channel in self._channels.values() if channel.alive})

    def hold(self) -> None:
        """Let wait what is sent, until `release`."""
        for channel in self._channels.values():
            channel.shut()

    def release(self) -> bool:
        """Send what waits, as soon as it can be; returns whether anything was sent."""
        return any([channel.open() for channel in self._channels.values()])

    def rest(self) -> None:
        """Close the DEALERs until `renew`: nothing will come."""
        self._stop_making()
        for channel in self._channels.values():
            channel.disconnect()
        self._settled.set()

    async def give_way(self) -> None:
        """Make no DEALERs, for `may_connect` forbids it now; wait for those that the kernel may see any moment."""
        if self._task is None or self._task.done():
            return
        if any(channel.connecting for channel in self._channels.values()):
            await asyncio.wait({self._task})
            return
        self._stop_making()
        self.gave_way = not self._stands
        for channel in self._channels.values():
            channel.abandon()
        self._settled.set()

    def send(self, name: str, parts: list[bytes]) -> None:
        """Send to the kernel, now or when it takes messages again.

        Raises:
            ChannelFull: Too much waits; the message is dropped.
        """
        channel = self._channels[name]
        channel.send(parts)
        if not channel.alive:
            self._want({name})

    def read_rest(self) -> None:
        """Read what has arrived."""
        for channel in self._channels.values():
            channel.read_rest()

    def take_waiting(self) -> list[list[bytes]]:
        """Take what waits to be sent."""
        return [parts for channel in self._channels.values() for parts in channel.take_waiting()]

    async def settled(self) -> None:
        """Wait until the DEALERs stand, or it is known that there won't be any now."""
        await self._settled.wait()

    @property
    def _stands(self) -> bool:
        return all(channel.alive for channel in self._each(ALWAYS))

    def _each(self, names: frozenset[str] | set[str]) -> list[KernelChannel]:
        return [channel for name, channel in self._channels.items() if name in names]

    def _stop_making(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._wanted.clear()

    def _want(self, names: frozenset[str] | set[str]) -> None:
        if self._link is None:
            return
        if self._task is None or self._task.done():
            self._wanted |= names
            self._task = asyncio.get_running_loop().create_task(self._make(self._link), name="connect to a kernel")
        else:
            # What is being made is fresh enough; what is not there at all follows.
            self._wanted |= {channel.name for channel in self._each(names) if not channel.alive}

    async def _make(self, link: KernelLink) -> None:
        """Make what is wanted, until it stands."""
        pauses, refusals = _pauses(), 0
        while self._wanted:
            self.gave_way = not await self._may_connect()
            if self.gave_way:
                break
            try:
                stood = await self._stand(link, self._each(self._wanted))
            except Refused:
                stood, refusals = False, refusals + 1
            except zmq.ZMQError as error:  # no socket or file descriptor is left
                self._log.error("The kernel's channels can't be opened: %s", error)
                self._broken(error)
                break
            if refusals >= REFUSALS and self.has_waiting:
                self._broken(
                    ChannelLost()
                )  # without a message to send, it is told soon enough that its kernel has ended
            if not stood:
                await clock.sleep(next(pauses))
        self._settled.set()

    async def _stand(self, link: KernelLink, channels: list[KernelChannel]) -> bool:
        """Make fresh DEALERs; False if the kernel did not see them all in time.

        Raises:
            Refused: It does not take them.
        """
        for channel in channels:
            channel.hold()
        if any(channel.alive for channel in channels):
            await clock.sleep(SETTLE_SECONDS)  # what was sent last is with the kernel by then
        for channel in channels:
            channel.connect(link, self._identity if link.hands_over else self._own_identity)
        try:
            async with asyncio.timeout(STAND_SECONDS):
                await self._seen(channels)
        except (TimeoutError, Refused) as error:
            for channel in channels:
                channel.abandon()
            if isinstance(error, Refused):
                raise
            return False
        await clock.sleep(SETTLE_SECONDS)
        for channel in channels:
            channel.settle()
        self._wanted -= {channel.name for channel in channels if channel.alive}
        self._settled.set()
        return True

    async def _seen(self, channels: list[KernelChannel]) -> None:
        while not all(channel.fresh_stands for channel in channels):
            if any(channel.fresh_failed for channel in channels):
                raise Refused
            self._news.clear()
            await self._news.wait()

    def _changed(self) -> None:
        self._news.set()
        lost = {name for name, channel in self._channels.items() if channel.used is not None and not channel.alive}
        if lost:
            self._want(lost)


def _pauses() -> Iterator[float]:
    """How long to wait before each further try."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
