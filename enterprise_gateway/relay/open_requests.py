"""The requests of one client that its kernel has not answered, so that somebody can when the kernel no longer will."""

from __future__ import annotations

from typing import NamedTuple

from enterprise_gateway.relay.codec import ClientMessage


class OpenRequest(NamedTuple):
    """A request without its reply; `header` as the client sent it, `position` as its channel counts."""

    channel: str
    msg_type: str
    header: bytes
    position: int


class OpenRequests:
    """Remembers at most `limit` requests: beyond it the oldest is forgotten, and would not be answered `aborted`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._requests: dict[str, OpenRequest] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, message: ClientMessage, position: int) -> None:
        """A message went to the kernel's channel; only requests are remembered."""
        if not message.msg_type.endswith("_request"):
            return
        if len(self._requests) >= self._limit:
            del self._requests[next(iter(self._requests))]
        self._requests[message.msg_id] = OpenRequest(message.channel, message.msg_type, message.parts[0], position)

    def answered(self, msg_id: str) -> OpenRequest | None:
        """The kernel has replied to this one; returns it if it was open."""
        return self._requests.pop(msg_id, None)

    def drain(self) -> list[OpenRequest]:
        """Take all, oldest first."""
        requests = list(self._requests.values())
        self._requests.clear()
        return requests
