"""One channel of one client to its kernel: a DEALER where the kernel is up, and what waits where it is not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from enterprise_gateway.relay.messages import DELIMITER
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.signing import Signer
from enterprise_gateway.relay.sockets import KernelLink, SocketReader


class ChannelFull(Exception):
    """More waits for the kernel than may."""


class ChannelLost(Exception):
    """The connection to the kernel is gone; a DEALER doesn't come back by itself."""


class KernelChannel:
    """Messages of one client on one channel, in order, through at most one socket at a time.

    Args:
        name: `shell`, `stdin` or `control`.
        identity: What the kernel's ROUTER knows this client by.
        read: Gets what the kernel sent, in batches as they were read.
        broken: Called with why, when the channel breaks while nobody is sending.
        options: The bounds.
    """

    def __init__(
        self,
        name: str,
        *,
        identity: bytes,
        read: Callable[[str, list[list[bytes]]], None],
        broken: Callable[[ChannelFull | ChannelLost], None],
        options: RelayOptions,
    ) -> None:
        self.name = name
        self._identity = identity
        self._read = read
        self._broken = broken
        self._options = options
        self._reader: SocketReader | None = None
        self._signer: Signer | None = None
        self._waiting: deque[list[bytes]] = deque()
        self._waiting_bytes = 0
        self._sent = 0
        self._taken = 0

    @property
    def connected(self) -> bool:
        """Is there a socket to the kernel?"""
        return self._reader is not None

    @property
    def has_waiting(self) -> bool:
        """Does anything wait for a kernel?"""
        return bool(self._waiting)

    def connect(self, link: KernelLink) -> None:
        """Open a fresh socket to a kernel that is up, and send what has waited."""
        self.disconnect()
        mark = self._options.kernel_queue_messages
        socket = link.dealer(self.name, identity=self._identity, send_mark=mark)
        self._signer = link.signer
        self._reader = SocketReader(
            socket, self._received, budget=self._options.read_budget, writable=self._flush_later
        )
        self._flush()

    def read_rest(self) -> None:
        """Read the last that has arrived of a kernel that is no more."""
        if self._reader is not None:
            self._reader.read_rest()

    def disconnect(self) -> None:
        """Close the socket; what it had queued is dropped, what waits here stays."""
        if self._reader is not None:
            self._reader.close()
            self._reader = self._signer = None
            self._sent = self._taken = 0

    def forget(self) -> None:
        """Drop what waits: it was meant for a kernel that is no more."""
        self._waiting.clear()
        self._waiting_bytes = 0

    def taken(self, position: int) -> None:
        """The kernel has answered what `send` put at this position, so it has taken all up to there."""
        self._taken = max(self._taken, position)

    def send(self, parts: list[bytes]) -> int:
        """Send to the kernel, now or when it takes messages again.

        Returns:
            The position of the message in all that goes through this socket.

        Raises:
            ChannelFull: Too much waits; the message is dropped.
            ChannelLost: The socket has lost its kernel.
        """
        size = sum(map(len, parts))
        over = self._waiting_bytes + size > self._options.kernel_queue_bytes
        if self._waiting and (over or len(self._waiting) >= self._options.kernel_queue_messages):
            raise ChannelFull(self.name)
        self._waiting.append(parts)
        self._waiting_bytes += size
        position = self._sent + len(self._waiting)
        self._flush()
        return position

    def _flush(self) -> None:
        reader, signer = self._reader, self._signer
        while self._waiting and reader is not None and signer is not None:
            parts = self._waiting[0]
            if not reader.send([DELIMITER, signer.sign(parts), *parts]):
                self._check_for_loss()
                return
            self._sent += 1
            self._waiting.popleft()
            self._waiting_bytes -= sum(map(len, parts))

    def _check_for_loss(self) -> None:
        """Tell a full queue from a lost connection: both refuse a message, but only the full one can have reason to.

        libzmq learns in steps of half the mark what the other side took, so it is full at half of it at the earliest.
        """
        if self._sent - self._taken < self._options.kernel_queue_messages // 2:
            raise ChannelLost(self.name)

    def _flush_later(self) -> None:
        try:
            self._flush()
        except ChannelLost as error:
            self._broken(error)

    def _received(self, batch: list[list[bytes]]) -> None:
        self._read(self.name, batch)
