"""All clients of one kernel on this replica, across the kernel's generations."""

from __future__ import annotations

from collections.abc import Mapping
from logging import Logger, LoggerAdapter
from typing import Any

import zmq

from enterprise_gateway.relay.codec import Framing
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.interfaces import ClientSink, RelayListener
from enterprise_gateway.relay.options import RelayOptions


class Relay:
    """Interface first; the body follows."""

    kernel_id: str
    generation: int | None  # None while no kernel is bound

    def __init__(
        self,
        kernel_id: str,
        *,
        context: zmq.Context[zmq.Socket[bytes]],
        listener: RelayListener,
        log: Logger | LoggerAdapter[Any],
        options: RelayOptions = RelayOptions(),
    ) -> None: ...

    async def bind(self, connection: Mapping[str, Any], generation: int) -> None:
        """Join the clients to a kernel that is up: subscribe, prove that IOPub flows (at most 1 s), open the channels."""

    def unbind(self, status: str = "restarting") -> None:
        """The kernel's process is no more, a new generation comes: open requests are answered `aborted`."""

    def end(self, status: str = "dead", text: str | None = None) -> None:
        """The kernel is gone for good: clients are told, and why; their WebSockets stay open."""

    def tell(self, execution_state: str) -> None:
        """Tell all clients a state, as a status message of the gateway's own."""

    def attach(self, sink: ClientSink, *, session_id: str | None, framing: Framing) -> ClientConnection:
        """A WebSocket has opened. Same session_id again: the former connection is closed first."""
        raise NotImplementedError

    def close(self, code: int = 1012, reason: str = "The gateway is restarting") -> None:
        """Close every WebSocket and socket: drain, or a kernel that leaves this replica."""

    @property
    def client_count(self) -> int:
        """How many WebSockets are attached."""
        return 0
