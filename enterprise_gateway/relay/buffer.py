"""What is kept for a client that is away or must first get what came before: in order, and bounded.

Beyond its bound a buffer leaves out output (stream and display messages) and says so; what a client can't do without is
kept up to twice the bound, then all of it goes and the buffer begins anew, and says that too. All buffers of a process
have a bound together: beyond it the one that was begun first is emptied.
"""

from __future__ import annotations

from collections.abc import Callable

from enterprise_gateway.relay import messages
from enterprise_gateway.relay.outbox import Outgoing


def _nobody(_size: int) -> None:
    """Nobody counts."""


class Buffer:
    """Messages in their order.

    Args:
        limit_bytes: Beyond it output is left out.
        resized: Told the size after each change.
    """

    def __init__(self, *, limit_bytes: int, resized: Callable[[int], None] = _nobody) -> None:
        self.size = 0
        self._limit = limit_bytes
        self._resized = resized
        self._kept: list[Outgoing] = []
        self._left_out = 0

    def put(self, message: Outgoing) -> None:
        """Keep a message, or not."""
        if self.size >= self._limit and message.droppable:
            self._leave_out(message)
            return
        if self.size >= 2 * self._limit:
            self.forget()
        self._keep(message)

    def forget(self) -> None:
        """Let go of everything, for want of memory."""
        self._left_out += len(self._kept)
        self._clear()

    def take(self) -> list[Outgoing]:
        """Take everything, and a notice of what was left out."""
        taken = list(self._kept)
        if self._left_out:
            text = f"{self._left_out} messages were left out: too many came while nobody was there to read them."
            taken.append(Outgoing("iopub", messages.stderr(text)))
            self._left_out = 0
        self._clear()
        return taken

    def _keep(self, message: Outgoing) -> None:
        # Anew: the frames that other clients were sent are not worth their memory here.
        self._kept.append(Outgoing(message.channel, message.parts))
        self.size += sum(map(len, message.parts))
        self._resized(self.size)

    def _leave_out(self, message: Outgoing) -> None:
        if not self._left_out:
            text = "Output is left out from here on: too much came while nobody was there to read it."
            self._keep(Outgoing("iopub", messages.stderr(text, parent=bytes(message.parts[1]))))
        self._left_out += 1

    def _clear(self) -> None:
        self._kept.clear()
        self.size = 0
        self._resized(0)


class BufferBudget:
    """What all buffers of a process may hold together.

    Args:
        limit_bytes: Beyond it the oldest buffer that holds anything is emptied.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.size = 0
        self._limit = limit_bytes
        self._buffers: dict[Buffer, int] = {}

    def buffer(self, *, limit_bytes: int) -> Buffer:
        """Begin a buffer. `release` follows when it is over."""
        buffer = Buffer(limit_bytes=limit_bytes, resized=lambda size: self._resized(buffer, size))
        self._buffers[buffer] = 0
        return buffer

    def release(self, buffer: Buffer) -> None:
        """A buffer is over; doing it again is harmless."""
        self.size -= self._buffers.pop(buffer, 0)

    def _resized(self, buffer: Buffer, size: int) -> None:
        if buffer not in self._buffers:
            return
        self.size += size - self._buffers[buffer]
        self._buffers[buffer] = size
        while self.size > self._limit:
            next(other for other, held in self._buffers.items() if held).forget()
