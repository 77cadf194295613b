"""What this process or its host may run short of for a while: told apart from faults, and looked for beforehand.

Whoever lacks one of these is answered 503 and may try again. It is no promise that there is enough: others use the same
host. What is begun with some room left seldom fails in the middle.
"""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

WORK_DESCRIPTORS = 64
"""Left free by whatever is new, for what is at work: launches, connections to the database and to kernels."""
ANSWER_DESCRIPTORS = 16
"""Left free by connections, for the answers to them."""
DISK_BYTES = 1 << 20
DISK_FILES = 16

_FEW_DESCRIPTORS = 256  # allowed in all: below, a part of the above is left free

_KINDS = {
    errno.EMFILE: "this gateway has as many files and connections open as it may (its limit of open files)",
    errno.ENFILE: "the host has as many files open as it can have",
    errno.ENOSPC: "a disk is full",
    errno.EDQUOT: "a disk quota is used up",
    errno.ENOMEM: "the host is short of memory",
    errno.ENOBUFS: "the host is short of memory for connections",
}


def shortage(error: BaseException | None) -> str | None:
    """Say what was lacking, as a clause; None where the error is about something else.

    Args:
        error: One of the operating system's, or ZeroMQ's, which has the same numbers.
    """
    if isinstance(error, MemoryError):
        return _KINDS[errno.ENOMEM]
    number = getattr(error, "errno", None)
    return _KINDS.get(number) if isinstance(number, int) else None


def descriptors_are_short(reserve: int) -> bool:
    """Say whether fewer than `reserve` file descriptors are free; where few are allowed at all, a part of it counts."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = reserve * limit // _FEW_DESCRIPTORS if 0 <= limit < _FEW_DESCRIPTORS else reserve
    opened: list[int] = []
    try:
        for _ in range(wanted):
            opened.append(os.open(os.devnull, os.O_PATH | os.O_CLOEXEC))
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        return True
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return False


def disk_is_short(folder: Path) -> bool:
    """Say whether this process could not write a few files there. Blocks.

    Raises:
        OSError: The folder can't be looked at.
    """
    found = os.statvfs(folder)
    if not found.f_blocks:
        return False  # a file system that does not count
    blocks, files = (found.f_bfree, found.f_ffree) if os.geteuid() == 0 else (found.f_bavail, found.f_favail)
    return blocks * found.f_frsize < DISK_BYTES or (found.f_files > 0 and files < DISK_FILES)
