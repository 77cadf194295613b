"""Sees by the ids of a kernel's messages that some were lost on their way.

jupyter_client's `Session`, with which ipykernel and all that builds on it makes its messages, numbers them: its ids are
`<session>_<pid>_<number>`. A kernel's PUB drops without a word beyond its mark, many in a row, and what comes next then
has a number much too high. A few are always missing on IOPub, which replies, requests for input and welcomes to others
have. Kernels whose ids are made otherwise are not judged.
"""

from __future__ import annotations

BEGINNING = b'{"msg_id": "'
LEAST = 10
"""So many in a row are none that went over other channels: each request has two statuses beside its reply."""


class Numbering:
    """The numbers of one kernel's messages, as one subscriber gets them."""

    def __init__(self) -> None:
        self._prefix = b""
        self._highest = 0

    def missed(self, header: bytes) -> int:
        """Take note of a message, and return how many before it were lost, about; 0 if none is known to be."""
        prefix = self._prefix
        number = _number(header, len(prefix)) if prefix and header.startswith(prefix) else None
        if number is None:
            self._begin(header)
            return 0
        lacking = number - self._highest - 1
        if number > self._highest:  # threads of the kernel may overtake each other
            self._highest = number
        return lacking if lacking >= LEAST else 0

    def _begin(self, header: bytes) -> None:
        """Another process speaks, or the first."""
        id_end = header.find(b'"', len(BEGINNING))
        prefix = header[: header.rfind(b"_", len(BEGINNING), id_end) + 1]
        number = _number(header, len(prefix)) if prefix.startswith(BEGINNING) else None
        self._prefix, self._highest = (b"", 0) if number is None else (prefix, number)


def _number(header: bytes, start: int) -> int | None:
    digits = header[start : header.find(b'"', start)]
    return int(digits) if digits.isdigit() else None
