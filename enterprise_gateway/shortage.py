"""What this process or its host may run short of for a while: told apart from faults, and looked for beforehand.

Whoever lacks one of these is answered 503 and may try again. It is no promise that there is enough: others use the same
host. What is begun with some room left seldom fails in the middle.
"""

from __future__ import annotations

import errno
import os
import resource

WORK_DESCRIPTORS = 64
"""Left free by whatever is new, for what is at work: launches, connections to the database and to kernels."""
ANSWER_DESCRIPTORS = 16
"""Left free by connections, for the answers to them."""

_OPENED = "/proc/self/fd"
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
    if limit >= 0 and (count := os.stat(_OPENED).st_size):  # Linux 6.2 tells their number, others 0
        if limit - count < wanted:
            return True
        wanted = 1  # it is left to be seen whether the host allows any
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
