"""The gateway's own questions to a kernel, each on a fresh socket with a random identity.

Their message ids name them as the gateway's own on every replica, so that the busy and idle they cause never count.
A kernel that has not bound its sockets yet is found within about 20 ms of doing so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from enterprise_gateway.relay import messages
from enterprise_gateway.relay.codec import PARTS, read_object
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.sockets import KernelLink, SocketReader, relay_context

READ_BUDGET = 16


async def kernel_info(
    connection: Mapping[str, Any], *, channel: str = "shell", timeout_seconds: float
) -> dict[str, Any]:
    """Ask `kernel_info`; returns the reply's content.

    On shell an answer means that the kernel is idle, as of then; none, that it is busy (or not up). On control it only
    means that it lives.

    Raises:
        TimeoutError: No answer in time.
    """
    return await ask(connection, channel, "kernel_info_request", {}, timeout_seconds=timeout_seconds)


async def interrupt_request(connection: Mapping[str, Any], *, timeout_seconds: float) -> dict[str, Any]:
    """Ask a kernel of interrupt mode `message` to interrupt its cell.

    Raises:
        TimeoutError: No answer in time; it may have been interrupted.
    """
    return await ask(connection, "control", "interrupt_request", {}, timeout_seconds=timeout_seconds)


async def shutdown_request(connection: Mapping[str, Any], *, restart: bool, timeout_seconds: float) -> dict[str, Any]:
    """Ask a kernel to end itself. An answer says that it will, not that it has.

    Raises:
        TimeoutError: No answer in time; it may be ending all the same.
    """
    return await ask(connection, "control", "shutdown_request", {"restart": restart}, timeout_seconds=timeout_seconds)


async def ask(
    connection: Mapping[str, Any], channel: str, msg_type: str, content: Mapping[str, Any], *, timeout_seconds: float
) -> dict[str, Any]:
    """Send one request and wait for its reply; returns the reply's content.

    Raises:
        TimeoutError: No answer in time.
        ValueError: The connection asks for a signature scheme that is not known here.
    """
    link = KernelLink.to(relay_context(), connection)
    msg_id, parts = messages.own_request(msg_type, content)
    reply = _Reply(link, msg_id)
    reader = SocketReader(link.dealer(channel, searching=True), reply.read, budget=READ_BUDGET)
    try:
        # The socket is fresh: it queues this, also before it is connected.
        reader.send([messages.DELIMITER, link.signer.sign(parts), *parts])
        async with asyncio.timeout(timeout_seconds):
            return await reply.content
    finally:
        reader.close()


class _Reply:
    """Waits for the reply to one request."""

    def __init__(self, link: KernelLink, msg_id: str) -> None:
        self._link = link
        self._msg_id = msg_id
        self.content: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def read(self, batch: Sequence[Sequence[Piece]]) -> None:
        """Take the reply, if it is among these and signed by the kernel's key: a port may be another's by now."""
        for wire in batch:
            parts = messages.strip_envelope(wire)
            if parts is None or self.content.done():
                continue
            signature = wire[wire.index(messages.DELIMITER) + 1]
            if messages.parent_id(parts) == self._msg_id and self._link.signer.fits(signature, parts[:PARTS]):
                self.content.set_result(read_object(parts[3]))
