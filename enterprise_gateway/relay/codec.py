"""WebSocket frames <-> ZMQ message parts, in the two framings that Jupyter's clients speak. Pure.

A message is its parts as they stand on the wire behind the signature: header, parent header, metadata, content (JSON
each), then binary buffers. Towards the client nothing but the header is parsed, and that only where the framing wants
it; parts are spliced or framed as they are.

Not promised: that what passes is sensible. Content that isn't JSON reaches the other side as it is; only what the
gateway itself has to read (frame offsets, header, channel) is checked.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol

from enterprise_gateway.relay.interfaces import Frame
from enterprise_gateway.relay.pieces import Piece, gathered

V1_SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"
PARTS = 4  # header, parent header, metadata, content
CLOSE_UNSUPPORTED, CLOSE_INVALID = 1003, 1007


class MalformedFrame(Exception):
    """A client's frame can't be passed on.

    Args:
        problem: What is wrong with it, without any of its content.
        close_code: With which the WebSocket should be closed, where the client's framing itself is broken; None where
            only this message is ignored.
    """

    def __init__(self, problem: str, close_code: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.close_code = close_code


class ClientMessage(NamedTuple):
    """What a client sends to a kernel; `parts` begin with header, parent header, metadata, content."""

    channel: str
    msg_id: str
    msg_type: str
    parts: list[bytes]


class Framing(Protocol):
    """How messages are put into WebSocket frames. Instances are shared and hold no state."""

    def encode(self, channel: str, parts: Sequence[Piece]) -> Frame:
        """Frame what a kernel (or the gateway) sends; at least four parts."""
        ...

    def decode(self, message: str | bytes) -> ClientMessage:
        """Read what a client sent.

        Raises:
            MalformedFrame: It can't be read.
        """
        ...


class V1Framing:
    """`v1.kernel.websocket.jupyter.org`: binary frames; 64-bit offsets, the channel's name, the parts as they are."""

    def encode(self, channel: str, parts: Sequence[Piece]) -> Frame:
        """Frame the parts as they are, without a look at them."""
        name = channel.encode()
        count = len(parts) + 2
        offsets = accumulate(map(len, (name, *parts)), initial=8 * (count + 1))
        head = struct.pack(f"<{count + 1}Q", count, *offsets)
        return _binary((head, name, *parts))

    def decode(self, message: str | bytes) -> ClientMessage:
        """Read a client's frame; only its header is parsed."""
        if isinstance(message, str):
            raise MalformedFrame("a text frame on a WebSocket with binary framing", CLOSE_UNSUPPORTED)
        name, *parts = _slices(message, _v1_offsets(message))
        if len(parts) < PARTS:
            raise MalformedFrame("fewer than four parts", CLOSE_INVALID)
        header = _checked_header(_parse(parts[0]))
        return ClientMessage(name.decode("ascii", "replace"), header["msg_id"], header["msg_type"], parts)


class LegacyFraming:
    """One JSON object a message in a text frame; with buffers a binary one: 32-bit offsets, object, buffers."""

    def encode(self, channel: str, parts: Sequence[Piece]) -> Frame:
        """Splice the JSON parts into one object; only the header is parsed."""
        if len(parts) > PARTS:
            return _binary(_pack_buffers([_json_object(channel, parts), *parts[PARTS:]]))
        return Frame(valid_utf8(_json_object(channel, parts)), binary=False)

    def decode(self, message: str | bytes) -> ClientMessage:
        """Read a client's frame; its JSON is parsed and written anew, part by part."""
        if isinstance(message, str) and message.startswith("\0"):
            message = message.encode()  # jupyter_server's gateway client passes binary frames on as text
        text, buffers = (message, []) if isinstance(message, str) else _unpack_buffers(message)
        found = _parse(text)
        if not isinstance(found, dict):
            raise MalformedFrame("not a JSON object", CLOSE_INVALID)
        header = _checked_header(found.get("header"))
        fields = [header, *(found.get(name) or {} for name in ("parent_header", "metadata", "content"))]
        channel = found.get("channel") or "shell"  # as jupyter_server does
        # ASCII only: a lone surrogate, which JSON can spell, has no UTF-8.
        parts = [json.dumps(field).encode("ascii") for field in fields]
        return ClientMessage(str(channel), header["msg_id"], header["msg_type"], parts + buffers)


class JupyterServerFraming(LegacyFraming):
    """The legacy framing as jupyter_server's gateway clients can read it.

    They decode every frame as UTF-8 JSON and their WebSocket takes 10 MiB: a message with buffers, or a larger one,
    ends their read loop, or closes the connection again and again. It is replaced by a notice that says so.
    """

    MAX_BYTES = 10 * 1024 * 1024

    def encode(self, channel: str, parts: Sequence[Piece]) -> Frame:
        """Splice as the legacy framing does, or say what was left out."""
        if len(parts) > PARTS:
            problem = "has binary buffers, which Jupyter Server can't read"
            return super().encode(channel, _notice(channel, parts, problem))
        frame = super().encode(channel, parts)
        if len(frame.payload) <= self.MAX_BYTES:
            return frame
        size = f"is {len(frame.payload)} bytes long; Jupyter Server takes {self.MAX_BYTES}"
        return super().encode(channel, _notice(channel, parts, size))


