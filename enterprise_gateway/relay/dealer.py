"""One DEALER of a client to a kernel, which connects once and knows from its monitor how it stands.

That the handshake is over says that the kernel's end has got it too, or gets it within the same milliseconds. A monitor
costs two more sockets, so over Unix sockets it goes then: that the connection is gone shows there on the socket itself.
Not where its queue is full at that moment; but then the kernel is dead, or serves a newer DEALER of the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zmq import Event
from zmq.utils.monitor import parse_monitor_message

from enterprise_gateway.relay.messages import DELIMITER
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.sockets import KernelLink, SocketReader
from persistence import clock

MONITOR_BUDGET = 16


class Dealer:
    """A socket that is never used again once it is lost.

    Args:
        link: How the kernel is reached.
        channel: `shell`, `stdin` or `control`.
        identity: What the kernel's ROUTER knows it by.
        read: Gets what the kernel sent, in batches as they were read.
        changed: Called when it stands or is lost.
        writable: Called when it may take messages again.
        options: The bounds.

    Attributes:
        begun_at: When it began to connect, on the monotonic clock.
        stood_at: When the handshake was seen; None until then.
        lost: The connection is gone, or never came about.
        monitored: Has it a monitor, which costs four file descriptors?

    Raises:
        zmq.ZMQError: No socket or file descriptor is left.
    """

    def __init__(
        self,
        link: KernelLink,
        channel: str,
        *,
        identity: bytes,
        read: Callable[[list[list[Piece]]], None],
        changed: Callable[[], None],
        writable: Callable[[], None],
        options: RelayOptions,
    ) -> None:
        self.begun_at = clock.monotonic()
        self.stood_at: float | None = None
        self.lost = False
        self._signer = link.signer
        self._changed = changed
        self._writable = writable
        self._drops_monitor = link.over_unix_sockets
        self.monitored = True
        self._socket = link.dealer(channel, identity=identity, send_mark=options.kernel_queue_messages, watched=True)
        self._monitor = SocketReader(self._socket.get_monitor_socket(), self._told, budget=MONITOR_BUDGET)
        self._reader = SocketReader(self._socket, read, budget=options.read_budget, writable=self._woken)

    @property
    def stands(self) -> bool:
        """Has the kernel seen it, and is it still connected?"""
        return self.stood_at is not None and not self.lost

    def send(self, parts: list[bytes]) -> bool:
        """Send without waiting; False if it can't be sent now."""
        if self.stands and not self.monitored and self._reader.peer_left:
            self.lost = True
            asyncio.get_running_loop().call_soon(self._changed)
        return self.stands and self._reader.send([DELIMITER, self._signer.sign(parts), *parts])

    def read_rest(self) -> None:
        """Read what has arrived."""
        self._reader.read_rest()

    def close(self) -> None:
        """Close it; what it had queued is dropped. Closing twice is harmless."""
        if self._reader.closed:
            return
        self._end_monitor()
        self._reader.close()

    def _end_monitor(self) -> None:
        if self.monitored:
            self.monitored = False
            # First: libzmq's own thread would wait for a reader of the monitor for ever.
            self._socket.disable_monitor()
            self._monitor.close()

    def _woken(self) -> None:
        if self.stands and not self.monitored and self._reader.peer_left:
            self.lost = True
            self._changed()
        else:
            self._writable()

    def _told(self, batch: list[list[Piece]]) -> None:
        for message in batch:
            if parse_monitor_message(list(map(bytes, message)))["event"] == Event.HANDSHAKE_SUCCEEDED:
                self.stood_at = clock.monotonic()
            else:
                self.lost = True
        if self.stands and self._drops_monitor:
            self._end_monitor()
            self.lost = self._reader.peer_left
        self._changed()
