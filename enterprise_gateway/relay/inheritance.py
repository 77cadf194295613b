"""What one connection of a session takes over from the former one, and leaves to the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from enterprise_gateway.relay import messages
from enterprise_gateway.relay.handover import Handover, Passed, weave
from enterprise_gateway.relay.mailbox import LATE_SECONDS
from enterprise_gateway.relay.open_requests import OpenRequest, OpenRequests
from enterprise_gateway.relay.outbox import Outgoing
from persistence import clock


class HeardKernel(Protocol):
    """The kernel, as it was heard here."""

    @property
    def generation(self) -> int | None:
        """The generation that is connected to; None while none is."""
        ...

    @property
    def kernel_session(self) -> str:
        """What the kernel calls its own session."""
        ...

    def recent(self) -> Iterable[tuple[float, bytes]]:
        """What was heard on IOPub lately, the newest last: when, on the monotonic clock, and the digest."""
        ...


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """What was taken over.

    Attributes:
        kept: What the client did not get from the former connection, and answers to what nobody will answer.
        recent: The digests of what the former connection has heard, in order.
        delivered: Those of them that the client has got there, unless they were kept.
    """

    kept: Sequence[Passed]
    recent: Sequence[bytes]
    delivered: Sequence[bytes]


class Inheritance:
    """What passes from connection to connection.

    Args:
        kernel: The kernel.
        requests: What it has not answered.
    """

    def __init__(self, kernel: HeardKernel, requests: OpenRequests) -> None:
        self._kernel = kernel
        self._requests = requests
        self._begun_at = clock.monotonic()
        self._recent: dict[bytes, float] = {}  # that the former connection has heard, and when

    def begin_anew(self) -> None:
        """The client has come from elsewhere: what was heard there until now it has got, or it is handed over."""
        self._begun_at = clock.monotonic()

    def take(self, left: Handover | None) -> Inherited:
        """Take over what the former connection has left; None: that can't be had, and is lost.

        Then so is what was heard here before its client came from there: that may have got it there.
        """
        if left is None:
            before = [name for heard_at, name in self._kernel.recent() if heard_at < self._begun_at]
            return Inherited(kept=[], recent=[], delivered=before)
        now = clock.monotonic()
        self._recent = {name: now - seconds for name, seconds in left.recent.items()}
        delivered = [name for name, heard_at in self._recent.items() if heard_at < self._begun_at]
        return Inherited(
            kept=[*left.messages, *self._take_requests(left)], recent=list(self._recent), delivered=delivered
        )

    def heard_lately(self) -> dict[bytes, float]:
        """What this connection or the one before it has heard, and how many seconds ago."""
        now = clock.monotonic()
        heard = {name: heard_at for heard_at, name in self._kernel.recent()}
        times = {**heard, **{name: min(at, heard.get(name, at)) for name, at in self._recent.items()}}
        order = weave(list(self._recent), list(heard))
        return {name: now - times[name] for name in order if now - times[name] < LATE_SECONDS}

    def _take_requests(self, left: Handover) -> list[Passed]:
        """Take over the open requests; returns the answers to those that nobody will answer."""
        mine, asked = self._kernel.generation, left.generation
        if mine is not None and asked is not None and asked > mine:
            return []  # a restart that is yet to be noticed here
        lost = [one for one in left.requests if asked != mine or one.channel == "control"]
        self._requests.inherit(one for one in left.requests if one not in lost)
        session = self._kernel.kernel_session
        return [Passed(message.channel, message.parts) for one in lost for message in aborted(one, session)]


def aborted(request: OpenRequest, kernel_session: str) -> list[Outgoing]:
    """Answer a request in its kernel's place."""
    reply = messages.aborted(request.msg_type, request.header, session=kernel_session)
    idle = messages.status("idle", parent=request.header, session=kernel_session)
    return [Outgoing(request.channel, reply), Outgoing("iopub", idle)]
