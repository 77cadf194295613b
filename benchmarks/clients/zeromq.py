"""A kernel's channels straight over ZeroMQ: what there is without a gateway."""

from __future__ import annotations

from typing import Any

import zmq
from jupyter_client.session import Session

from benchmarks.clients.channels import HEAD_BYTES, Received

_FRONT = 2  # the delimiter and the signature, behind what the socket's kind puts first


class ZeroMQChannels:
    """Shell and IOPub of one kernel.

    Args:
        connection: The connection file's content.
        session: Signs as the kernel expects.
    """

    def __init__(self, connection: dict[str, Any], session: Session) -> None:
        self._session = session
        self._context = zmq.Context[zmq.Socket[bytes]]()
        self._shell = self._connected(zmq.DEALER, connection, "shell")
        self._iopub = self._connected(zmq.SUB, connection, "iopub")
        self._poller = zmq.Poller()
        self._poller.register(self._shell, zmq.POLLIN)
        self._poller.register(self._iopub, zmq.POLLIN)

    def _connected(self, kind: int, connection: dict[str, Any], channel: str) -> zmq.Socket[bytes]:
        made = self._context.socket(kind)
        made.set(zmq.RCVHWM, 0)
        made.set(zmq.LINGER, 0)
        if kind == zmq.SUB:
            made.subscribe(b"")
        separator = "-" if connection["transport"] == "ipc" else ":"
        made.connect(f"{connection['transport']}://{connection['ip']}{separator}{connection[f'{channel}_port']}")
        return made

    def send(self, header: dict[str, Any], content: dict[str, Any]) -> None:
        """Send a request on shell."""
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self._shell.send_multipart(self._session.serialize(message))

    def receive(self, seconds: float) -> Received:
        """Return the next message; IOPub's first, as there are more of them."""
        while True:
            try:
                return _received(self._iopub.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                ready = dict(self._poller.poll(int(seconds * 1000)))
            if self._shell in ready:
                return _received(self._shell.recv_multipart())
            if not ready:
                raise TimeoutError("the kernel sent nothing")

    def close(self) -> None:
        """Close its sockets."""
        self._context.destroy(linger=0)


def _received(wire: list[bytes]) -> Received:
    parts = wire[wire.index(b"<IDS|MSG>") + _FRONT :]
    return Received(b"".join(parts[:4])[:HEAD_BYTES], sum(map(len, parts)))
