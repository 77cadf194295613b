"""The kernels that really run on this host, whatever a gateway or its database says.

A kernel is a process whose command line names a connection file below the cluster's own runtime directory, where each
generation has a directory `<deployment>/<kernel id>.<generation>`.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KernelProcess:
    """A kernel seen in /proc. Zombies are not seen: they have no command line."""

    pid: int
    kernel_id: str
    generation: int
    environment: str

    def kill(self) -> None:
        """SIGKILL its whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def kernel_processes(runtime: Path) -> list[KernelProcess]:
    """List the kernels whose connection files lie below `runtime`."""
    root = f"{runtime}/"
    found = (_look(pid, root) for pid in _pids() if os.fsencode(root) in _arguments(pid))
    return [process for process in found if process is not None]


def processes_naming(folder: Path) -> list[int]:
    """List the pids of all processes whose command line names something in `folder`."""
    return [pid for pid in _pids() if f"{folder}/" in " ".join(_command(pid))]


def runs(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    return any(_command(pid))


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _arguments(pid: int) -> bytes:
    """The command line as it stands there: tests look at all of them again and again."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""  # it ended while we looked


def _command(pid: int) -> list[str]:
    return _arguments(pid).decode(errors="replace").split("\0")


def _look(pid: int, root: str) -> KernelProcess | None:
    named = next((part for part in _command(pid) if part.startswith(root)), None)
    try:
        if named is None or os.getsid(pid) != pid:  # a child of the kernel's (multiprocessing) may repeat its arguments
            return None
        environment = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None  # it ended while we looked
    kernel_id, _, generation = Path(named).parent.name.rpartition(".")
    return KernelProcess(pid, kernel_id, int(generation), environment.replace("\0", "\n"))
