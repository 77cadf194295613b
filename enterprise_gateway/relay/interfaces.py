"""What the relay asks of those around it: who listens to a kernel, what a WebSocket can do, whose a session is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from enterprise_gateway.relay.pieces import Piece


class Frame(NamedTuple):
    """One WebSocket message. A text frame's payload is valid UTF-8.

    Attributes:
        payload: All of it, or what comes before `rest`.
        binary: Is it a binary message?
        rest: What follows, in pieces: large ones are passed on as they are.
    """

    payload: bytes
    binary: bool
    rest: Sequence[Piece] = ()

    @property
    def size(self) -> int:
        """Bytes of the whole message."""
        return len(self.payload) + sum(map(len, self.rest))

    @property
    def whole(self) -> bytes:
        """The message in one piece, which copies it."""
        return b"".join((self.payload, *self.rest))


class DealerEvents(NamedTuple):
    """Whom a DEALER tells what.

    Attributes:
        read: Gets what the kernel sent, in batches as they were read.
        changed: Called when it stands or is lost.
        writable: Called when it may take messages again.
    """

    read: Callable[[list[list[Piece]]], None]
    changed: Callable[[], None]
    writable: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelStatus:
    """A `status` message that a kernel sent on IOPub.

    Attributes:
        execution_state: `busy`, `idle`, `starting` or whatever word the kernel used.
        parent_id: The message id of the request it belongs to; empty if it belongs to none.
        parent_type: The type of that request; empty if unknown.
        own: The request is the gateway's own (`probe.py`), on whatever replica: it never counts as activity.
        control: The request is known to have gone over the control channel of a client here; its busy and idle say
            nothing about the cells.
    """

    execution_state: str
    parent_id: str
    parent_type: str
    own: bool
    control: bool


class RelayListener(Protocol):
    """Who wants to know what passes. Called on the event loop, on the hot path: it must be quick and must not raise."""

    @property
    def execution_state(self) -> str | None:
        """What clients are told on opening and when a kernel was bound: `busy`, `idle`; None while unknown."""
        ...

    def kernel_status(self, status: KernelStatus) -> None:
        """The kernel sent a status: called for each of them, in their order."""
        ...

    def kernel_output(self) -> None:
        """The kernel sent something else: called once for all that was read in one go."""
        ...

    def client_message(self) -> None:
        """A client sent a well-formed message."""
        ...

    def clients_changed(self, count: int) -> None:
        """So many WebSockets are attached now."""
        ...


class ClientSink(Protocol):
    """A client's WebSocket, as the relay sees it. No method raises when the client is gone."""

    def send(self, frames: Sequence[Frame], sent: Callable[[], None]) -> bool:
        """Write the frames in order; call `sent` once, later, when the network took them (never if the client went).

        Returns:
            False if nothing was written, since the WebSocket is closing or closed.
        """
        ...

    def close(self, code: int, reason: str) -> None:
        """Close with a WebSocket close code after what was sent before. Closing twice is harmless."""
        ...

    async def answers(self, seconds: float) -> bool:
        """Does the client's end answer a ping in that time? That says nothing of whether anybody reads there."""
        ...
