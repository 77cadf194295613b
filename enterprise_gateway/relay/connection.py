"""One WebSocket of a client: what it sends is read, what is sent to it is framed and queued.

It belongs to a session, which has the channels to the kernel. It lives as long as its WebSocket, across the kernel's
generations; should its session have gone on elsewhere and its client speak here, it is given to another one.
"""

from __future__ import annotations

from logging import Logger, LoggerAdapter
from typing import Any, Protocol

from enterprise_gateway.relay.channels import CHANNELS
from enterprise_gateway.relay.codec import ClientMessage, Framing, MalformedFrame
from enterprise_gateway.relay.interfaces import ClientSink
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.outbox import Outbox, Outgoing
from enterprise_gateway.relay.session import CLOSE_TRY_AGAIN_LATER, ClientSession


class Hub(Protocol):
    """All sessions of a kernel, as a connection sees them."""

    def receive(self, connection: ClientConnection, request: ClientMessage) -> None:
        """The client of this connection sends this."""
        ...

    def detached(self, connection: ClientConnection) -> None:
        """This connection is over."""
        ...


class ClientConnection:
    """What a WebSocket handler talks to: `receive` what came, `detach` when it closed.

    Attributes:
        session: The session it belongs to.
        closed: Is it over?
        spoken: Has the client sent anything by it?
    """

    def __init__(
        self,
        hub: Hub,
        session: ClientSession,
        sink: ClientSink,
        *,
        framing: Framing,
        options: RelayOptions,
        log: Logger | LoggerAdapter[Any],
    ) -> None:
        self.session = session
        self.closed = False
        self.spoken = False
        self._hub = hub
        self._sink = sink
        self._framing = framing
        self._log = log
        self._complained = False
        self._outbox = Outbox(sink, framing, limit_bytes=options.client_buffer_bytes, overflow=self._overflow)

    @property
    def key(self) -> str | None:
        """Names its session."""
        return self.session.key

    def receive(self, message: str | bytes) -> None:
        """Pass a WebSocket message on to the kernel. Whatever it holds, this does not raise."""
        if self.closed:
            return
        try:
            request = self._framing.decode(message)
            if request.channel not in CHANNELS:
                raise MalformedFrame("no channel to a kernel is called so")
        except MalformedFrame as error:
            self._malformed(error)
            return
        self.spoken = True
        self._hub.receive(self, request)

    def detach(self) -> None:
        """The WebSocket has closed. Calling it again is harmless."""
        self.closed = True
        self.session.detach(self)
        self._outbox.unsent()
        self._hub.detached(self)

    def close(self, code: int, reason: str) -> None:
        """Send the client what waits for it, then close its WebSocket."""
        self._outbox.close(code, reason)
        self.detach()

    def put(self, message: Outgoing) -> None:
        """Queue a message to the client; `flush` sends it."""
        self._outbox.put(message)

    def flush(self) -> None:
        """Send what is queued."""
        self._outbox.flush()

    async def answers(self, seconds: float) -> bool:
        """Does the client's end answer a ping in that time?"""
        return await self._sink.answers(seconds)

    def unsent(self) -> list[Outgoing]:
        """Take back what has not been handed to the network. The WebSocket goes on, if it is open."""
        return self._outbox.take()

    def _malformed(self, error: MalformedFrame) -> None:
        """Say it once in the log: a client could fill it."""
        if not self._complained:
            self._log.warning("Ignored a message of a client: %s", error.problem)
            self._complained = True
        if error.close_code is not None:
            self.close(error.close_code, f"The message can't be read: {error.problem}")

    def _overflow(self) -> None:
        self._log.warning("A client reads too slowly and is disconnected")
        self._sink.close(CLOSE_TRY_AGAIN_LATER, "This client reads too slowly")
        self.detach()
