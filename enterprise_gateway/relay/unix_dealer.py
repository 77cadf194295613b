"""A DEALER to a kernel on a Unix socket, without libzmq: it costs a tenth of the memory, and one file.

It knows by itself what a socket of libzmq tells only its monitor: that the kernel has shaken hands, or is gone.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from itertools import islice

import zmq

from enterprise_gateway.relay.interfaces import DealerEvents
from enterprise_gateway.relay.messages import DELIMITER
from enterprise_gateway.relay.pieces import gathered
from enterprise_gateway.relay.sockets import MAX_REST_BATCHES, KernelLink, address
from enterprise_gateway.relay.zmtp import Incoming, NotSpoken, framed, opening
from persistence import clock

SCHEME = "ipc://"
MOST_PIECES = 512  # Linux takes 1,024 in one call
READS = 16  # then the loop gets its turn
END_SECONDS = 5.0
# What one read gets, for all sockets of the process: it is looked through before the next one.
_ROOM = memoryview(bytearray(256 * 1024))


class UnixDealer:
    """One that connects once; see `dealer.Dealer`."""

    __slots__ = (
        "_ending",
        "_events",
        "_incoming",
        "_loop",
        "_signer",
        "_socket",
        "_unsent",
        "begun_at",
        "lost",
        "stood_at",
    )

    def __init__(self, link: KernelLink, channel: str, identity: bytes, events: DealerEvents) -> None:
        self.begun_at = clock.monotonic()
        self.stood_at: float | None = None
        self.lost = self._ending = False
        self._signer = link.signer
        self._events = events
        self._incoming = Incoming()
        self._unsent: deque[memoryview] = deque([memoryview(opening(identity))])
        self._loop = asyncio.get_running_loop()
        self._socket = self._connected(address(link.connection, channel).removeprefix(SCHEME))

    def _connected(self, path: str) -> socket.socket:
        try:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:  # no file descriptor is left
            raise zmq.ZMQError(error.errno) from error
        try:
            made.connect(path)
        except OSError:  # nobody listens, or too many are waiting to be heard
            made.close()
            self.lost = True
            self._loop.call_soon(self._events.changed)
        else:
            self._loop.add_reader(made, self._readable)
            self._loop.call_soon(self._push)
        return made

    @property
    def stands(self) -> bool:
        """Has the kernel seen it, and is it still connected?"""
        return self.stood_at is not None and not self.lost

    def send(self, parts: list[bytes]) -> bool:
        """Send without waiting; False if it can't be sent now."""
        if not self.stands or self._unsent:
            return False
        pieces = gathered(list(framed([DELIMITER, self._signer.sign(parts), *parts])))
        self._unsent.extend(memoryview(piece) for piece in pieces if piece)
        self._push()
        return not self.lost

    def read_rest(self) -> None:
        """Read what has arrived. A sender that never stops is left after a while."""
        for _ in range(MAX_REST_BATCHES):
            if not self._receive():
                return

    def end(self) -> None:
        """Read what has arrived, a message that is arriving to its end, and close it.

        The kernel sends that to nobody else, and a large one takes a while: the network holds no more than 200 KB.
        """
        self._ending = True
        self.read_rest()
        if self._incoming.amid and self._open:
            self._loop.call_later(END_SECONDS, self.close)
        else:
            self.close()

    def close(self) -> None:
        """Close it; what was not sent is dropped. Closing twice is harmless."""
        if self._open:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    @property
    def _open(self) -> bool:
        return self._socket.fileno() >= 0

    def _readable(self) -> None:
        for _ in range(READS):
            if not self._receive():
                break
        if self._ending and not self._incoming.amid:
            self.close()

    def _receive(self) -> bool:
        """Read once; False if there was nothing."""
        if not self._open:
            return False
        try:
            size = self._socket.recv_into(_ROOM)
            messages = self._incoming.feed(_ROOM[:size])
        except (BlockingIOError, InterruptedError):
            return False
        except (OSError, NotSpoken):
            size, messages = 0, []
        if not size:
            self._lose()
            return False
        self._unsent.extend(map(memoryview, self._incoming.take_answers()))
        self._push()
        if self._incoming.ready and self.stood_at is None:
            self.stood_at = clock.monotonic()
            self._events.changed()
        if messages:
            self._events.read(messages)
        return True

    def _push(self) -> None:
        """Send what is to be sent, as far as the kernel takes it now."""
        while self._unsent and self._open:
            try:
                sent = self._socket.sendmsg(list(islice(self._unsent, MOST_PIECES)))
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._socket, self._go_on)
                return
            except OSError:
                self._lose()
                return
            self._forget(sent)

    def _forget(self, sent: int) -> None:
        while sent:
            piece = self._unsent.popleft()
            if len(piece) > sent:
                self._unsent.appendleft(piece[sent:])
            sent -= min(sent, len(piece))

    def _go_on(self) -> None:
        self._push()
        if not self._unsent and self._open:
            self._loop.remove_writer(self._socket)
            self._events.writable()

    def _lose(self) -> None:
        """The connection is gone; what had arrived before is read, also where that was seen by sending."""
        if self.lost:
            return
        self.lost = True
        self.read_rest()
        self.close()
        self._loop.call_soon(self._events.changed)
