"""One client of a kernel: one WebSocket, its channels to the kernel, and what waits in either direction.

A connection lives as long as its WebSocket, across the kernel's generations: `join` and `leave` say when there is a
kernel. Its sockets are fresh with every kernel and every WebSocket.
"""

from __future__ import annotations

from hashlib import sha256
from logging import Logger, LoggerAdapter
from secrets import token_hex
from typing import Any, Protocol

import zmq

from enterprise_gateway.relay import messages
from enterprise_gateway.relay.channel import ChannelFull, ChannelLost, KernelChannel
from enterprise_gateway.relay.codec import ClientMessage, Framing, MalformedFrame
from enterprise_gateway.relay.interfaces import ClientSink
from enterprise_gateway.relay.open_requests import OpenRequests
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.outbox import Outbox, Outgoing
from enterprise_gateway.relay.sockets import KernelLink

CHANNELS = ("shell", "stdin", "control")
CLOSE_NORMAL, CLOSE_RESTARTING, CLOSE_TRY_AGAIN_LATER = 1000, 1012, 1013


class Owner(Protocol):
    """The relay, as a connection of it sees it."""

    def client_message(self, message: ClientMessage) -> bool:
        """A client sends this; False if there is no kernel any more, and none will come."""
        ...

    def detached(self, connection: ClientConnection) -> None:
        """This connection is over."""
        ...


class ClientConnection:
    """What a WebSocket handler talks to: `receive` what came, `detach` when it closed.

    Attributes:
        session_id: What the client calls its session; None if it named none.
        arrival: Higher than that of every connection that was asked for before.
    """

    def __init__(
        self,
        owner: Owner,
        sink: ClientSink,
        *,
        session_id: str | None,
        framing: Framing,
        options: RelayOptions,
        log: Logger | LoggerAdapter[Any],
        arrival: int = 0,
    ) -> None:
        self.session_id = session_id
        self.arrival = arrival
        self._owner = owner
        self._sink = sink
        self._framing = framing
        self._log = log
        self._closed = False
        self._link: KernelLink | None = None
        self._complained = False
        self._requests = OpenRequests(options.open_requests)
        self._outbox = Outbox(sink, framing, limit_bytes=options.client_buffer_bytes, overflow=self._outbox_overflow)
        identity = identity_of(session_id)
        self._channels = {
            name: KernelChannel(name, identity=identity, read=self._from_kernel, broken=self._broken, options=options)
            for name in CHANNELS
        }

    def receive(self, message: str | bytes) -> None:
        """Pass a WebSocket message on to the kernel. Whatever it holds, this does not raise."""
        if self._closed:
            return
        try:
            request = self._framing.decode(message)
        except MalformedFrame as error:
            self._malformed(error)
            return
        channel = self._channels.get(request.channel)
        if channel is None:
            self._malformed(MalformedFrame("no channel to a kernel is called so"))
        elif self._owner.client_message(request):
            self._to_kernel(channel, request)
        else:
            self._abort(request.channel, request.msg_type, request.parts[0])
            self.flush()

    def detach(self) -> None:
        """The WebSocket has closed. Calling it again is harmless."""
        self._outbox.abandon()
        self._close_channels()
        self._owner.detached(self)

    def close(self, code: int, reason: str) -> None:
        """Close the channels, send the client what waits for it, close its WebSocket."""
        self._close_channels()
        self._outbox.close(code, reason)
        self._owner.detached(self)

    def join(self, link: KernelLink) -> None:
        """There is a kernel: open the channels, send what has waited. Control opens when first needed."""
        self._link = link
        for name, channel in self._channels.items():
            if name != "control" or channel.has_waiting:
                self._connect(channel)

    def leave(self) -> None:
        """The kernel is no more: answer in its place what it has not answered and won't."""
        self._link = None
        for channel in self._channels.values():
            channel.read_rest()
            channel.disconnect()
            channel.forget()
        for request in self._requests.drain():
            self._abort(request.channel, request.msg_type, request.header)

    def put(self, message: Outgoing) -> None:
        """Queue a message to the client; `flush` sends what is queued."""
        self._outbox.put(message)

    def flush(self) -> None:
        """Send what is queued."""
        self._outbox.flush()

    def _to_kernel(self, channel: KernelChannel, request: ClientMessage) -> None:
        if self._link is not None and not channel.connected:
            self._connect(channel)
        try:
            position = channel.send(request.parts)
        except (ChannelFull, ChannelLost) as error:
            self._broken(error)
            return
        if channel.name != "stdin":
            self._requests.add(request, position)

    def _from_kernel(self, name: str, batch: list[list[bytes]]) -> None:
        for wire in batch:
            parts = messages.strip_envelope(wire)
            if parts is None:
                self._log.debug("The kernel sent a message on %s that is none", name)
                continue
            if name != "stdin":  # what asks for input has the request it helps to answer as its parent
                self._answered(name, messages.parent_id(parts))
            self._outbox.put(Outgoing(name, parts))
        self._outbox.flush()

    def _answered(self, name: str, msg_id: str) -> None:
        if (request := self._requests.answered(msg_id)) is not None:
            self._channels[name].taken(request.position)

    def _connect(self, channel: KernelChannel) -> None:
        if self._link is None:
            return
        try:
            channel.connect(self._link)
        except ChannelLost as error:
            self._broken(error)
        except zmq.ZMQError as error:  # no socket or file descriptor is left
            self._log.error("The kernel's %s channel can't be opened: %s", channel.name, error)
            self.close(CLOSE_TRY_AGAIN_LATER, "The gateway can't open a connection to the kernel now")

    def _abort(self, channel: str, request_type: str, header: bytes) -> None:
        self._outbox.put(Outgoing(channel, messages.aborted(request_type, header)))
        self._outbox.put(Outgoing("iopub", messages.status("idle", parent=header)))

    def _malformed(self, error: MalformedFrame) -> None:
        """Say it once in the log: a client could fill it."""
        if not self._complained:
            self._log.warning("Ignored a message of a client: %s", error.problem)
            self._complained = True
        if error.close_code is not None:
            self.close(error.close_code, f"The message can't be read: {error.problem}")

    def _broken(self, error: ChannelFull | ChannelLost) -> None:
        if isinstance(error, ChannelLost):
            self._log.warning("The connection to the kernel's %s channel is lost; its client has to reconnect", error)
            self.close(CLOSE_RESTARTING, "The connection to the kernel is lost")
        else:
            text = "The kernel does not take more messages now: too many are waiting for it."
            self._outbox.put(Outgoing("iopub", messages.stderr(text)))
            self.close(CLOSE_TRY_AGAIN_LATER, "Too many messages are waiting for the kernel")

    def _outbox_overflow(self) -> None:
        self._log.warning("A client reads too slowly and is disconnected")
        self._close_channels()
        self._sink.close(CLOSE_TRY_AGAIN_LATER, "This client reads too slowly")
        self._owner.detached(self)

    def _close_channels(self) -> None:
        self._closed = True
        self._link = None
        for channel in self._channels.values():
            channel.disconnect()
            channel.forget()


def identity_of(session_id: str | None) -> bytes:
    """Return the ZMQ identity of a session: the same on every replica, so that a kernel hands replies over.

    Without a session id it is random: nobody can come back to it.
    """
    digest = sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()[:32] if session_id else token_hex(16)
    return f"client-{digest}".encode()
