"""ZMTP 3.0 as a DEALER speaks it to a kernel's ROUTER: greeting, handshake, frames. Pure.

The NULL mechanism alone, as on Unix sockets. A peer that speaks 3.1 goes down to 3.0; its pings are answered.
Source: https://rfc.zeromq.org/spec/23/ and, for pings, https://rfc.zeromq.org/spec/37/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

from enterprise_gateway.relay.pieces import Piece

MORE, LONG, COMMAND = 1, 2, 4
SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
MECHANISM = b"NULL".ljust(20, b"\0")
GREETING = SIGNATURE + b"\x03\x00" + MECHANISM + bytes(32)
SHORT_BYTES = 255
READY, ERROR, PING, PONG = b"\x05READY", b"\x05ERROR", b"\x04PING", b"\x04PONG"
PING_TTL_BYTES = 2


class NotSpoken(Exception):
    """The peer speaks no ZMTP 3 with the NULL mechanism, or broke off its handshake."""


def opening(identity: bytes) -> bytes:
    """Return all that a DEALER says of itself: the greeting, and READY with its identity."""
    properties = ((b"Socket-Type", b"DEALER"), (b"Identity", identity))
    described = b"".join(
        bytes([len(name)]) + name + struct.pack("!I", len(value)) + value for name, value in properties
    )
    return GREETING + command(READY + described)


def command(body: bytes) -> bytes:
    """Return a frame that is for the peer's socket itself."""
    return _head(len(body), COMMAND) + body


def framed(parts: Sequence[bytes]) -> Iterator[bytes]:
    """Return the pieces of a message on the wire."""
    last = len(parts) - 1
    for number, part in enumerate(parts):
        yield _head(len(part), 0 if number == last else MORE)
        yield part


def _head(size: int, flags: int) -> bytes:
    if size <= SHORT_BYTES:
        return bytes((flags, size))
    return struct.pack("!BQ", flags | LONG, size)


class Incoming:
    """What comes from the peer, in whatever pieces the network gives it.

    Attributes:
        ready: Has the peer said READY? Then the connection stands as far as it can be known here.
    """

    __slots__ = ("_buffer", "_greeted", "_parts", "_pings", "ready")

    def __init__(self) -> None:
        self.ready = False
        self._greeted = False
        self._buffer = bytearray()
        self._parts: list[Piece] = []
        self._pings: list[bytes] = []

    def feed(self, data: Piece) -> list[list[Piece]]:
        """Take what has come; returns the messages that are whole by now.

        Raises:
            NotSpoken: The peer can't be understood, or refuses.
        """
        self._buffer += data
        start = 0
        if not self._greeted:
            start = self._greet()
        messages: list[list[Piece]] = []
        while self._greeted and (frame := self._frame(start)) is not None:
            flags, body, start = frame
            if flags & COMMAND:
                self._obey(body)
                continue
            self._parts.append(body)
            if not flags & MORE:
                messages.append(self._parts)
                self._parts = []
        del self._buffer[:start]
        return messages

    @property
    def amid(self) -> bool:
        """Has a message come in part?"""
        return bool(self._buffer or self._parts)

    def take_answers(self) -> Iterable[bytes]:
        """Take what is to be said to the peer's pings."""
        pings, self._pings = self._pings, []
        return [command(PONG + ping) for ping in pings]

    def _greet(self) -> int:
        signature, version, mechanism = self._buffer[:10], self._buffer[10:11], self._buffer[12:32]
        strange = not SIGNATURE.startswith(signature[:1]) or (len(version) == 1 and version[0] < GREETING[10])
        if strange or (len(mechanism) == len(MECHANISM) and mechanism != MECHANISM):
            raise NotSpoken("the kernel speaks no ZMTP 3 with the NULL mechanism")
        self._greeted = len(self._buffer) >= len(GREETING)
        return len(GREETING) if self._greeted else 0

    def _frame(self, start: int) -> tuple[int, bytes, int] | None:
        """Return flags and body of the frame that begins there, and where the next one does."""
        if len(self._buffer) < start + 2:
            return None
        flags, size = self._buffer[start], self._buffer[start + 1]
        begin = start + 2
        if flags & LONG:
            begin = start + 9
            if len(self._buffer) < begin:
                return None
            size = int.from_bytes(self._buffer[start + 1 : begin], "big")
        end = begin + size
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as view:
            return flags, bytes(view[begin:end]), end

    def _obey(self, body: bytes) -> None:
        if body.startswith(READY):
            self.ready = True
        elif body.startswith(ERROR):
            raise NotSpoken(f"the kernel refuses the connection: {body[len(ERROR) + 1 :].decode(errors='replace')}")
        elif body.startswith(PING):
            self._pings.append(body[len(PING) + PING_TTL_BYTES :])
