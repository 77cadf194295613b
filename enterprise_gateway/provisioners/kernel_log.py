"""What a kernel's process writes to stdout and stderr: a file, since a pipe would die with the gateway.

It is bounded by its owner, who calls `trim` now and then: the newest half is copied aside, and the file emptied, which
the kernel's `O_APPEND` survives. Lines written between copy and emptying are lost, and a kernel that writes faster than
`trim` is called exceeds the bound for that long. All calls but the constructor touch the disk.

The kernel can put anything in the file's place, and must neither hang the gateway nor lead it elsewhere by that: what
is no regular file is not waited for, not read, and not written.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

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
            OSError: It can't be made, or is no regular file.
        """
        return _open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tail(self, lines: int) -> list[str]:
        """Give the last lines, at most 64 KB of them, without line ends; none where there is no log to read."""
        text = _end(self.path, TAIL_BYTES)
        if len(text) < TAIL_BYTES:
            text = _end(self.aside, TAIL_BYTES - len(text)) + text
        return text.decode(errors="replace").splitlines()[-lines:] if lines > 0 else []

    def trim(self) -> bool:
        """Shorten the log if it is longer than it may be.

        Returns:
            Whether it was.

        Raises:
            OSError: The disk is full: then the log is emptied all the same, and nothing kept. Or it is no regular file.
        """
        if self.max_bytes <= 0:
            return False
        try:
            descriptor = _open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return False
        with os.fdopen(descriptor, "r+b") as log:
            if os.fstat(descriptor).st_size <= self.max_bytes:
                return False
            try:
                self._keep(log, self.max_bytes // 2)
            finally:
                os.ftruncate(descriptor, 0)
        return True

    def _keep(self, log: BinaryIO, size: int) -> None:
        """Copy the last `size` bytes aside, in pieces."""
        part = self.aside.with_name(self.aside.name + ".part")
        part.unlink(missing_ok=True)
        try:
            self._copy_end(log, part, size)
        except OSError:
            part.unlink(missing_ok=True)  # what there is of it would be in the way of what comes
            raise
        part.replace(self.aside)

    def _copy_end(self, source: BinaryIO, target: Path, size: int) -> None:
        with os.fdopen(_open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as copy:
            os.fchmod(copy.fileno(), 0o600)
            source.seek(-min(size, os.fstat(source.fileno()).st_size), os.SEEK_END)
            left = size
            while left > 0 and (piece := source.read(min(left, COPY_BYTES))):
                copy.write(piece)
                left -= len(piece)


def _open(path: Path, flags: int) -> int:
    """Open a regular file, and nothing else; without `O_NONBLOCK` a FIFO would be waited for.

    Raises:
        OSError: It is something else, or as `os.open`.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def _end(path: Path, size: int) -> bytes:
    try:
        with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
            file.seek(-min(size, os.fstat(file.fileno()).st_size), os.SEEK_END)
            return file.read(size)
    except OSError:
        return b""
