"""The one IOPub subscription of a kernel on this replica, and the proof that it flows.

A subscription takes effect some time after it is made, and what the kernel sends before is lost. Waiting for shell
proves nothing soon: a busy kernel answers after its cell. So a second subscription, to a random topic, is made after
the one to everything: a kernel with a welcoming XPUB names it in an `iopub_welcome` within milliseconds, busy or not.
Others are nudged with `kernel_info` on control until anything is seen on IOPub, or the time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from secrets import token_hex

from enterprise_gateway.relay import messages
from enterprise_gateway.relay.flag import Flag
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.sockets import KernelLink, SocketReader

WELCOME_SECONDS = 0.1  # then the kernel is nudged as well
NUDGE_SECONDS = 0.2  # between two nudges


class Subscription:
    """A subscription to all that a kernel sends on IOPub, from now until `close`.

    Args:
        link: How the kernel is reached.
        read: Gets what was sent, in batches of whole ZMQ messages.
        options: Read budget and time limit.
    """

    def __init__(self, link: KernelLink, read: Callable[[list[list[Piece]]], None], options: RelayOptions) -> None:
        self._link = link
        self._read = read
        self._options = options
        self._flows = Flag()
        socket = link.subscriber()
        socket.subscribe(b"")
        socket.subscribe(f"welcome-{token_hex(8)}".encode())
        self._reader = SocketReader(socket, self._received, budget=options.read_budget)

    def read_rest(self) -> None:
        """Read the last that has arrived of a kernel that is no more."""
        self._reader.read_rest()

    def close(self) -> None:
        """End it; a `prove` under way returns."""
        self._reader.close()
        self._flows.set()

    async def prove(self) -> bool:
        """Wait until IOPub is seen to flow; False if the time limit passed first."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._options.flow_timeout_seconds
        if await self._flows_within(min(WELCOME_SECONDS, self._options.flow_timeout_seconds)):
            return True
        control = SocketReader(self._link.dealer("control"), _ignore, budget=self._options.read_budget)
        try:
            while (left := end - loop.time()) > 0 and not self._flows.is_set():
                self._nudge(control)
                await self._flows_within(min(NUDGE_SECONDS, left))
        finally:
            control.close()
        return self._flows.is_set()

    async def _flows_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._flows.wait()
        except TimeoutError:
            return False
        return True

    def _nudge(self, control: SocketReader) -> None:
        _, parts = messages.own_request("kernel_info_request", {})
        control.send([messages.DELIMITER, self._link.signer.sign(parts), *parts])

    def _received(self, batch: list[list[Piece]]) -> None:
        self._flows.set()  # whatever came: the subscription stands
        self._read(batch)


def _ignore(_batch: list[list[Piece]]) -> None:
    """The answer itself is of no interest."""
