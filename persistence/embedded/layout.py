"""Where a private mongod keeps its files: all in the data directory, but for the socket, whose path must be short."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from persistence.errors import ConfigurationError
from persistence.mongod import REPLICA_SET

_PRIVATE = 0o700

LONGEST_SOCKET_PATH = 107
"""Bytes that Linux takes for the path of a Unix socket. A longer one would end mongod."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The paths that belong to one data directory."""

    data_dir: Path
    """Resolved, so that every replica means the same whatever it was told."""
    runtime_dir: Path
    """Where sockets go; each data directory has a directory of its own there."""

    @classmethod
    def of(cls, data_dir: Path, runtime_dir: Path | None) -> Layout:
        """Resolve the paths. Without a runtime directory it is one in /tmp that only this user can write to.

        `/run/user` would be taken away at logout, and `TMPDIR` may be long or differ between two shells.
        """
        chosen = Path(f"/tmp/enterprise-gateway-{os.geteuid()}") if runtime_dir is None else runtime_dir.expanduser()
        return cls(data_dir=data_dir.expanduser().resolve(), runtime_dir=chosen.resolve())

    @property
    def database(self) -> Path:
        """The directory that is mongod's own."""
        return self.data_dir / "db"

    @property
    def log(self) -> Path:
        """What mongod writes."""
        return self.data_dir / "mongod.log"

    @property
    def output(self) -> Path:
        """What mongod prints before it has opened its log, and when it crashes. Begun anew with each start."""
        return self.data_dir / "mongod.out"

    @property
    def state(self) -> Path:
        """Which mongod runs, for those who adopt or stop it."""
        return self.data_dir / "mongod.json"

    @property
    def supervisor_lock(self) -> Path:
        """Held exclusively by the supervisor."""
        return self.data_dir / "supervisor.lock"

    @property
    def users_lock(self) -> Path:
        """Shared by every replica."""
        return self.data_dir / "users.lock"

    @property
    def socket(self) -> Path:
        """Where a mongod that is started from here listens."""
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return self.runtime_dir / name / "mongod.sock"  # PyMongo knows a socket by its suffix

    def prepare(self) -> None:
        """Make the directories, for this user alone. Blocks.

        Raises:
            ConfigurationError: They can't be made, are another user's, or the socket's path is too long.
        """
        length = len(os.fsencode(self.socket))
        if length > LONGEST_SOCKET_PATH:
            raise ConfigurationError(
                f"the socket's path {self.socket} has {length} bytes, of which Unix sockets have at most "
                f"{LONGEST_SOCKET_PATH}: choose a shorter runtime directory than {self.runtime_dir}"
            )
        _make_trusted(self.data_dir)
        _make_private(self.database)

    def prepare_socket(self, socket: Path) -> None:
        """Make the directory of `socket`, which nobody else may write to. Blocks.

        Raises:
            ConfigurationError: It can't be made, or another user was there first.
        """
        _make_trusted(socket.parent.parent)
        _make_private(socket.parent)


def uri_of(socket: Path) -> str:
    """Give the URI for clients. It names the set, so that they wait for its primary while mongod starts anew."""
    return f"{server_uri(socket)}?replicaSet={REPLICA_SET}"


def server_uri(socket: Path) -> str:
    """Give the URI of the server itself, whatever state the set is in."""
    return f"mongodb://{quote(str(socket), safe='')}/"


def _make_private(folder: Path) -> None:
    """Make a directory that is this user's alone."""
    status = _make(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigurationError(f"{folder} is a link, not a directory: remove it, or choose another directory")
    if status.st_uid != os.geteuid():
        raise ConfigurationError(f"{folder} belongs to another user: choose another directory")
    if stat.S_IMODE(status.st_mode) != _PRIVATE:
        folder.chmod(_PRIVATE)


def _make_trusted(folder: Path) -> None:
    """Make a directory in which nobody can put something else in the place of what is ours. Its mode is left alone."""
    status = _make(folder)
    if status.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(f"{folder} belongs to another user: choose another directory")
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise ConfigurationError(
            f"{folder} can be written to by everybody: `chmod o-w` it, or choose another directory"
        )


def _make(folder: Path) -> os.stat_result:
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        return folder.lstat()
    except OSError as error:
        raise ConfigurationError(f"the directory {folder} can't be used: {error.strerror}") from error
