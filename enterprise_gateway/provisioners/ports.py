"""TCP ports for kernels, held until the kernel has bound them.

Picking a free port and closing it leaves seconds in which another start, of this gateway or another program, is given
the same. Held ones are bound but do not listen, with SO_REUSEADDR: Linux then gives them to nobody who asks for any
free port, nor to an outgoing connection, but lets the kernel bind and listen, since libzmq (and every other
implementation of ZeroMQ in use) sets that option too. The holder's death frees them.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence


class PortReservation:
    """Ports of one address that are held until `release`.

    Args:
        ip: The address, IPv4 and this host's own.
        count: How many.

    Raises:
        OSError: No port is left, or the address is not this host's.
    """

    def __init__(self, ip: str, count: int) -> None:
        self._sockets: list[socket.socket] = []
        try:
            self.ports: Sequence[int] = [self._reserve(ip) for _ in range(count)]
        except OSError:
            self.release()
            raise

    def _reserve(self, ip: str) -> int:
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._sockets.append(held)
        # Bound without the option, then given it: an ephemeral port chosen *with* it may be one that others share.
        held.bind((ip, 0))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port: int = held.getsockname()[1]
        return port

    def release(self) -> None:
        """Stop holding them. Harmless when repeated."""
        while self._sockets:
            self._sockets.pop().close()
