"""One kernel's channels as a measurement uses them, through a gateway or straight over ZeroMQ."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Protocol, Self
from uuid import uuid4

HEAD_BYTES = 2_048
"""How much of a message is kept: its header, its parent's and, if it is small, its content."""
PATIENCE_SECONDS = 120.0
SILENCE_SECONDS = 4.0
"""Nothing for so long after the reply: what is missing was lost."""

_TYPE = re.compile(rb'"msg_type": ?"(\w+)"')


class Received(NamedTuple):
    """The beginning of a message, in whatever framing, and how many bytes it has in all."""

    head: bytes
    size: int

    @property
    def type(self) -> bytes:
        """The message's type; its own header comes first in every framing."""
        found = _TYPE.search(self.head)
        return found[1] if found else b""


class Channels(Protocol):
    """A connection to one kernel."""

    def send(self, header: dict[str, Any], content: dict[str, Any]) -> None:
        """Send a request on shell."""
        ...

    def receive(self, seconds: float) -> Received:
        """Return the next message of any channel.

        Raises:
            TimeoutError: None came.
        """
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Request:
    """A cell that was sent, and whether its reply and its `idle` have come.

    Args:
        channels: Where it is sent.
        code: The cell.
    """

    def __init__(self, channels: Channels, code: str) -> None:
        self._channels = channels
        self._id = uuid4().hex
        self._mark = self._id.encode()
        self.replied = self.idle = False
        header = {"msg_id": self._id, "msg_type": "execute_request", "username": "bench", "session": "bench"}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        channels.send({**header, "version": "5.4", "date": "2026-01-01T00:00:00.000000Z"}, content)

    def next(self) -> Received | None:
        """Return the next message that is not its reply or its `idle`; None when there is nothing to wait for.

        Raises:
            TimeoutError: No reply came.
        """
        while not (self.replied and self.idle):
            try:
                message = self._channels.receive(SILENCE_SECONDS if self.replied else PATIENCE_SECONDS)
            except TimeoutError:
                if self.replied:
                    return None
                raise
            if not self._ends(message):
                return message
        return None

    def finish(self) -> Self:
        """Wait for the reply and the `idle`."""
        while self.next() is not None:
            pass
        return self

    def _ends(self, message: Received) -> bool:
        kind = message.type
        if kind not in (b"execute_reply", b"status") or self._mark not in message.head:
            return False
        if kind == b"execute_reply":
            assert b'"error"' not in message.head, message.head.decode(errors="replace")
            self.replied = True
        elif b'"idle"' in message.head:
            self.idle = True
        return True
