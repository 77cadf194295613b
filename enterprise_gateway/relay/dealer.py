"""One DEALER of a client to a kernel, of either kind: libzmq's, or over a plain Unix socket our own.

A socket of libzmq's has 16 KiB for each direction, its own bells and its monitor: most of what an idle client costs.
Local kernels are spoken to without it. IOPub stays with libzmq, whose thread drains the kernel whatever the loop does.
"""

from __future__ import annotations

from typing import Protocol

from enterprise_gateway.relay.interfaces import DealerEvents
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.sockets import KernelLink
from enterprise_gateway.relay.unix_dealer import UnixDealer
from enterprise_gateway.relay.zmq_dealer import ZmqDealer


class Dealer(Protocol):
    """A socket that is never used again once it is lost.

    Attributes:
        begun_at: When it began to connect, on the monotonic clock.
        stood_at: When the handshake was seen; None until then.
        lost: The connection is gone, or never came about.
    """

    begun_at: float
    stood_at: float | None
    lost: bool

    @property
    def stands(self) -> bool:
        """Has the kernel seen it, and is it still connected?"""
        ...

    def send(self, parts: list[bytes]) -> bool:
        """Send without waiting; False if it can't be sent now."""
        ...

    def read_rest(self) -> None:
        """Read what has arrived."""
        ...

    def end(self) -> None:
        """Send no more, read what has arrived, a message that is arriving to its end, and close it."""
        ...

    def close(self) -> None:
        """Close it; what it had queued is dropped. Closing twice is harmless."""
        ...


def connected_dealer(
    link: KernelLink, channel: str, *, identity: bytes, events: DealerEvents, options: RelayOptions
) -> Dealer:
    """Begin to connect a DEALER.

    Args:
        link: How the kernel is reached.
        channel: `shell`, `stdin` or `control`.
        identity: What the kernel's ROUTER knows it by.
        events: Whom it tells how it goes on.
        options: The bounds.

    Raises:
        zmq.ZMQError: No socket or file descriptor is left.
    """
    if link.over_plain_unix_sockets:
        return UnixDealer(link, channel, identity, events)
    return ZmqDealer(link, channel, identity, events, options)
