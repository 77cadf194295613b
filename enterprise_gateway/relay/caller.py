"""A fresh socket for the gateway's own requests to a kernel; one that has yet to bind gets them when it has.

Of both kinds, as `dealer` has them. It is random who it is, so that it takes nobody's replies.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Protocol

import zmq

from enterprise_gateway.relay.appearing import watch
from enterprise_gateway.relay.interfaces import DealerEvents
from enterprise_gateway.relay.messages import DELIMITER
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.sockets import SEARCH_MS, KernelLink, SocketReader, address
from enterprise_gateway.relay.unix_dealer import SCHEME, UnixDealer

READ_BUDGET = 16
SEARCH_SECONDS = SEARCH_MS / 1000
FIRST_PAUSE_SECONDS = 0.002  # what a kernel may take at most from binding to listening, but on a busy machine
SURE_SECONDS = 1.0  # between two looks for what should have been told
NAMELESS = b""  # the kernel's ROUTER makes a name up

Read = Callable[[Sequence[Sequence[Piece]]], None]


class Caller(Protocol):
    """Sends requests to one channel of a kernel."""

    def send(self, parts: list[bytes]) -> None:
        """Send a message, as soon as the kernel is there. Not promised that it arrives: the kernel may die."""
        ...

    def close(self) -> None:
        """Close it. Closing twice is harmless."""
        ...


def caller(link: KernelLink, channel: str, read: Read) -> Caller:
    """Call a channel of a kernel.

    Args:
        link: How the kernel is reached.
        channel: `shell` or `control`.
        read: Gets what the kernel answers.

    Raises:
        zmq.ZMQError: No socket or file descriptor is left.
    """
    return (UnixCaller if link.over_plain_unix_sockets else ZmqCaller)(link, channel, read)


class ZmqCaller:
    """By a socket of libzmq's, whose own thread looks for the kernel."""

    def __init__(self, link: KernelLink, channel: str, read: Read) -> None:
        self._signer = link.signer
        self._reader = SocketReader(link.dealer(channel, searching=True), read, budget=READ_BUDGET)

    def send(self, parts: list[bytes]) -> None:
        """Send a message; the socket is fresh, and queues it before it is connected."""
        self._reader.send([DELIMITER, self._signer.sign(parts), *parts])

    def close(self) -> None:
        """Close it."""
        self._reader.close()


class UnixCaller:
    """Over a Unix socket. A kernel that was found and is lost is not looked for again: it never comes back there."""

    def __init__(self, link: KernelLink, channel: str, read: Read) -> None:
        self._link = link
        self._channel = channel
        self._events = DealerEvents(read, self._changed, self._flush)
        self._path = address(link.connection, channel).removeprefix(SCHEME)
        self._loop = asyncio.get_running_loop()
        self._waiting: list[list[bytes]] = []
        self._dealer: UnixDealer | None = None
        self._next_look: asyncio.TimerHandle | None = None
        self._call_off: Callable[[], None] = _nothing
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._connect()

    def send(self, parts: list[bytes]) -> None:
        """Send a message, or keep it until the kernel is there."""
        self._waiting.append(parts)
        self._flush()

    def close(self) -> None:
        """Close it."""
        self._rest()
        dealer, self._dealer = self._dealer, None
        if dealer is not None:
            dealer.close()

    def _connect(self) -> None:
        """Connect if the kernel has bound; else wait until it has."""
        if not self._has_bound():
            self._wait()
            if not self._has_bound():  # else it has in this moment, which nobody may have seen
                return
            self._rest()
        self._dealer = UnixDealer(self._link, self._channel, NAMELESS, self._events)

    def _has_bound(self) -> bool:
        return os.access(self._path, os.F_OK)

    def _wait(self) -> None:
        try:
            self._call_off = watch(os.path.dirname(self._path), self._look)
        except FileNotFoundError:  # its directory was tidied away
            self._look_later()
        except OSError:
            self._look_in(SEARCH_SECONDS)
        else:
            self._look_in(SURE_SECONDS)

    def _look_later(self) -> None:
        """Look again, after a longer pause each time."""
        self._look_in(self._pause_seconds)
        self._pause_seconds = min(2 * self._pause_seconds, SURE_SECONDS)

    def _look_in(self, seconds: float) -> None:
        self._next_look = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._rest()
        try:
            self._connect()
        except zmq.ZMQError:  # no file descriptor is left just now
            self._look_in(SEARCH_SECONDS)

    def _rest(self) -> None:
        """Wait no longer."""
        self._call_off()
        if self._next_look is not None:
            self._next_look.cancel()

    def _changed(self) -> None:
        dealer = self._dealer
        if dealer is None:
            return
        if dealer.lost and dealer.stood_at is None:
            # It has bound and does not listen yet, or it has gone and left its socket's file.
            self._look_later()
        self._flush()

    def _flush(self) -> None:
        while self._waiting and self._dealer is not None and self._dealer.send(self._waiting[0]):
            del self._waiting[0]


def _nothing() -> None:
    """Have nothing to call off."""
