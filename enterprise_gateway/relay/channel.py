"""One channel of one client to its kernel: at most one DEALER that is used, and what waits while there is none."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from enterprise_gateway.relay.dealer import Dealer, connected_dealer
from enterprise_gateway.relay.interfaces import DealerEvents
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.sockets import KernelLink


class ChannelFull(Exception):
    """More waits for the kernel than may."""


class ChannelLost(Exception):
    """The kernel can't be connected to any more."""


class KernelChannel:
    """Messages of one client on one channel, in order.

    A fresh DEALER is made beside the one in use, which is read until the kernel has seen the fresh one for a while: a
    reply that was on its way may still go to the former.

    Args:
        name: `shell`, `stdin` or `control`.
        read: Gets what the kernel sent, in batches as they were read.
        changed: Called when a DEALER stands or is lost.
        options: The bounds.
    """

    def __init__(
        self,
        name: str,
        *,
        read: Callable[[str, list[list[Piece]]], None],
        changed: Callable[[], None],
        options: RelayOptions,
    ) -> None:
        self.name = name
        self._read = read
        self._changed = changed
        self._options = options
        self._events = DealerEvents(read=self._received, changed=self._news, writable=self._flush)
        self._used: Dealer | None = None
        self._fresh: Dealer | None = None
        self._former: Dealer | None = None
        self._held = self._shut = False
        self._waiting: deque[list[bytes]] = deque()
        self._waiting_bytes = 0

    @property
    def alive(self) -> bool:
        """Is the DEALER in use connected to the kernel?"""
        return self._used is not None and self._used.stands

    @property
    def used(self) -> Dealer | None:
        """The DEALER in use."""
        return self._used

    @property
    def connecting(self) -> bool:
        """Is there a fresh DEALER, which the kernel may see any moment?"""
        return self._fresh is not None

    @property
    def fresh_stands(self) -> bool:
        """Has the kernel seen the fresh DEALER?"""
        return self._fresh is not None and self._fresh.stands

    @property
    def fresh_failed(self) -> bool:
        """Is the fresh DEALER lost?"""
        return self._fresh is not None and self._fresh.lost

    @property
    def has_waiting(self) -> bool:
        """Does anything wait for a kernel?"""
        return bool(self._waiting)

    def shut(self) -> None:
        """Let wait what is sent, until `open`."""
        self._shut = True

    def open(self) -> bool:
        """Send what waits, if there is a DEALER; returns whether anything was sent."""
        waiting, self._shut = len(self._waiting), False
        self._flush()
        return len(self._waiting) < waiting

    def hold(self) -> None:
        """Let wait what is sent, until there is a fresh DEALER: what is under way on the former one then is dropped."""
        self._held = True

    def connect(self, link: KernelLink, identity: bytes) -> None:
        """Make a fresh DEALER, that the kernel's ROUTER knows by `identity`. Until it stands, what is sent waits.

        Raises:
            zmq.ZMQError: No socket or file descriptor is left.
        """
        if self._fresh is not None:
            self._fresh.close()
        self._fresh = connected_dealer(
            link,
            self.name,
            identity=identity,
            events=self._events,
            options=self._options,
        )

    def abandon(self) -> None:
        """Close the fresh DEALER, which the kernel did not see in time."""
        if self._fresh is not None:
            self._fresh.close()
            self._fresh = None
        self._held = False
        self._flush()

    def settle(self) -> None:
        """Use the fresh DEALER alone, after the last that the former one has got."""
        if self._fresh is None:
            return
        former, self._used, self._fresh = self._used, self._fresh, None
        self._held = False
        if former is not None:
            self._former = former
            former.end()

    def read_rest(self) -> None:
        """Read what has arrived."""
        for dealer in (self._former, self._used, self._fresh):
            if dealer is not None:
                dealer.read_rest()

    def disconnect(self) -> None:
        """Close the sockets; what they had queued is dropped, what waits here stays."""
        for dealer in (self._former, self._used):
            if dealer is not None:
                dealer.close()
        self._former = self._used = None
        self.abandon()

    def take_waiting(self) -> list[list[bytes]]:
        """Take what waits: the kernel won't get it."""
        waiting = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        return waiting

    def send(self, parts: list[bytes]) -> None:
        """Send to the kernel, now or when it takes messages again.

        Raises:
            ChannelFull: Too much waits; the message is dropped.
        """
        size = sum(map(len, parts))
        over = self._waiting_bytes + size > self._options.kernel_queue_bytes
        if self._waiting and (over or len(self._waiting) >= self._options.kernel_queue_messages):
            raise ChannelFull(self.name)
        self._waiting.append(parts)
        self._waiting_bytes += size
        self._flush()

    def _flush(self) -> None:
        dealer = self._fresh if self._held else self._used
        while self._waiting and not self._shut and dealer is not None and dealer.send(self._waiting[0]):
            self._waiting_bytes -= sum(map(len, self._waiting.popleft()))

    def _news(self) -> None:
        self._flush()
        self._changed()

    def _received(self, batch: list[list[Piece]]) -> None:
        self._read(self.name, batch)
