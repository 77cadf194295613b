"""What a kernel's process writes to stdout and stderr: a file, since a pipe would die with the gateway.

It is bounded by its owner, who calls `trim` now and then: the newest half is copied aside, and the file emptied, which
the kernel's `O_APPEND` survives. Lines written between copy and emptying are lost, and a kernel that writes faster than
`trim` is called exceeds the bound for that long. All calls but the constructor touch the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

TAIL_BYTES = 64 * 1024
COPY_BYTES = 1024 * 1024


class KernelLog:
    """The log of one generation of a kernel.

    Args:
        path: Its file; what was copied aside is beside it, with `.1` appended.
        max_bytes: Past which `trim` shortens it; 0: never.
    """

    def __init__(self, path: Path, max_bytes: int = 0) -> None:
        self.path = path
        self.aside = path.with_name(path.name + ".1")
        self.max_bytes = max_bytes

    def open_for_writing(self) -> int:
        """Open the file, made if missing, for the process to append to. The caller closes the descriptor.

        Raises:
            OSError: It can't be made, or is a link.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self.path, flags, 0o600)

    def tail(self, lines: int) -> list[str]:
        """Give the last lines, at most 64 KB of them, without line ends; none where there is no log."""
        text = _end(self.path, TAIL_BYTES)
        if len(text) < TAIL_BYTES:
            text = _end(self.aside, TAIL_BYTES - len(text)) + text
        return text.decode(errors="replace").splitlines()[-lines:] if lines > 0 else []

    def trim(self) -> bool:
        """Shorten the log if it is longer than it may be.

        Returns:
            Whether it was.

        Raises:
            OSError: The disk is full: then the log is emptied all the same, and nothing kept.
        """
        try:
            too_long = 0 < self.max_bytes < self.path.stat().st_size
        except FileNotFoundError:
            return False
        if not too_long:
            return False
        try:
            self._keep(self.max_bytes // 2)
        finally:
            os.truncate(self.path, 0)
        return True

    def _keep(self, size: int) -> None:
        """Copy the last `size` bytes aside, in pieces."""
        part = self.aside.with_name(self.aside.name + ".part")
        try:
            self._copy_end(part, size)
        except OSError:
            part.unlink(missing_ok=True)  # what there is of it would be in the way of what comes
            raise
        part.replace(self.aside)

    def _copy_end(self, target: Path, size: int) -> None:
        with self.path.open("rb") as source, target.open("wb") as copy:
            os.fchmod(copy.fileno(), 0o600)
            source.seek(-min(size, os.fstat(source.fileno()).st_size), os.SEEK_END)
            left = size
            while left > 0 and (piece := source.read(min(left, COPY_BYTES))):
                copy.write(piece)
                left -= len(piece)


def _end(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(-min(size, os.fstat(file.fileno()).st_size), os.SEEK_END)
            return file.read(size)
    except FileNotFoundError:
        return b""
