"""ZMQ plumbing: contexts, sockets to a kernel, and a reader on the event loop without a future per message.

Sockets here never block: sends and receives are non-blocking, and closing drops what was not sent (linger 0).
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import zmq

from enterprise_gateway.relay.pieces import LARGE_BYTES, Piece
from enterprise_gateway.relay.signing import Signer

Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

MAX_SOCKETS = 65_535  # libzmq's own limit; its default of 1,023 is about 255 kernels
NEVER = -1
AT_ONCE = int(zmq.NOBLOCK)  # an int is read faster than an enum's member
# What a watched socket is told: the other side has shaken hands, or the connection is gone (or never came about).
WATCHED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
MAX_REST_BATCHES = 200
BATCH_BYTES = 2 * 1024 * 1024  # then the loop gets its turn, and clients get what was read
SEARCH_MS = 20  # between two attempts to reach a kernel that has not bound yet
# A tcp connection whose other host is gone is noticed after about two minutes; ipc needs none of it.
KEEPALIVE = {zmq.TCP_KEEPALIVE: 1, zmq.TCP_KEEPALIVE_IDLE: 60, zmq.TCP_KEEPALIVE_INTVL: 15, zmq.TCP_KEEPALIVE_CNT: 4}


@cache
def relay_context() -> Context:
    """Return the one context that all relays and probes of a process share."""
    context = Context()
    context.set(zmq.MAX_SOCKETS, min(MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT)))
    context.linger = 0
    return context


def start_threads() -> None:
    """Start libzmq's own threads now: it ends the process where it can't start them when they are first needed."""
    relay_context().socket(zmq.PAIR).close()


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one; returns it. 6 are open per connected kernel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def address(connection: Mapping[str, Any], channel: str) -> str:
    """Return the endpoint of a channel, as jupyter_client spells it."""
    separator = ":" if connection.get("transport", "tcp") == "tcp" else "-"
    return f"{connection.get('transport', 'tcp')}://{connection['ip']}{separator}{connection[f'{channel}_port']}"


@dataclass(frozen=True, slots=True)
class KernelLink:
    """How one generation of a kernel is reached.

    Attributes:
        context: Where its sockets are made.
        connection: The connection file's content.
        signer: Signs with its key.
        hands_over: Does the kernel give the replies to the newest of two sockets of one identity? Otherwise it takes no
            notice of a second one while the first is connected.
    """

    context: Context
    connection: Mapping[str, Any]
    signer: Signer
    hands_over: bool = True

    @property
    def over_plain_unix_sockets(self) -> bool:
        """Is it on this host, and nothing encrypted?"""
        return self.connection.get("transport") == "ipc" and not all(self._keys)

    @property
    def _keys(self) -> tuple[Any, Any]:
        return _key(self.connection, "curve_publickey"), _key(self.connection, "curve_secretkey")

    @classmethod
    def to(cls, context: Context, connection: Mapping[str, Any], *, hands_over: bool = True) -> KernelLink:
        """Make a link from a connection file's content.

        Raises:
            ValueError: The connection names a signature scheme that is not known here.
        """
        return cls(context, connection, Signer.of(connection), hands_over)

    def dealer(
        self,
        channel: str,
        *,
        identity: bytes | None = None,
        send_mark: int = 1_000,
        searching: bool = False,
        watched: bool = False,
    ) -> Socket:
        """Connect a fresh DEALER to a channel.

        Args:
            channel: `shell`, `stdin` or `control`.
            identity: What the kernel's ROUTER knows it by; the newest of one identity gets the replies.
            send_mark: How many messages libzmq queues before a send is refused.
            searching: Keep trying until the kernel binds. Otherwise the socket never connects twice by itself: a
                stale one that came back would steal the identity from its successor.
            watched: Have its monitor tell `WATCHED`.
        """
        socket = self.context.socket(zmq.DEALER)
        if watched:
            try:
                socket.get_monitor_socket(WATCHED)
            except zmq.ZMQError:  # no descriptor is left for it
                socket.close(linger=0)
                raise
        socket.set(zmq.RECONNECT_IVL, SEARCH_MS if searching else NEVER)
        socket.set(zmq.SNDHWM, send_mark)
        if identity is not None:
            socket.set(zmq.IDENTITY, identity)
        return self._connected(socket, channel)

    def subscriber(self) -> Socket:
        """Connect a SUB to IOPub, without a subscription yet. It finds the kernel by itself, also again."""
        socket = self.context.socket(zmq.SUB)
        socket.set(zmq.RECONNECT_IVL, SEARCH_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, 2_000)
        return self._connected(socket, "iopub")

    def _connected(self, socket: Socket, channel: str) -> Socket:
        # Without a receive mark libzmq's own thread drains the kernel, whose PUB (and ROUTER) drop at their mark.
        socket.set(zmq.RCVHWM, 0)
        socket.set(zmq.LINGER, 0)
        for option, value in KEEPALIVE.items():
            socket.set(option, value)
        public, secret = self._keys
        if public and secret:
            # The connection file has one key pair for both sides.
            socket.set(zmq.CURVE_SERVERKEY, public)
            socket.set(zmq.CURVE_PUBLICKEY, public)
            socket.set(zmq.CURVE_SECRETKEY, secret)
        socket.connect(address(self.connection, channel))
        return socket


def _key(connection: Mapping[str, Any], name: str) -> bytes | None:
    value = connection.get(name)
    return value.encode() if isinstance(value, str) else value


class SocketReader:
    """Reads one socket on the running event loop, in batches.

    libzmq's descriptor is edge-triggered: it wakes once, and any call on the socket may swallow the edge. So each
    wake-up reads until nothing is left or the budget is spent (then it goes on in the loop's next round), and each send
    looks for what it may have swallowed.

    Args:
        socket: The socket; the reader closes it.
        read: Gets all messages of one go, never an empty list.
        budget: Messages per go; a go also ends at 2 MiB.
        writable: Called when the socket may take messages again.
    """

    def __init__(
        self,
        socket: Socket,
        read: Callable[[list[list[Piece]]], None],
        *,
        budget: int,
        writable: Callable[[], None] | None = None,
    ) -> None:
        self._socket = socket
        self._read = read
        self._budget = budget
        self._writable = writable
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.get(zmq.FD))
        self._scheduled = False
        self._blocked = False
        self._more = False
        self._loop.add_reader(self._descriptor, self._wake)
        self._schedule()  # what came before the descriptor was watched has no edge any more

    @property
    def closed(self) -> bool:
        """Is the socket closed?"""
        return bool(self._socket.closed)

    def send(self, message: list[bytes]) -> bool:
        """Send without waiting; False if the socket can't take it (its queue is full, or nobody is connected)."""
        try:
            self._socket.send_multipart(message, zmq.NOBLOCK)
            self._blocked = False
        except zmq.Again:
            self._blocked = True
        self._look()
        return not self._blocked

    def read_rest(self) -> None:
        """Read what has arrived, now: before the socket is closed. A sender that never stops is left after a while."""
        for _ in range(MAX_REST_BATCHES):
            if self._socket.closed or not (batch := self._drain()):
                return
            self._read(batch)

    def close(self) -> None:
        """Stop reading and close the socket; what is queued either way is dropped. Closing twice is harmless."""
        if not self._socket.closed:
            self._loop.remove_reader(self._descriptor)
            self._socket.close(linger=0)

    def _look(self) -> None:
        """Make up for the edge that a call may have swallowed."""
        wanted = zmq.POLLIN | (zmq.POLLOUT if self._blocked else 0)
        if not self._scheduled and int(self._socket.get(zmq.EVENTS)) & wanted:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_soon(self._wake_scheduled)

    def _wake_scheduled(self) -> None:
        self._scheduled = False
        self._wake()

    def _wake(self) -> None:
        if self._socket.closed:
            return
        batch = self._drain()
        if self._more and not self._scheduled:
            self._schedule()
        if batch:
            self._read(batch)
        if self._writable is not None and not self._socket.closed:
            self._writable()

    def _drain(self) -> list[list[Piece]]:
        batch: list[list[Piece]] = []
        size = 0
        self._more = True
        try:
            while len(batch) < self._budget and size < BATCH_BYTES:
                message = _received(self._socket)
                size += sum(map(len, message))
                batch.append(message)
        except zmq.Again:
            self._more = False
        return batch


def _received(socket: Socket) -> list[Piece]:
    """Receive one message as `recv_multipart` does, which asks the socket after each part whether there is another.

    Large parts stay where they are: a copy, and the memory for it, would be a third of what they cost the gateway.

    Raises:
        zmq.Again: There is none.
    """
    receive = socket.recv
    frames = [frame := receive(AT_ONCE, copy=False)]
    while frame.more:
        frames.append(frame := receive(AT_ONCE, copy=False))
    return [frame.bytes if len(frame) < LARGE_BYTES else frame.buffer for frame in frames]
