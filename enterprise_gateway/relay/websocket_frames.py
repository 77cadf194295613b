"""WebSocket frames of a server (RFC 6455): many messages in one write. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from enterprise_gateway.relay.interfaces import Frame
from enterprise_gateway.relay.pieces import Piece, gathered

FINAL_TEXT, FINAL_BINARY = 0x81, 0x82
CONTROL_PAYLOAD = 125  # bytes, at most
SHORT, MEDIUM = 126, 0x1_0000


def server_frames(frames: Iterable[Frame]) -> list[Piece]:
    """Return what goes over the network for these messages, each whole in one unmasked frame, in as few writes."""
    return gathered([piece for frame in frames for piece in (_head(frame), frame.payload, *frame.rest)])


def close_reason(text: str) -> str:
    """Shorten the reason of a close frame to what fits beside its code."""
    return text.encode("ascii", "replace")[: CONTROL_PAYLOAD - 2].decode("ascii")


def _head(frame: Frame) -> bytes:
    first = FINAL_BINARY if frame.binary else FINAL_TEXT
    length = frame.size
    if length < SHORT:
        return struct.pack("!BB", first, length)
    if length < MEDIUM:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)
