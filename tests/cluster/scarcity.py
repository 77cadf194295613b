"""A host that lacks something, for as long as a `with` lasts: descriptors, disk, processes."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def open_descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


@contextmanager
def descriptors_limited(pid: int, *, free: int) -> Iterator[None]:
    """Let a process open so many more, and then none."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_descriptors(pid) + free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@contextmanager
def processes_limited(groups: Path, pid: int, *, free: int) -> Iterator[None]:
    """Let a process, with all that it starts, start so many more processes and threads, and then none."""
    group = groups / f"test-{uuid4().hex}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(pid))
        present = int((group / "pids.current").read_text())
        (group / "pids.max").write_text(str(present + free))
        yield
    finally:
        (group / "pids.max").write_text("max")
        for left in (group / "cgroup.procs").read_text().split():
            (groups / "cgroup.procs").write_text(left)
        group.rmdir()


class SmallDisk:
    """A disk of a few megabytes, mounted on a folder.

    Args:
        folder: An empty one.
        megabytes: Its size.
    """

    def __init__(self, folder: Path, *, megabytes: int) -> None:
        self.folder = folder
        self._filler = folder / "filler"
        options = f"size={megabytes}m,mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "test", str(folder)], check=True)

    def unmount(self) -> None:
        """Take it away, also from under those who still use it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @contextmanager
    def full(self, *, but: int = 0) -> Iterator[None]:
        """Nothing can be written any more, or only so many bytes."""
        size = os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize - but
        with self._filler.open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, size)
        try:
            yield
        finally:
            self._filler.unlink()