V1 = V1Framing()
LEGACY = LegacyFraming()
JUPYTER_SERVER = JupyterServerFraming()


def choose(subprotocol: str | None, user_agent: str | None) -> Framing:
    """Choose the framing of a WebSocket from what was negotiated.

    jupyter_server's gateway clients don't name themselves: its WebSocket comes with Tornado's user agent, that of its
    kernel client (nbclient) with none.
    """
    if subprotocol == V1_SUBPROTOCOL:
        return V1
    return JUPYTER_SERVER if not user_agent or user_agent.startswith("Tornado/") else LEGACY


def read_header(parts: Sequence[Piece]) -> dict[str, Any]:
    """Parse the header of a kernel's message; empty if it is no JSON object."""
    return read_object(parts[0])


def read_object(part: Piece) -> dict[str, Any]:
    """Parse one JSON part of a kernel's message; empty if it is no JSON object."""
    try:
        found = _parse(bytes(part))
    except MalformedFrame:
        return {}
    return found if isinstance(found, dict) else {}


def valid_utf8(text: bytes) -> bytes:
    """Return `text`, with what is no UTF-8 replaced: a browser closes its WebSocket on such a text frame."""
    if text.isascii():
        return text
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace").encode()
    return text


def _parse(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise MalformedFrame("no JSON", CLOSE_INVALID) from error


def _checked_header(header: Any) -> dict[str, Any]:
    if not isinstance(header, dict):
        raise MalformedFrame("no header")
    for name in ("msg_id", "msg_type"):
        if not isinstance(header.get(name), str) or not header[name]:
            raise MalformedFrame(f"a header without {name}")
    return header


def _v1_offsets(message: bytes) -> list[int]:
    count = int.from_bytes(message[:8], "little")
    if not 2 <= count < len(message) // 8:
        raise MalformedFrame("a wrong number of offsets", CLOSE_INVALID)
    return list(struct.unpack_from(f"<{count}Q", message, 8))


def _slices(message: bytes, offsets: list[int]) -> list[bytes]:
    # The first may not point into the offsets themselves, nor any behind the end or before its forerunner.
    if offsets != sorted(offsets) or offsets[0] < 8 * (len(offsets) + 1) or offsets[-1] > len(message):
        raise MalformedFrame("wrong offsets", CLOSE_INVALID)
    return [message[start:end] for start, end in pairwise(offsets)]


def _json_object(channel: str, parts: Sequence[Piece]) -> bytes:
    header = read_header(parts)
    spliced = (
        (b"header", parts[0]),
        # At the top level too: nbclient and jupyter_server's gateway client read them there.
        (b"msg_id", json.dumps(header.get("msg_id")).encode()),
        (b"msg_type", json.dumps(header.get("msg_type")).encode()),
        (b"parent_header", parts[1] or b"{}"),
        (b"metadata", parts[2] or b"{}"),
        (b"content", parts[3] or b"{}"),
        *(() if len(parts) > PARTS else ((b"buffers", b"[]"),)),
        (b"channel", json.dumps(channel).encode()),
    )
    return b"{%b}" % b", ".join([b'"%b": %b' % field for field in spliced])


def _binary(pieces: Sequence[Piece]) -> Frame:
    payload, *rest = gathered(pieces)
    return Frame(bytes(payload), binary=True, rest=rest)  # the offsets come first, so it is no view


def _pack_buffers(pieces: list[Piece]) -> list[Piece]:
    offsets = accumulate(map(len, pieces[:-1]), initial=4 * (len(pieces) + 1))
    return [struct.pack(f"!{len(pieces) + 1}I", len(pieces), *offsets), *pieces]


def _unpack_buffers(message: bytes) -> tuple[bytes, list[bytes]]:
    count = int.from_bytes(message[:4], "big")
    if not 1 <= count < len(message) // 4:
        raise MalformedFrame("a wrong number of offsets", CLOSE_INVALID)
    offsets = [*struct.unpack_from(f"!{count}I", message, 4), len(message)]
    if offsets != sorted(offsets) or offsets[0] < 4 * (count + 1):
        raise MalformedFrame("wrong offsets", CLOSE_INVALID)
    text, *buffers = (message[start:end] for start, end in pairwise(offsets))
    return text, buffers


def _notice(channel: str, parts: Sequence[Piece], problem: str) -> list[Piece]:
    """Stand in for a message that can't be told: text on stderr, or an error as the answer that somebody waits for."""
    header = read_header(parts)
    text = f"A message ({header.get('msg_type')}) was left out: it {problem}.\n"
    if channel == "iopub":
        content: dict[str, Any] = {"name": "stderr", "text": text}
        header["msg_type"] = "stream"
    else:
        content = {"status": "error", "ename": "MessageLeftOut", "evalue": text, "traceback": [text]}
    return [json.dumps(header).encode(), parts[1], b"{}", json.dumps(content).encode()]
