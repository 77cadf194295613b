"""A disk has room or not."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from persistence import disk


@pytest.mark.parametrize(
    ("blocks", "files", "short"), [(1000, 1000, False), (10, 1000, True), (1000, 3, True), (0, 0, True)]
)
def test_a_disk_is_short_of_blocks_or_of_files(
    monkeypatch: pytest.MonkeyPatch, blocks: int, files: int, short: bool
) -> None:
    found = SimpleNamespace(
        f_frsize=4096, f_blocks=9999, f_files=9999, f_bfree=blocks, f_bavail=blocks, f_ffree=files, f_favail=files
    )
    monkeypatch.setattr(os, "statvfs", lambda folder: found)
    assert disk.is_short(Path("/")) is short


def test_a_file_system_that_does_not_count_is_not_short() -> None:
    assert not disk.is_short(Path("/proc"))
