"""A small Jupyter client: one WebSocket to a kernel's channels, in either framing.

The frames are made and read by jupyter_server's own functions, which the gateway does not use: an independent reading
of both protocols.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from uuid import uuid4

from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from tests.cluster.waiting import PATIENCE_SECONDS

V1 = "v1.kernel.websocket.jupyter.org"
DATE = "2026-01-01T00:00:00.000000Z"


class Closed(Exception):
    """The server has closed the WebSocket."""

    def __init__(self, code: int | None, reason: str | None) -> None:
        super().__init__(f"closed with {code} {reason}")
        self.code = code


@dataclass(frozen=True)
class Message:
    """A message from the kernel, or from the gateway in its name."""

    channel: str
    header: dict[str, Any]
    parent: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]
    buffers: Sequence[bytes] = ()

    @property
    def type(self) -> str:
        return str(self.header["msg_type"])

    @property
    def state(self) -> str | None:
        """What a status says; None of anything else."""
        return self.content["execution_state"] if self.type == "status" else None

    def answers(self, msg_id: str) -> bool:
        return self.parent.get("msg_id") == msg_id


@dataclass
class Execution:
    """What came of a cell."""

    reply: dict[str, Any] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)

    def stream(self, name: str) -> str:
        return "".join(m.content["text"] for m in self.messages if m.type == "stream" and m.content["name"] == name)

    def printed(self) -> str:
        """What it printed, without the last line's end; fails if it raised."""
        assert self.reply["status"] == "ok", self.reply
        return self.stream("stdout").rstrip("\n")


