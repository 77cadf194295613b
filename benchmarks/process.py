"""What a process costs, as Linux counts it. The text of /proc is read by pure functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

PROC = Path("/proc")
_PROCESS_CLOCK = 2


@dataclass(frozen=True)
class ThreadUse:
    """A thread's name and the CPU seconds that it has had."""

    name: str
    cpu_seconds: float


@dataclass(frozen=True)
class Holdings:
    """What a process holds: memory of its own, and open files."""

    memory_mib: float
    descriptors: int


@dataclass(frozen=True)
class Spent:
    """What something took.

    Attributes:
        seconds: By the clock.
        cpu_seconds: That a process had meanwhile.
    """

    seconds: float
    cpu_seconds: float


def spent(pid: int, work: Callable[[], object]) -> Spent:
    """Do something, and say what it took, and this process meanwhile."""
    began, cpu = perf_counter(), cpu_seconds(pid)
    work()
    return Spent(perf_counter() - began, cpu_seconds(pid) - cpu)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, ended threads included, to the nanosecond: /proc rounds to a hundredth."""
    return time.clock_gettime(~pid << 3 | _PROCESS_CLOCK)  # as clock_getcpuclockid(3) makes the number


def threads(pid: int) -> dict[int, ThreadUse]:
    """The threads of a process that live, by id."""
    return dict(_threads(PROC / str(pid) / "task"))


def _threads(tasks: Path) -> Iterator[tuple[int, ThreadUse]]:
    for task in tasks.iterdir():
        try:
            name, on_cpu = (task / "comm").read_text().strip(), (task / "schedstat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        yield int(task.name), ThreadUse(name, on_cpu_seconds(on_cpu))


def holdings(pid: int) -> Holdings:
    """What a process holds now; memory that it shares with others is not counted."""
    folder = PROC / str(pid)
    return Holdings(private_mib((folder / "smaps_rollup").read_text()), len(list((folder / "fd").iterdir())))


def children(pid: int) -> list[int]:
    """The children of a process."""
    pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    return [child for child in pids if _parent(child) == pid]


def _parent(pid: int) -> int | None:
    try:
        return parent((PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def on_cpu_seconds(schedstat: str) -> float:
    """CPU seconds in the text of a `schedstat`."""
    return int(schedstat.split()[0]) / 1e9


def private_mib(smaps: str) -> float:
    """Mebibytes of the process's own in the text of a `smaps_rollup`."""
    fields = (line.split() for line in smaps.splitlines())
    return sum(int(field[1]) for field in fields if field[0].startswith("Private_")) / 1024


def parent(stat: str) -> int:
    """The parent's pid in the text of a `stat`, whatever the process is called."""
    return int(stat.rpartition(")")[2].split()[1])
