"""Directories short enough for Unix sockets, which pytest's are not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def short_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="eg", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path)