class KernelSocket:
    """Channels of one kernel. Open it with `open`, and close it, or use it as a context."""

    def __init__(self, connection: WebSocketClientConnection, *, v1: bool, session_id: str) -> None:
        self._connection = connection
        self._v1 = v1
        self._over = False
        self._session_id = session_id

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        token: str = "",
        v1: bool = True,
        session_id: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """Connect to `…/channels`.

        Args:
            url: With http or https.
            token: Sent as header, unless empty.
            v1: Whether to offer the v1 framing; else nothing is offered, which means the legacy one.
            session_id: Sent in the query; a fresh one if None, none at all if empty.
            tls: How to check the server's certificate.
        """
        session_id = uuid4().hex if session_id is None else session_id
        query = f"?{urlencode({'session_id': session_id})}" if session_id else ""
        request = HTTPRequest(
            "ws" + url.removeprefix("http") + query,
            headers={"Authorization": f"token {token}"} if token else {},
            ssl_options=tls,
        )
        connection = await websocket_connect(request, subprotocols=[V1] if v1 else None, max_message_size=1 << 30)
        chosen = connection.selected_subprotocol
        assert chosen == (V1 if v1 else None), f"the gateway chose {chosen!r}"
        return cls(connection, v1=v1, session_id=session_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close it, and see it closed."""
        await self.leave()

    async def leave(self) -> list[Message]:
        """Close it as a client that comes back: return what still came until the server had closed it too."""
        self._connection.close()
        rest: list[Message] = []
        while not self._over and (frame := await self._connection.read_message()) is not None:
            rest.append(self._read(frame))
        self._over = True
        return rest

    def hang(self) -> None:
        """Read nothing any more, and answer no ping: as if the network were cut between here and the gateway."""
        stream = self._connection.protocol.stream if self._connection.protocol else None
        assert stream is not None
        stream.io_loop.remove_handler(stream.fileno())

    def abort(self) -> None:
        """Cut the connection: what is on its way is lost."""
        assert self._connection.protocol is not None
        assert self._connection.protocol.stream is not None
        self._connection.protocol.stream.close()
        self._end()

    def _end(self) -> None:
        self._over = True
        self._connection.close()  # else tornado complains when it is collected

    async def send(
        self,
        msg_type: str,
        content: dict[str, Any],
        *,
        channel: str = "shell",
        parent: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
    ) -> str:
        """Send a message and return its id.

        Raises:
            Closed: The connection is gone.
        """
        header = {
            "msg_id": uuid4().hex,
            "username": "tester",
            "session": self._session_id or "tester",
            "date": DATE,
            "msg_type": msg_type,
            "version": "5.4",
        }
        parts = [header, parent or {}, {}, content]
        if self._v1:
            packed = [json.dumps(part).encode() for part in parts]
            frame: str | bytes = serialize_msg_to_ws_v1([*packed, *buffers], channel)
        else:
            frame = self._legacy(parts, channel, buffers)
        try:
            await self._connection.write_message(frame, binary=isinstance(frame, bytes))
        except WebSocketClosedError as error:
            raise Closed(self._connection.close_code, self._connection.close_reason) from error
        return header["msg_id"]

    def _legacy(self, parts: Sequence[dict[str, Any]], channel: str, buffers: Sequence[bytes]) -> str | bytes:
        names = ("header", "parent_header", "metadata", "content")
        message: dict[str, Any] = {**dict(zip(names, parts, strict=True)), "channel": channel}
        if not buffers:
            return json.dumps({**message, "buffers": []})
        packed: bytes = serialize_binary_message({**message, "buffers": list(buffers)})
        return packed

    async def receive(self, *, seconds: float = PATIENCE_SECONDS) -> Message:
        """Return the next message.

        Raises:
            Closed: There is none any more.
            TimeoutError: Nothing came.
        """
        async with asyncio.timeout(seconds):
            frame = await self._connection.read_message()
        if frame is None:
            self._end()
            raise Closed(self._connection.close_code, self._connection.close_reason)
        return self._read(frame)

    def _read(self, frame: str | bytes) -> Message:
        return _read_v1(frame) if self._v1 else _read_legacy(frame)

    async def until(self, condition: Callable[[Message], bool], *, seconds: float = PATIENCE_SECONDS) -> Message:
        """Drop messages until one fulfils the condition, and return it."""
        async with asyncio.timeout(seconds):
            while not condition(message := await self.receive(seconds=seconds)):
                pass
        return message

    async def until_state(self, state: str, *, seconds: float = PATIENCE_SECONDS) -> Message:
        """Drop messages until a status says `state`."""
        return await self.until(lambda message: message.state == state, seconds=seconds)

    async def request(
        self, msg_type: str, content: dict[str, Any], *, channel: str = "shell", seconds: float = PATIENCE_SECONDS
    ) -> Message:
        """Send a request and return its reply, dropping what comes before."""
        msg_id = await self.send(msg_type, content, channel=channel)
        return await self.until(lambda m: m.channel == channel and m.answers(msg_id), seconds=seconds)

    async def begin(self, code: str, *, allow_stdin: bool = False) -> str:
        """Send a cell and return the id of the request."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "stop_on_error": True}
        return await self.send("execute_request", {**content, "allow_stdin": allow_stdin})

    async def finish(self, msg_id: str, *, inputs: Sequence[str] = (), seconds: float = PATIENCE_SECONDS) -> Execution:
        """Wait for the reply of a cell and the `idle` after it, answering `input()` with `inputs`."""
        done = Execution()
        idle = False
        waiting = list(inputs)
        async with asyncio.timeout(seconds):
            while not (idle and done.reply):
                message = await self.receive(seconds=seconds)
                if not message.answers(msg_id):
                    continue
                done.messages.append(message)
                idle = idle or message.state == "idle"
                if message.type == "execute_reply":
                    done.reply = message.content
                elif message.type == "input_request":
                    await self.send("input_reply", {"value": waiting.pop(0)}, channel="stdin", parent=message.header)
        return done

    async def execute(self, code: str, *, inputs: Sequence[str] = (), seconds: float = PATIENCE_SECONDS) -> Execution:
        """Run a cell to its end."""
        return await self.finish(await self.begin(code, allow_stdin=bool(inputs)), inputs=inputs, seconds=seconds)


def _read_v1(frame: str | bytes) -> Message:
    assert isinstance(frame, bytes), "v1 frames are binary"
    channel, parts = deserialize_msg_from_ws_v1(frame)
    header, parent, metadata, content = (json.loads(part) for part in parts[:4])
    return Message(channel, header, parent, metadata, content, parts[4:])


def _read_legacy(frame: str | bytes) -> Message:
    message = json.loads(frame) if isinstance(frame, str) else deserialize_binary_message(frame)
    return Message(
        message["channel"],
        message["header"],
        message["parent_header"],
        message["metadata"],
        message["content"],
        message.get("buffers") or (),
    )
