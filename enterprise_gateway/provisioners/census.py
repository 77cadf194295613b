"""What there is of kernels on this host: directories, and processes by what each of them carries in its environment.

A kernel is launched with its id, its generation and the name of its deployment in its environment, and what it starts
inherits them. So what a kernel has left behind is found too, whatever became of its parents, groups and sessions. Not
found: what was started with an environment of its own (`env -i`), what has written over the memory that its environment
was in (some set their title so), and the processes of other users.

All of it touches the disk, and /proc for each process of the user: call it by a thread.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from enterprise_gateway.provisioners.process import PROC, KernelProcess, read_start_ticks
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories

KERNEL_ID = "ENTERPRISE_GATEWAY_KERNEL_ID"
GENERATION = "ENTERPRISE_GATEWAY_GENERATION"
DEPLOYMENT = "ENTERPRISE_GATEWAY_DEPLOYMENT"
"""By these three a process is known for a kernel's: which, which launch of it, and which database's."""


@dataclass(frozen=True, kw_only=True)
class KernelsProcess:
    """A process that a generation of a kernel is, or has started."""

    pid: int
    start_ticks: int
    kernel_id: str
    generation: int

    def __str__(self) -> str:
        return f"process {self.pid}"

    def kill(self) -> bool:
        """Send SIGKILL to it, and to the group that it leads if it leads one; never to another with its pid.

        Returns:
            Whether it was there.
        """
        process = KernelProcess.find(self.pid, self.start_ticks)
        if process is None:
            return False
        try:
            return process.signal_group(signal.SIGKILL) or process.signal_alone(signal.SIGKILL)
        finally:
            process.close()


@dataclass(frozen=True, kw_only=True)
class KernelsDirectory:
    """The directory of one generation of a kernel."""

    kernel_id: str
    generation: int

    def __str__(self) -> str:
        return "the directory"


Found = KernelsProcess | KernelsDirectory


@dataclass(frozen=True, kw_only=True)
class Census:
    """What there is of a deployment's kernels on this host, or was a moment ago."""

    processes: Collection[KernelsProcess]
    directories: Collection[KernelsDirectory]

    @property
    def kernel_ids(self) -> set[str]:
        """Whose it is."""
        return {each.kernel_id for each in self.processes} | {each.kernel_id for each in self.directories}


def take_census(deployment_id: str, directories: RuntimeDirectories) -> Census:
    """List what there is on this host."""
    # Directories first: each is made before its process. The other way round a new one would seem to have none.
    names = directories.names()
    return Census(
        processes=kernels_processes(deployment_id),
        directories=[KernelsDirectory(kernel_id=kernel_id, generation=generation) for kernel_id, generation in names],
    )


def kernels_processes(deployment_id: str) -> list[KernelsProcess]:
    """List the processes of this deployment's kernels that this user has on this host, this process left out."""
    found = (_look(pid, deployment_id) for pid in _own_pids() if pid != os.getpid())
    return [process for process in found if process is not None]


def _own_pids() -> Iterator[int]:
    with os.scandir(PROC) as entries:
        for entry in entries:
            if entry.name.isdigit() and _owner(entry) == os.geteuid():
                yield int(entry.name)


def _owner(entry: os.DirEntry[str]) -> int | None:
    try:
        return entry.stat().st_uid
    except FileNotFoundError:
        return None  # it has ended meanwhile


def _look(pid: int, deployment_id: str) -> KernelsProcess | None:
    # The start time first: if the pid is another's by the time of the next line, that one is never found by it.
    start_ticks = read_start_ticks(pid)
    marks = _marks(pid)
    if start_ticks is None or marks.get(DEPLOYMENT) != deployment_id:
        return None
    kernel_id, generation = marks.get(KERNEL_ID), marks.get(GENERATION, "")
    if kernel_id is None or not generation.isdecimal():
        return None
    return KernelsProcess(pid=pid, start_ticks=start_ticks, kernel_id=kernel_id, generation=int(generation))


def _marks(pid: int) -> dict[str, str]:
    try:
        environment = Path(PROC, str(pid), "environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}  # it has ended meanwhile, or has made itself unreadable
    variables = (part.partition(b"=") for part in environment.split(b"\0") if part.startswith(b"ENTERPRISE_GATEWAY_"))
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in variables}
