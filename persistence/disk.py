"""Whether a disk has room, for those who are about to write there."""

from __future__ import annotations

import os
from pathlib import Path

_BYTES = 1 << 20
_FILES = 16


def is_short(folder: Path) -> bool:
    """Say whether this process could not write a few small files there. Blocks.

    Raises:
        OSError: The folder can't be looked at.
    """
    found = os.statvfs(folder)
    if not found.f_blocks:
        return False  # a file system that does not count
    blocks, files = (found.f_bfree, found.f_ffree) if os.geteuid() == 0 else (found.f_bavail, found.f_favail)
    return blocks * found.f_frsize < _BYTES or (found.f_files > 0 and files < _FILES)
