"""Bytes that go to the network one after the other: small ones are joined, large ones never copied. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Piece = bytes | memoryview
"""A large one is a view of the memory that libzmq has received it into."""

LARGE_BYTES = 64 * 1024
"""A copy of less costs less than a write of its own."""


def gathered(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the same bytes in fewer pieces; at least one."""
    if sum(map(len, pieces)) < LARGE_BYTES:
        return [b"".join(pieces)]
    return list(_gathered(pieces)) or [b""]


def _gathered(pieces: Iterable[Piece]) -> Iterable[Piece]:
    small: list[Piece] = []
    for piece in pieces:
        if len(piece) < LARGE_BYTES:
            small.append(piece)
            continue
        if small:
            yield b"".join(small)
            small = []
        yield piece
    if small:
        yield b"".join(small)
