"""Small pieces are joined, large ones passed on."""

from __future__ import annotations

import pytest

from enterprise_gateway.relay.pieces import LARGE_BYTES, gathered

LARGE = bytes(LARGE_BYTES)
ALMOST = bytes(LARGE_BYTES - 1)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], [b""]),
        ([b"a", b"", b"b"], [b"ab"]),
        ([LARGE], [LARGE]),
        ([b"a", b"b", LARGE, b"c", LARGE, LARGE, b"d", b"e"], [b"ab", LARGE, b"c", LARGE, LARGE, b"de"]),
        ([ALMOST, b"a", ALMOST], [ALMOST + b"a" + ALMOST]),
    ],
)
def test_the_same_bytes_are_gathered_in_fewer_pieces(pieces: list[bytes], expected: list[bytes]) -> None:
    assert gathered(pieces) == expected


def test_no_large_piece_is_copied() -> None:
    assert [piece for piece in gathered([b"a", LARGE, b"b"]) if piece is LARGE] == [LARGE]
