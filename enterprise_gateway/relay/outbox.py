"""What waits for one client to take it: in order, bounded, and never in another client's way.

A batch is handed to the WebSocket only when the one before is on its way, so everything else that waits is here, where
it is counted. A client that reads too slowly loses output (stream and display messages) beyond the bound, and is told
where, and how much; what a client can't do without is kept up to twice the bound, then the client is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from enterprise_gateway.relay import messages
from enterprise_gateway.relay.codec import Framing
from enterprise_gateway.relay.interfaces import ClientSink, Frame
from enterprise_gateway.relay.pieces import Piece


class Outgoing:
    """A message to clients: framed once for all clients of one framing, and read only where it must be."""

    __slots__ = ("_frames", "_type", "channel", "parts")

    def __init__(self, channel: str, parts: Sequence[Piece]) -> None:
        self.channel = channel
        self.parts = parts
        self._frames: dict[Framing, Frame] = {}
        self._type: str | None = None

    def frame(self, framing: Framing) -> Frame:
        """Return it in this framing."""
        frame = self._frames.get(framing)
        if frame is None:
            frame = self._frames[framing] = framing.encode(self.channel, self.parts)
        return frame

    @property
    def droppable(self) -> bool:
        """Is it output that may be left out where the client can't keep up?"""
        if self._type is None:
            self._type = messages.message_type(self.parts)
        return self.channel == "iopub" and self._type in messages.DROPPABLE


class Outbox:
    """The frames that wait for one client.

    Args:
        sink: The client's WebSocket.
        framing: How it wants its messages.
        limit_bytes: What may wait before output is left out.
        overflow: Called when twice that waits; the outbox takes nothing more then.
    """

    def __init__(self, sink: ClientSink, framing: Framing, *, limit_bytes: int, overflow: Callable[[], None]) -> None:
        self._sink = sink
        self._framing = framing
        self._limit = limit_bytes
        self._overflow = overflow
        self._waiting: list[Outgoing] = []
        self._waiting_bytes = 0
        self._flying_bytes = 0
        self._left_out = 0
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._waiting_bytes + self._flying_bytes

    def put(self, message: Outgoing) -> None:
        """Queue a message; `flush` sends it."""
        if self._closed:
            return
        if self.size >= self._limit and not self._keep(message):
            return
        self._append(message)

    def flush(self) -> None:
        """Hand what waits to the network, if that has taken the batch before."""
        if self._waiting and not self._flying_bytes and not self._closed:
            self._send()

    def close(self, code: int, reason: str) -> None:
        """Send what waits, then close the WebSocket."""
        if self._closed:
            return
        if self._waiting:
            self._send()
        self._closed = True
        self._sink.close(code, reason)

    def take(self) -> list[Outgoing]:
        """Take back what was not handed to the WebSocket, which goes on."""
        waiting, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        return waiting

    def unsent(self) -> list[Outgoing]:
        """The WebSocket is gone: take back what was not handed to it."""
        self._closed = True
        return self.take()

    def _keep(self, message: Outgoing) -> bool:
        """Decide on a message that is beyond the bound."""
        if message.droppable:
            self._left_out += 1
            if self._left_out == 1:
                self._say("Output is left out from here on: this client reads it too slowly.", bytes(message.parts[1]))
            return False
        if self.size >= 2 * self._limit:
            self.unsent()
            self._overflow()
            return False
        return True

    def _append(self, message: Outgoing) -> None:
        self._waiting.append(message)
        self._waiting_bytes += message.frame(self._framing).size

    def _say(self, text: str, parent: bytes) -> None:
        self._append(Outgoing("iopub", messages.stderr(text, parent=parent)))

    def _send(self) -> None:
        size = self._waiting_bytes
        if not self._sink.send([message.frame(self._framing) for message in self._waiting], lambda: self._sent(size)):
            return  # it is closing: what waits here is taken back
        self._waiting = []
        self._waiting_bytes = 0
        self._flying_bytes += size

    def _sent(self, size: int) -> None:
        self._flying_bytes -= size
        if self._left_out and self.size < self._limit // 2:
            self._say(
                f"{self._left_out} messages of output were left out: this client read too slowly.", messages.EMPTY
            )
            self._left_out = 0
        self.flush()
