"""Locks between processes, on files. The kernel drops them when their holder dies, however it dies."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from persistence.errors import ConfigurationError

_NOT_SUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class FileLock:
    """A lock on one file, held by this object until `release` or the end of the process.

    Nothing waits here: a blocked `flock` could not be cancelled. The file itself stays: to remove it would let a second
    holder lock a new one of the same name. Child processes do not inherit the lock.

    Args:
        path: The file; made when it is first locked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_exclusive(self) -> bool:
        """Take the lock for oneself alone. A shared one that is held is given up first, whatever the outcome."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take the lock beside other shared holders. An exclusive one that is held is given up first."""
        return self._try(fcntl.LOCK_SH)

    def release(self) -> None:
        """Give it up. Harmless if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _try(self, kind: int) -> bool:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _NOT_SUPPORTED:
                message = f"the file system of {self._path.parent} has no file locks; choose another data directory"
                raise ConfigurationError(message) from error
            raise
        return True
