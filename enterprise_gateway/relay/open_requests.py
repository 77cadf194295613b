"""The requests of one client that its kernel has not answered, so that somebody can when the kernel no longer will."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from enterprise_gateway.relay.codec import ClientMessage, read_header


class OpenRequest(NamedTuple):
    """A request without its reply; `header` as the client sent it."""

    channel: str
    msg_type: str
    header: bytes


class OpenRequests:
    """Remembers at most `limit` requests: beyond it the oldest is forgotten, and would not be answered `aborted`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._requests: dict[str, OpenRequest] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, message: ClientMessage) -> None:
        """A message is on its way to the kernel; only requests are remembered."""
        if message.msg_type.endswith("_request"):
            self._remember(message.msg_id, OpenRequest(message.channel, message.msg_type, message.parts[0]))

    def inherit(self, requests: Iterable[OpenRequest]) -> None:
        """Remember those of a former connection too."""
        for request in requests:
            self._remember(str(read_header([request.header]).get("msg_id")), request)

    def answered(self, msg_id: str) -> OpenRequest | None:
        """The kernel has replied to this one; returns it if it was open."""
        return self._requests.pop(msg_id, None)

    def drain(self) -> list[OpenRequest]:
        """Take all, oldest first."""
        requests = list(self._requests.values())
        self._requests.clear()
        return requests

    def _remember(self, msg_id: str, request: OpenRequest) -> None:
        if len(self._requests) >= self._limit:
            del self._requests[next(iter(self._requests))]
        self._requests[msg_id] = request
