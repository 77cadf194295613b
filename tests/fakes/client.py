"""A client as the relay sees it: a WebSocket that keeps what it is sent, and can be as slow as a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1

from enterprise_gateway.relay.interfaces import Frame
from tests.cluster.waiting import PATIENCE_SECONDS

Message = dict[str, Any]


class FakeSink:
    """Keeps the frames. While `slow`, it takes a batch but never says that the network took it.

    Attributes:
        answering: Does it answer pings?
        closed: The close code and reason, once closed. Nothing is taken after it.
    """

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.batches: list[int] = []
        self.closed: tuple[int, str] | None = None
        self.slow = False
        self.answering = True
        self._waiting: list[Callable[[], None]] = []
        self._news = asyncio.Event()

    def send(self, frames: Sequence[Frame], sent: Callable[[], None]) -> bool:
        if self.closed is not None:
            return False
        self.frames.extend(frames)
        self.batches.append(len(frames))
        self._news.set()
        if self.slow:
            self._waiting.append(sent)
        else:
            asyncio.get_running_loop().call_soon(sent)
        return True

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)
        self._news.set()

    async def answers(self, seconds: float) -> bool:
        return self.answering and self.closed is None

    def catch_up(self) -> None:
        """The network has taken everything."""
        self.slow = False
        waiting, self._waiting = self._waiting, []
        for sent in waiting:
            sent()

    @property
    def messages(self) -> list[Message]:
        """What was sent, read: header, parent_header, metadata, content, buffers, channel."""
        return [read_frame(frame) for frame in self.frames]

    def of_type(self, msg_type: str) -> list[Message]:
        """The messages of a type so far."""
        return [message for message in self.messages if message["header"]["msg_type"] == msg_type]

    @property
    def states(self) -> list[str]:
        """The execution states it was told."""
        return [message["content"]["execution_state"] for message in self.of_type("status")]

    async def until(self, true: Callable[[FakeSink], Any]) -> Any:
        """Wait until a condition on this sink is true; returns what it gave."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := true(self)):
                self._news.clear()
                await self._news.wait()
        return found


def read_frame(frame: Frame) -> Message:
    """Read a frame of v1 (binary) or of the legacy framing (text)."""
    if not frame.binary:
        message: Message = json.loads(frame.whole)
        return message
    channel, parts = deserialize_msg_from_ws_v1(frame.whole)
    names = ("header", "parent_header", "metadata", "content")
    fields = {name: json.loads(part) for name, part in zip(names, parts[:4], strict=True)}
    return {**fields, "buffers": parts[4:], "channel": channel}


def request_parts(msg_type: str, content: Message | None = None, *, msg_id: str | None = None) -> list[bytes]:
    """Make the parts of a client's message."""
    header = {
        "msg_id": msg_id or uuid4().hex,
        "msg_type": msg_type,
        "session": "a-session",
        "username": "someone",
        "date": "2026-01-01T00:00:00.000000Z",
        "version": "5.3",
    }
    return [json.dumps(part).encode() for part in (header, {}, {}, content or {})]
