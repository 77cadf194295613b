"""A WebSocket to a kernel's channels that keeps only the head of each message.

It blocks, copies nothing but the heads, and leaves the rest of a large frame where the network has put it: what is
measured is who sends.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from base64 import b64encode
from http.client import parse_headers
from io import BytesIO
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1

from benchmarks.clients.channels import HEAD_BYTES, PATIENCE_SECONDS, Received

V1 = "v1.kernel.websocket.jupyter.org"
BUFFER_BYTES = 1 << 20
SHORTEST_SECONDS = 0.001  # a socket with a timeout of 0 does not wait, which is another error
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Closed(Exception):
    """The server has closed the WebSocket, or never opened it."""


class WebSocketChannels:
    """A kernel's channels over a gateway's WebSocket, in the v1 framing where the gateway has it.

    Args:
        url: The gateway's.
        kernel_id: The kernel.
        token: Sent as a header.
        session_id: The client's; None: a new one's.
    """

    def __init__(self, url: str, kernel_id: str, token: str, session_id: str | None = None) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0
        path = f"{address.path}/api/kernels/{kernel_id}/channels?session_id={session_id or uuid4().hex}"
        try:
            self.v1 = self._shake_hands(path, address.netloc, token) == V1
        except BaseException:
            self._socket.close()
            raise

    def _shake_hands(self, path: str, host: str, token: str) -> str | None:
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {b64encode(os.urandom(16)).decode()}", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Protocol: {V1}", f"Authorization: token {token}", "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        # Byte by byte: frames may follow at once, and are not the response's to buffer.
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._socket.recv(1)
            if not byte:
                raise Closed(head.decode(errors="replace"))
            head += byte
        status, _, headers = head.partition(b"\r\n")
        if b" 101 " not in status:
            raise Closed(status.decode(errors="replace"))
        return parse_headers(BytesIO(headers)).get("Sec-WebSocket-Protocol")

    def send(self, header: dict[str, Any], content: dict[str, Any]) -> None:
        """Send a request on shell."""
        if self.v1:
            parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
            frame: bytes = serialize_msg_to_ws_v1(parts, "shell")  # type: ignore[no-untyped-call]
            self._send(BINARY, frame)
        else:
            message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
            self._send(TEXT, json.dumps(message).encode())

    def receive(self, seconds: float) -> Received:
        """Return the next message."""
        deadline = monotonic() + seconds
        self._socket.settimeout(seconds)
        while (message := self._next()) is None:
            self._socket.settimeout(max(SHORTEST_SECONDS, deadline - monotonic()))
        return message

    def fileno(self) -> int:
        """Give the descriptor that tells when something has come."""
        return self._socket.fileno()

    def attend(self, seconds: float) -> None:
        """Read what has come, and answer pings: for a client that waits for nothing."""
        self._socket.settimeout(seconds)
        self._next()
        while self._start < self._end:
            self._next()

    def _next(self) -> Received | None:
        """Return the next frame if it is a message."""
        opcode, size = self._frame()
        if opcode in (TEXT, BINARY):
            head = self._take(min(size, HEAD_BYTES))
            self._skip(size - len(head))
            return Received(head, size)
        payload = self._take(size)
        if opcode == PING:
            self._send(PONG, payload)
        elif opcode == CLOSE:
            raise Closed(payload[2:].decode(errors="replace") or "without a reason")
        return None

    def close(self) -> None:
        """Say that it is over, and cut the connection."""
        self._send(CLOSE, struct.pack("!H", 1000))
        self._socket.close()

    def _send(self, opcode: int, payload: bytes) -> None:
        # Masked, as a client's frames must be, by a mask of zeros, which changes nothing.
        size = len(payload)
        first = 0x80 | opcode
        if size < 126:
            head = struct.pack("!BB4x", first, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH4x", first, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ4x", first, 0x80 | 127, size)
        self._socket.sendall(head + payload)

    def _frame(self) -> tuple[int, int]:
        self._need(2)
        first, size = self._buffer[self._start], self._buffer[self._start + 1]
        self._start += 2
        if size == 126:
            return first & 15, int.from_bytes(self._take(2), "big")
        if size == 127:
            return first & 15, int.from_bytes(self._take(8), "big")
        return first & 15, size

    def _take(self, size: int) -> bytes:
        self._need(size)
        taken = bytes(self._buffer[self._start : self._start + size])
        self._start += size
        return taken

    def _skip(self, size: int) -> None:
        buffered = self._end - self._start
        if size <= buffered:
            self._start += size
            return
        self._start = self._end = 0
        size -= buffered
        while size:
            size -= self._read(self._buffer[:size])

    def _need(self, size: int) -> None:
        if self._end - self._start < size and len(self._buffer) - self._start < HEAD_BYTES:
            rest = self._buffer[self._start : self._end].tobytes()
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        while self._end - self._start < size:
            self._end += self._read(self._buffer[self._end :])

    def _read(self, room: memoryview) -> int:
        count = self._socket.recv_into(room)
        if not count:
            raise Closed("without a close frame")
        return count
