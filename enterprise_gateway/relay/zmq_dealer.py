"""A DEALER of libzmq to a kernel, which connects once and knows from its monitor how it stands.

That the handshake is over says that the kernel's end has got it too, or gets it within the same milliseconds. The
monitor costs two more sockets.
"""

from __future__ import annotations

from zmq import Event
from zmq.utils.monitor import parse_monitor_message

from enterprise_gateway.relay.interfaces import DealerEvents
from enterprise_gateway.relay.messages import DELIMITER
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.sockets import KernelLink, SocketReader
from persistence import clock

MONITOR_BUDGET = 16


class ZmqDealer:
    """One that connects once; see `dealer.Dealer`."""

    def __init__(
        self, link: KernelLink, channel: str, identity: bytes, events: DealerEvents, options: RelayOptions
    ) -> None:
        self.begun_at = clock.monotonic()
        self.stood_at: float | None = None
        self.lost = False
        self._signer = link.signer
        self._changed = events.changed
        self._socket = link.dealer(channel, identity=identity, send_mark=options.kernel_queue_messages, watched=True)
        self._monitor = SocketReader(self._socket.get_monitor_socket(), self._told, budget=MONITOR_BUDGET)
        self._reader = SocketReader(self._socket, events.read, budget=options.read_budget, writable=events.writable)

    @property
    def stands(self) -> bool:
        """Has the kernel seen it, and is it still connected?"""
        return self.stood_at is not None and not self.lost

    def send(self, parts: list[bytes]) -> bool:
        """Send without waiting; False if it can't be sent now."""
        return self.stands and self._reader.send([DELIMITER, self._signer.sign(parts), *parts])

    def read_rest(self) -> None:
        """Read what has arrived."""
        self._reader.read_rest()

    def end(self) -> None:
        """Read what has arrived, and close it: libzmq's own thread has read all that was there to be read."""
        self.read_rest()
        self.close()

    def close(self) -> None:
        """Close it; what it had queued is dropped. Closing twice is harmless."""
        if not self._reader.closed:
            # First: libzmq's own thread would wait for a reader of the monitor for ever.
            self._socket.disable_monitor()
            self._monitor.close()
            self._reader.close()

    def _told(self, batch: list[list[Piece]]) -> None:
        for message in batch:
            if parse_monitor_message(list(map(bytes, message)))["event"] == Event.HANDSHAKE_SUCCEEDED:
                self.stood_at = clock.monotonic()
            else:
                self.lost = True
        self._changed()
