"""What a DEALER says on the wire, and how it understands what it is told, in whatever pieces that comes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.zmtp import GREETING, Incoming, NotSpoken, command, framed, opening

GREETED = GREETING + command(b"\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER")
MESSAGES = [
    [b""],
    [b"one"],
    [b"", b"two", b""],
    [bytes(255), bytes(256), bytes(70_000)],
    [bytes([part]) * part for part in range(200)],
]


def fed(chunks: Iterable[bytes]) -> list[list[Piece]]:
    incoming = Incoming()
    return [message for chunk in chunks for message in incoming.feed(chunk)]


def cut(wire: bytes, size: int) -> list[bytes]:
    return [wire[start : start + size] for start in range(0, len(wire), size)]


@pytest.mark.parametrize("size", [1, 2, 9, 64, 1_000, 10**9])
def test_messages_come_whole_and_in_order_however_the_network_cuts_them(size: int) -> None:
    wire = GREETED + b"".join(piece for message in MESSAGES for piece in framed(message))
    assert fed(cut(wire, size)) == MESSAGES


def test_a_message_that_is_not_whole_is_not_told() -> None:
    wire = GREETED + b"".join(framed([b"first", b"last"]))
    assert fed([wire[:-1]]) == []


def test_it_is_ready_when_the_peer_says_so_and_not_before() -> None:
    incoming = Incoming()
    incoming.feed(GREETED[:-1])
    assert not incoming.ready
    incoming.feed(GREETED[-1:])
    assert incoming.ready


def test_a_ping_is_answered_with_what_it_carries_and_is_no_message() -> None:
    incoming = Incoming()
    assert incoming.feed(GREETED + command(b"\x04PING\x00\x0acontext")) == []
    assert list(incoming.take_answers()) == [command(b"\x04PONGcontext")]
    assert list(incoming.take_answers()) == []


def test_a_command_that_is_not_known_is_passed_over() -> None:
    assert fed([GREETED, command(b"\x04JOINgroup"), *framed([b"a message"])]) == [[b"a message"]]


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request",
        b"\x01\x00",  # ZMTP 1.0
        b"\xff" + bytes(8) + b"\x7f\x01",  # ZMTP 2.0
        GREETING.replace(b"NULL", b"CURVE"),
        GREETING + command(b"\x05ERROR\x03no!"),
    ],
)
def test_who_speaks_another_language_or_refuses_is_not_understood(said: bytes) -> None:
    with pytest.raises(NotSpoken):
        fed([said])


def test_it_says_who_it_is() -> None:
    said = opening(b"me")
    assert said.startswith(GREETING)
    assert b"\x0bSocket-Type\x00\x00\x00\x06DEALER" in said
    assert said.endswith(b"\x08Identity\x00\x00\x00\x02me")
