from __future__ import annotations

import struct

import pytest

from enterprise_gateway.relay.interfaces import Frame
from enterprise_gateway.relay.pieces import LARGE_BYTES
from enterprise_gateway.relay.websocket_frames import close_reason, server_frames


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e" + struct.pack("!H", 126)),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f" + struct.pack("!Q", 65_536)),
    ],
)
def test_the_length_is_spelt_as_short_as_it_fits(length: int, head: bytes) -> None:
    assert b"".join(server_frames([Frame(b"x" * length, binary=False)])) == head + b"x" * length


def test_messages_follow_each_other_in_one_piece() -> None:
    assert server_frames([Frame(b"a", binary=False), Frame(b"bc", binary=True)]) == [b"\x81\x01a\x82\x02bc"]


def test_a_large_part_is_passed_on_as_it_is() -> None:
    large, small = bytes(LARGE_BYTES), Frame(b"a", binary=False)
    pieces = server_frames([small, Frame(b"bc", binary=True, rest=[large, b"d"]), small])
    length = LARGE_BYTES + 3
    assert pieces[0] == b"\x81\x01a" + struct.pack("!BBQ", 0x82, 127, length) + b"bc"
    assert pieces[1] is large
    assert pieces[2:] == [b"d\x81\x01a"]


def test_a_close_reason_fits_its_frame() -> None:
    assert len(close_reason("é" * 200).encode()) == 123
