"""The file that names the mongod that runs, so that any replica can adopt or stop it.

Written before mongod begins to run, so that no crash leaves one that nobody knows. A file that can't be read, or that
speaks of another directory (it was copied or moved) or another place, names no mongod of this data directory.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from persistence.embedded.process import ProcessId


@dataclass(frozen=True, kw_only=True)
class ServerState:
    """One mongod."""

    data_dir: str
    place: str
    """Where pid and socket mean anything, see `this_place`."""
    socket: str
    pid: int
    start_ticks: int
    version: str
    ready: bool
    """Whether its set is set up, so that clients may connect."""

    @property
    def process(self) -> ProcessId:
        """What names its process."""
        return ProcessId(self.pid, self.start_ticks)

    def belongs_to(self, data_dir: Path) -> bool:
        """Say whether it speaks of a mongod of this directory, in this place."""
        return self.data_dir == str(data_dir) and self.place == this_place()


def this_place() -> str:
    """Name this run of this machine, and this container: elsewhere neither a pid nor a socket means the same."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    namespaces = (os.stat(f"/proc/self/ns/{kind}").st_ino for kind in ("pid", "mnt"))
    return "/".join((boot, *map(str, namespaces)))


def read_state(path: Path) -> ServerState | None:
    """Read the file; None if there is none, or nothing that can be understood."""
    try:
        return ServerState(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_state(path: Path, state: ServerState) -> None:
    """Replace the file; on disk when this returns. Only the supervisor may."""
    fresh = path.with_suffix(".new")
    with open(fresh, "w", encoding="utf-8", opener=_private) as file:
        json.dump(asdict(state), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
