"""All clients of one kernel on this replica, across the kernel's generations.

One subscription to the kernel is fanned out to all sessions; each session has its own channels. Clients may come before
there is a kernel: what they send waits, and they are told how things stand.

Promised: at most once and in order, per channel and client; what the kernel sends while a client that named its session
is away is kept for it, within bounds. Not promised: that a client hears what the kernel sent before it came first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from logging import Logger, LoggerAdapter
from typing import Any

import zmq

from enterprise_gateway.relay import messages
from enterprise_gateway.relay.buffer import BufferBudget
from enterprise_gateway.relay.claims import Claiming, Reconnects, session_key
from enterprise_gateway.relay.codec import ClientMessage, Framing
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.handover import Handover, digest
from enterprise_gateway.relay.interfaces import ClientSink, KernelStatus, RelayListener
from enterprise_gateway.relay.mailbox import LATE_SECONDS
from enterprise_gateway.relay.numbering import Numbering
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.outbox import Outgoing
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.session import CLOSE_RESTARTING, ClientSession
from enterprise_gateway.relay.sessions import Sessions
from enterprise_gateway.relay.sockets import Context, KernelLink, relay_context
from enterprise_gateway.relay.status_reader import StatusReader
from enterprise_gateway.relay.subscription import Subscription
from persistence import clock

MOST_RECENT = 1_000  # messages by which another replica knows what was heard here
DEFAULT_BUDGET_BYTES = 256 * 1024 * 1024
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
        reconnects: Who knows of the clients' connections to other replicas; None: nobody does.
        budget: What all relays of the process may keep for clients that are away.

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
        reconnects: Reconnects | None = None,
        budget: BufferBudget | None = None,
    ) -> None:
        self.kernel_id = kernel_id
        self.generation: int | None = None
        self._context = context or relay_context()
        self._listener = listener
        self._log = log
        self.options = options or RelayOptions()
        self._sessions = Sessions(
            self,
            reconnects=reconnects,
            budget=budget or BufferBudget(DEFAULT_BUDGET_BYTES),
            options=self.options,
            log=log,
        )
        self._counted = 0
        self._recent: deque[tuple[float, bytes]] = deque(maxlen=MOST_RECENT)  # when, and the header
        self._subscription: Subscription | None = None
        self._bound = False  # is the subscription proven?
        self._statuses = StatusReader()
        self._numbering = Numbering()
        self._told = COMING  # the state that clients know while no kernel is bound
        self._reason: str | None = None
        self._ended = False
        self._closed: tuple[int, str] | None = None

    @property
    def client_count(self) -> int:
        """How many WebSockets are attached. A client that is awaited has none."""
        return self._sessions.count

    @property
    def in_use(self) -> bool:
        """Is a client attached or awaited, so that the kernel must be listened to?"""
        return self._sessions.any

    @property
    def ended(self) -> bool:
        """Has `end` been called, and no kernel bound since?"""
        return self._ended

    def owes(self, seconds: float) -> bool:
        """Is anything kept, or about to come, for a client that went less than so long ago?"""
        busy = self._listener.execution_state == "busy"
        return any(one.away_seconds < seconds and (busy or one.owes) for one in self._sessions.awaited)

    async def bind(self, connection: Mapping[str, Any], generation: int, *, hands_over: bool = True) -> None:
        """Join the clients to a kernel that is up: subscribe, see IOPub flow (at most 1 s), open the channels.

        It never waits for shell. A bind that is overtaken (`unbind`, `end`, `close`, another `bind`) returns without
        having bound.

        Args:
            connection: The content of the kernel's connection file, with CurveZMQ keys where it has them.
            generation: Which generation of the kernel this is.
            hands_over: Does it give replies to the newest of two sockets of one identity, as ipykernel does?

        Raises:
            ValueError: The connection asks for a signature scheme that is not known here.
            ZMQError: There is no room for another socket; nothing is bound.
        """
        self._unsubscribe()
        link = KernelLink.to(self._context, connection, hands_over=hands_over)
        self._numbering = Numbering()
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
        self._bound = True
        self._sessions.join(link)
        self.tell(self._listener.execution_state or "idle")

    def unbind(self, status: str = COMING, text: str | None = None) -> None:
        """The kernel's process is no more, another comes: clients are told, open requests answered `aborted`.

        What clients send from now on waits for the next `bind`.

        Args:
            status: What they are told. Who comes later is told `starting`.
            text: Why, for the people, if anything is to be said.
        """
        self._leave(text)
        self._told = COMING
        self.tell(status, text)

    def end(self, status: str = "dead", text: str | None = None) -> None:
        """The kernel is gone, or never came up: clients are told, and why if `text` says so.

        Their WebSockets stay open; what they send from now on is answered `aborted` at once. What is kept for clients
        that are away goes: there is nothing to come back to.
        """
        self._leave(text)
        self._told, self._reason, self._ended = status, text, True
        self._sessions.flush()
        for connection in self._sessions.connections:
            self._tell_one(connection, status, text)
        for session in self._sessions.awaited:
            session.end()

    def tell(self, execution_state: str, text: str | None = None) -> None:
        """Tell all clients a state, in a status message of the gateway's own, and before it why if `text` says so."""
        for message in self._said(execution_state, text):
            self._sessions.put(message)
        self._sessions.flush()

    def open(self, session_id: str | None, claiming: Claiming = None) -> ClientSession:
        """A client is about to come: begin its session, or go on with the one that is here.

        `attach` follows when its WebSocket has opened, else `ClientSession.keep`.

        Args:
            session_id: What the client calls its session; None if it named none.
            claiming: Its place in the order of the session's connections; None where that could not be recorded.
        """
        return self._sessions.open(None if session_id is None else session_key(session_id), claiming)

    def attach(self, session: ClientSession, sink: ClientSink, *, framing: Framing) -> ClientConnection:
        """Take in a client whose WebSocket has opened, and tell it how things stand."""
        connection = self._sessions.attach(session, sink, framing)
        if self._closed is not None:
            connection.close(*self._closed)
            return connection
        self._welcome(connection)
        session.attach(connection)
        return connection

    async def give(self, key: str, n: int, seconds: float) -> Handover | None:
        """Another replica has the session's next connection: end this one, and give what it has kept.

        Args:
            key: Names the session.
            n: The number of the connection that is asked for.
            seconds: How long it may wait for what it fetches itself.

        Returns:
            None if there is no such connection here, or it has been given before.
        """
        return await self._sessions.give(key, n, seconds)

    async def supersede(self, key: str, n: int, seconds: float) -> bool | None:
        """Tell a connection that it has a successor on another replica, so that it makes no DEALERs any more.

        Args:
            key: Names the session.
            n: The number of the connection that is told.
            seconds: How long it may wait for DEALERs that are being made, and for those before it.

        Returns:
            True once neither it nor a connection before it makes DEALERs, False if that is not sure, and None if there
            is no such connection here.
        """
        return await self._sessions.supersede(key, n, seconds)

    async def admit(self, key: str, n: int, seconds: float) -> bool | None:
        """Let a silent connection of a client, on another replica, succeed this one.

        Args:
            key: Names the session.
            n: The number of the connection that is asked.
            seconds: How long it may wait until this one's number is known.

        Returns:
            False while its client is there and has spoken; None if there is no such connection here.
        """
        return await self._sessions.admit(key, n, seconds)

    def send_away(self, code: int = CLOSE_RESTARTING, reason: str = "The gateway is restarting") -> None:
        """Close all WebSockets, and those that come: the replica drains. What the kernel sends is kept for them.

        What waits for a client is sent before its close frame. Calling it again is harmless.
        """
        self._closed = code, reason
        self._sessions.close_connections(code, reason)

    def close(self, code: int = CLOSE_RESTARTING, reason: str = "The gateway is restarting") -> None:
        """Close all WebSockets and sockets, and keep nothing. Calling it again is harmless."""
        self.send_away(code, reason)
        self._unsubscribe()
        self._sessions.end_all()

    # What its sessions ask

    @property
    def kernel_session(self) -> str:
        """What the kernel calls its own session, so that what is said in its name looks like its own."""
        return self._statuses.session

    def client_message(self, message: ClientMessage) -> bool:
        """A client sends this; False if there is no kernel any more."""
        self._listener.client_message()
        if message.channel == "control":
            self._statuses.sent_on_control(message.msg_id)
        return not self._ended

    def read_rest(self) -> None:
        """Read what has arrived on IOPub."""
        if self._subscription is not None:
            self._subscription.read_rest()

    def recent(self) -> list[tuple[float, bytes]]:
        """What was heard on IOPub lately, the newest last: when, on the monotonic clock, and the digest."""
        since = clock.monotonic() - LATE_SECONDS
        return [(heard_at, digest("iopub", [header])) for heard_at, header in self._recent if heard_at > since]

    def session_changed(self) -> None:
        """A WebSocket was opened or closed, or a session is over."""
        self._sessions.forget_ended()
        count = self._sessions.count
        if count != self._counted:
            self._counted = count
            self._listener.clients_changed(count)

    def _welcome(self, connection: ClientConnection) -> None:
        if self._bound:
            self._tell_one(connection, self._listener.execution_state or "idle")
        else:
            self._tell_one(connection, self._told, self._reason)

    def _unsubscribe(self) -> None:
        self.generation, self._bound = None, False
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _leave(self, why: str | None) -> None:
        self.read_rest()
        self._unsubscribe()
        self._sessions.leave(why)

    def _said(self, execution_state: str, text: str | None) -> list[Outgoing]:
        why = [] if text is None else [messages.stderr(text, session=self.kernel_session)]
        return [
            Outgoing("iopub", parts) for parts in (*why, messages.status(execution_state, session=self.kernel_session))
        ]

    def _tell_one(self, connection: ClientConnection, execution_state: str, text: str | None = None) -> None:
        for message in self._said(execution_state, text):
            connection.put(message)
        connection.flush()

    def _from_kernel(self, batch: list[list[Piece]]) -> None:
        output = False
        now = clock.monotonic()
        for wire in batch:
            parts = messages.strip_envelope(wire)
            if parts is None:
                self._log.debug("The kernel sent a message on IOPub that is none")
                continue
            header = bytes(parts[0])
            if missed := self._numbering.missed(header):
                self._sessions.put(Outgoing("iopub", self._lost(missed, bytes(parts[1]))))
            seen = self._statuses.read(parts)
            if isinstance(seen, KernelStatus):
                self._listener.kernel_status(seen)
                if seen.own:
                    continue
            elif seen is not None:
                continue
            else:
                output = True
            self._recent.append((now, header))
            self._sessions.put(Outgoing("iopub", parts))
        self._sessions.flush()
        if output:
            self._listener.kernel_output()

    def _lost(self, count: int, parent: bytes) -> list[bytes]:
        self._log.warning("About %s messages of the kernel were lost before they got here", count)
        text = f"About {count} messages are missing here: the kernel sent faster than they could be taken."
        return messages.stderr(text, parent=parent, session=self.kernel_session)
