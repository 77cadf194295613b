"""What one connection of a session leaves to the next, and how the next puts it before its own. Pure.

Both hear the same of a kernel's IOPub for a while, and a reply goes to one of them. So what both have stands once, what
was handed over comes first, then the heir's own: nothing twice, nothing out of order.

One of them may hear the same later than the other. What the former had heard before the heir's connection began, its
client has got there, or it is handed over: the heir leaves that out when he hears it at last.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import NamedTuple

from enterprise_gateway.relay.open_requests import OpenRequest
from enterprise_gateway.relay.outbox import Outgoing
from enterprise_gateway.relay.pieces import Piece

DIGEST_BYTES = 16

_LENGTH = struct.Struct(">I")


class MalformedHandover(Exception):
    """These bytes are no handover."""


class Passed(NamedTuple):
    """A message that was meant for the client."""

    channel: str
    parts: Sequence[Piece]


@dataclass(frozen=True, kw_only=True)
class Handover:
    """What a connection leaves when it ends.

    Attributes:
        messages: What its client did not get, in order.
        requests: What the kernel has not answered yet.
        generation: The kernel's, which was asked these requests; None if there was none.
        recent: What the connection has heard on IOPub lately: how many seconds ago, by the messages' digests.
    """

    messages: Sequence[Passed] = ()
    requests: Sequence[OpenRequest] = ()
    generation: int | None = None
    recent: Mapping[bytes, float] = field(default_factory=dict)


def digest(channel: str, parts: Sequence[Piece]) -> bytes:
    """Name a message by its channel and header, whose id is its own."""
    return blake2b(parts[0], digest_size=DIGEST_BYTES, key=channel.encode()).digest()


def weave(first: Sequence[bytes], second: Sequence[bytes]) -> list[bytes]:
    """Join two parts of one stream, each in the stream's order: what both have stands once, and in its place.

    What is in one of them alone stands where the other allows it, the first's before the second's.
    """
    places = {name: place for place, name in enumerate(first)}
    woven: list[bytes] = []
    reached = 0
    alone: list[bytes] = []  # of the second, since the last that both have
    for name in second:
        if (place := places.get(name, -1)) < reached:
            alone += [name] if place < 0 else []
            continue
        woven += [*first[reached:place], *alone, name]
        reached, alone = place + 1, []
    return [*woven, *first[reached:], *alone]


def merge(
    fetched: Sequence[Passed],
    own: Sequence[Outgoing],
    *,
    recent: Sequence[bytes] = (),
    delivered: Collection[bytes] = (),
) -> list[Outgoing]:
    """Put what was fetched before one's own.

    Args:
        fetched: In order.
        own: In order.
        recent: The digests of what the former connection has heard, in order.
        delivered: Those of them that are not meant for the client any more, unless they were fetched.
    """
    there = {digest(*message): Outgoing(*message) for message in fetched}
    here = {digest(message.channel, message.parts): message for message in own}
    order = weave(weave(list(there), recent), list(here))
    unwanted = set(delivered).difference(there)
    found = (there.get(name) or here.get(name) for name in order if name not in unwanted)
    return [message for message in found if message is not None]


def pack(handover: Handover) -> bytes:
    """Write a handover: a JSON head with its length before it, then all parts as they are."""
    parts = [part for message in handover.messages for part in message.parts]
    parts += [request.header for request in handover.requests]
    parts += handover.recent
    head = {
        "messages": [[message.channel, len(message.parts)] for message in handover.messages],
        "requests": [[request.channel, request.msg_type] for request in handover.requests],
        "recent": list(handover.recent.values()),
        "sizes": [len(part) for part in parts],
        "generation": handover.generation,
    }
    packed = json.dumps(head).encode()
    return b"".join((_LENGTH.pack(len(packed)), packed, *parts))


def unpack(data: bytes) -> Handover:
    """Read what `pack` wrote.

    Raises:
        MalformedHandover: It did not.
    """
    try:
        (length,) = _LENGTH.unpack_from(data)
        begin = _LENGTH.size + length
        head = json.loads(data[_LENGTH.size : begin])
        parts = iter(_sliced(data, begin, head["sizes"]))
        return Handover(
            messages=[Passed(channel, [next(parts) for _ in range(count)]) for channel, count in head["messages"]],
            requests=[OpenRequest(channel, kind, next(parts)) for channel, kind in head["requests"]],
            recent={next(parts): seconds for seconds in head["recent"]},
            generation=head["generation"],
        )
    except (struct.error, ValueError, KeyError, TypeError, RuntimeError, StopIteration) as error:
        raise MalformedHandover(type(error).__name__) from error


def _sliced(data: bytes, begin: int, sizes: Sequence[int]) -> list[bytes]:
    ends = list(accumulate(sizes, initial=begin))
    if ends[-1] != len(data):
        raise ValueError("cut short")
    return [data[start:end] for start, end in pairwise(ends)]
