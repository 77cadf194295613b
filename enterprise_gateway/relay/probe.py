"""The gateway's own questions to a kernel, each on a fresh socket with a random identity.

Their message ids name them as the gateway's own on every replica, so that the busy and idle they cause never count.
A kernel that has not bound its sockets yet is found when it does so; over TCP within about 20 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from enterprise_gateway.relay import messages
from enterprise_gateway.relay.caller import caller
from enterprise_gateway.relay.codec import PARTS, read_object
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.sockets import KernelLink, relay_context


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
    with closing(Questions(connection, channel)) as questions:
        return await questions.ask(msg_type, content, timeout_seconds=timeout_seconds)


class Questions:
    """Requests over one fresh socket.

    Args:
        connection: The connection file's content.
        channel: `shell` or `control`.

    Raises:
        ValueError: The connection asks for a signature scheme that is not known here.
        zmq.ZMQError: No socket or file descriptor is left.
    """

    def __init__(self, connection: Mapping[str, Any], channel: str) -> None:
        link = KernelLink.to(relay_context(), connection)
        self._signer = link.signer
        self._open: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._caller = caller(link, channel, self._read)

    async def ask(self, msg_type: str, content: Mapping[str, Any], *, timeout_seconds: float) -> dict[str, Any]:
        """Send one request and wait for its reply; returns the reply's content.

        Raises:
            TimeoutError: No answer in time.
        """
        msg_id, parts = messages.own_request(msg_type, content)
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._open[msg_id] = reply
        try:
            self._caller.send(parts)
            async with asyncio.timeout(timeout_seconds):
                return await reply
        finally:
            del self._open[msg_id]

    def close(self) -> None:
        """Close the socket."""
        self._caller.close()

    def _read(self, batch: Sequence[Sequence[Piece]]) -> None:
        """Take the replies among these that are signed by the kernel's key: a port may be another's by now."""
        for wire in batch:
            parts = messages.strip_envelope(wire)
            reply = None if parts is None else self._open.get(messages.parent_id(parts))
            if parts is None or reply is None or reply.done():
                continue
            if self._signer.fits(wire[wire.index(messages.DELIMITER) + 1], parts[:PARTS]):
                reply.set_result(read_object(parts[3]))
