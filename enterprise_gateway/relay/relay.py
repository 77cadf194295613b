"""All clients of one kernel on this replica, across the kernel's generations.

One subscription to the kernel is fanned out to all clients; each client has its own channels. Clients may come before
there is a kernel: what they send waits, and they are told how things stand.

Promised: at most once and in order, per channel and client. Not promised: that a client hears what the kernel sent
before the client came, or while it was away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from logging import Logger, LoggerAdapter
from typing import Any

import zmq

from enterprise_gateway.relay import messages
from enterprise_gateway.relay.codec import ClientMessage, Framing
from enterprise_gateway.relay.connection import CLOSE_NORMAL, CLOSE_RESTARTING, ClientConnection
from enterprise_gateway.relay.interfaces import ClientSink, KernelStatus, RelayListener
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.outbox import Outgoing
from enterprise_gateway.relay.sockets import Context, KernelLink, relay_context
from enterprise_gateway.relay.status_reader import StatusReader
from enterprise_gateway.relay.subscription import Subscription

# Not `restarting` to who comes while a kernel is restarted: JupyterLab answers that by connecting again, and again.
COMING = "starting"


class Relay:
    """Joins clients to a kernel. All methods belong to the event loop's thread.

    Args:
        kernel_id: The kernel.
        listener: Who wants to know what passes.
        log: Where the relay tells what went wrong; kernel and replica ids are its adapter's business.
        options: The limits.
        context: Where sockets are made; the process's shared one by default.

    Attributes:
        generation: The kernel's generation that is bound; None while none is.
        options: The limits.
    """

    def __init__(
        self,
        kernel_id: str,
        *,
        listener: RelayListener,
        log: Logger | LoggerAdapter[Any],
        options: RelayOptions | None = None,
        context: Context | None = None,
    ) -> None:
        self.kernel_id = kernel_id
        self.generation: int | None = None
        self._context = context or relay_context()
        self._listener = listener
        self._log = log
        self.options = options or RelayOptions()
        self._clients: tuple[ClientConnection, ...] = ()  # replaced, never changed: it may shrink while it is walked
        self._subscription: Subscription | None = None
        self._link: KernelLink | None = None  # set once the subscription is proven
        self._statuses = StatusReader()
        self._told = COMING  # the state that clients know while no kernel is bound
        self._reason: str | None = None
        self._ended = False
        self._closed: tuple[int, str] | None = None

    @property
    def client_count(self) -> int:
        """How many WebSockets are attached."""
        return len(self._clients)

    @property
    def ended(self) -> bool:
        """Has `end` been called, and no kernel bound since?"""
        return self._ended

    async def bind(self, connection: Mapping[str, Any], generation: int) -> None:
        """Join the clients to a kernel that is up: subscribe, see IOPub flow (at most 1 s), open the channels.

        It never waits for shell. A bind that is overtaken (`unbind`, `end`, `close`, another `bind`) returns without
        having bound.

        Args:
            connection: The content of the kernel's connection file, with CurveZMQ keys where it has them.
            generation: Which generation of the kernel this is.

        Raises:
            ValueError: The connection asks for a signature scheme that is not known here.
            ZMQError: There is no room for another socket; nothing is bound.
        """
        self._unsubscribe()
        link = KernelLink.to(self._context, connection)
        subscription = self._subscription = Subscription(link, self._from_kernel, self.options)
        self.generation, self._ended, self._reason = generation, False, None
        try:
            proven = await subscription.prove()
        except (asyncio.CancelledError, zmq.ZMQError):  # no descriptor is left for a socket
            if self._subscription is subscription:
                self._unsubscribe()
            raise
        if self._subscription is not subscription:
            return
        if not proven:
            self._log.info("Nothing was seen on IOPub yet; the kernel is taken to be connected")
        self._link = link
        for client in self._clients:
            client.join(link)
        if self._clients:
            self.tell(self._listener.execution_state or "idle")

    def unbind(self, status: str = COMING, text: str | None = None) -> None:
        """The kernel's process is no more, another comes: clients are told, open requests answered `aborted`.

        What clients send from now on waits for the next `bind`.

        Args:
            status: What they are told. Who comes later is told `starting`.
            text: Why, for the people, if anything is to be said.
        """
        self._leave()
        self._told = COMING
        self.tell(status, text)

    def end(self, status: str = "dead", text: str | None = None) -> None:
        """The kernel is gone, or never came up: clients are told, and why if `text` says so.

        Their WebSockets stay open; what they send from now on is answered `aborted` at once.
        """
        self._leave()
        self._told, self._reason, self._ended = status, text, True
        self.tell(status, text)

    def tell(self, execution_state: str, text: str | None = None) -> None:
        """Tell all clients a state, in a status message of the gateway's own, and before it why if `text` says so."""
        for client in self._clients:
            self._tell_one(client, execution_state, text)

    def attach(
        self, sink: ClientSink, *, session_id: str | None, framing: Framing, arrival: int = 0
    ) -> ClientConnection:
        """Take in a client whose WebSocket has opened, and tell it how things stand.

        There is one DEALER of an identity: of two connections of one session the one that was asked for last stays,
        whichever of them opened last, and the other is closed.

        Args:
            sink: The client's WebSocket.
            session_id: What the client calls its session.
            framing: How messages are framed on it.
            arrival: Rises with each request for a WebSocket.
        """
        client = ClientConnection(
            self, sink, session_id=session_id, framing=framing, options=self.options, log=self._log, arrival=arrival
        )
        if self._closed is not None:
            client.close(*self._closed)
            return client
        if not self._supersede(client):
            return client
        self._clients = (*self._clients, client)
        self._listener.clients_changed(len(self._clients))
        self._welcome(client)
        return client

    def close(self, code: int = CLOSE_RESTARTING, reason: str = "The gateway is restarting") -> None:
        """Close all WebSockets and sockets: the replica drains, or leaves the kernel to others.

        What waits for a client is sent before its close frame. Calling it again is harmless.
        """
        self._closed = code, reason
        self._unsubscribe()
        for client in self._clients:
            client.close(code, reason)

    def client_message(self, message: ClientMessage) -> bool:
        """A connection of ours asks whether its client's message may go on."""
        self._listener.client_message()
        if message.channel == "control":
            self._statuses.sent_on_control(message.msg_id)
        return not self._ended

    def detached(self, connection: ClientConnection) -> None:
        """A connection of ours is over."""
        if connection in self._clients:
            self._clients = tuple(client for client in self._clients if client is not connection)
            self._listener.clients_changed(len(self._clients))

    def _welcome(self, client: ClientConnection) -> None:
        if self._link is None:
            self._tell_one(client, self._told, self._reason)
        else:
            client.join(self._link)
            self._tell_one(client, self._listener.execution_state or "idle")

    def _supersede(self, newcomer: ClientConnection) -> bool:
        """Close the older ones of the newcomer's session, itself among them; says whether it is the newest."""
        same = [one for one in self._clients if one.session_id == newcomer.session_id is not None]
        newest = max([newcomer, *same], key=lambda one: one.arrival)
        for client in (*same, newcomer):
            if client is not newest:
                self._log.info("A newer WebSocket of the same session takes over")
                # 1000: the former one must not come back and take over in its turn.
                client.close(CLOSE_NORMAL, "A newer connection of this session took over")
        return newest is newcomer

    def _unsubscribe(self) -> None:
        self.generation = self._link = None
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _leave(self) -> None:
        if self._subscription is not None:
            self._subscription.read_rest()
        self._unsubscribe()
        for client in self._clients:
            client.leave()

    def _tell_one(self, client: ClientConnection, execution_state: str, text: str | None = None) -> None:
        if text is not None:
            client.put(Outgoing("iopub", messages.stderr(text)))
        client.put(Outgoing("iopub", messages.status(execution_state)))
        client.flush()

    def _from_kernel(self, batch: list[list[bytes]]) -> None:
        clients = self._clients
        output = False
        for wire in batch:
            parts = messages.strip_envelope(wire)
            if parts is None:
                self._log.debug("The kernel sent a message on IOPub that is none")
                continue
            seen = self._statuses.read(parts)
            if isinstance(seen, KernelStatus):
                self._listener.kernel_status(seen)
                if seen.own:
                    continue
            elif seen is not None:
                continue
            else:
                output = True
            message = Outgoing("iopub", parts)
            for client in clients:
                client.put(message)
        for client in clients:
            client.flush()
        if output:
            self._listener.kernel_output()
