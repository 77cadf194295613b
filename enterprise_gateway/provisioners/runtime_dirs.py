"""The directories of this host's kernels: connection file, sockets and log, one directory a kernel *and* generation.

Nobody but the gateway's user may enter them: they hold keys, and sockets that are not encrypted. A directory belongs to
the act that made it; only the act that ended the generation removes it, or the sweep where that act could not. So a
name never stands for two kernels, and the files of a living one are never tidied away.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

import zmq

from enterprise_gateway.provisioners.errors import LaunchError, UnsafeRuntimeDirectory

MAX_KERNEL_ID_LENGTH = 36  # a UUID
MAX_GENERATION_DIGITS = 7
SOCKET_NAME = "s"  # jupyter_client appends "-" and a number to name the five sockets
MAX_SOCKET_SUFFIX = len("-5")

_DEPLOYMENT_CHARACTERS = 8  # of a random id: enough to keep the few deployments of a user apart, and short

_KERNEL_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAX_KERNEL_ID_LENGTH - 1}}}", re.ASCII)
_NAME = re.compile(
    rf"(?P<kernel_id>{_KERNEL_ID.pattern})\.(?P<generation>[0-9]{{1,{MAX_GENERATION_DIGITS}}})", re.ASCII
)


class RuntimeDirectories:
    """The directory under which this host's kernels have theirs. All its calls touch the disk.

    Args:
        base: Short, since Unix sockets are named by whole paths; shared by the gateways of one user on this host.
        deployment_id: Whose kernels these are: the deployments of one user have a directory each below the base, so
            that none tidies away another's. Empty: the base is this one's alone.

    Attributes:
        root: Where the kernels' directories are.
    """

    def __init__(self, base: str | Path, deployment_id: str = "") -> None:
        # Its parents may be links (/var/run), itself may not; a path that changed its meaning later would be no name.
        path = Path(os.path.abspath(base))
        self._base = Path(os.path.realpath(path.parent)) / path.name
        self.root = self._base / deployment_id[:_DEPLOYMENT_CHARACTERS]

    def prepare(self) -> None:
        """Make the root if it is missing, and see that it is the gateway's alone and short enough for sockets.

        Raises:
            UnsafeRuntimeDirectory: It is not; the message says what to do.
            OSError: It can't be made.
        """
        self._check_length()
        for directory in (self._base, self.root):
            try:
                check_private(directory)
            except FileNotFoundError:
                _make_private(directory)

    def _check_length(self) -> None:
        longest = self.path("k" * MAX_KERNEL_ID_LENGTH, 10**MAX_GENERATION_DIGITS - 1) / SOCKET_NAME
        excess = len(os.fsencode(longest)) + MAX_SOCKET_SUFFIX - zmq.IPC_PATH_MAX_LEN
        if excess > 0:
            raise UnsafeRuntimeDirectory(
                f"The runtime directory {self.root} is {excess} bytes too long for Unix sockets, whose whole path may "
                f"have {zmq.IPC_PATH_MAX_LEN} bytes. Choose a shorter one."
            )

    def path(self, kernel_id: str, generation: int) -> Path:
        """Name the directory of one generation of a kernel.

        Raises:
            ValueError: The id is none that could be a part of a path.
        """
        if _KERNEL_ID.fullmatch(kernel_id) is None or not 0 <= generation < 10**MAX_GENERATION_DIGITS:
            raise ValueError(f"kernel id {kernel_id!r} and generation {generation!r} can't name a directory")
        return self.root / f"{kernel_id}.{generation}"

    def make(self, kernel_id: str, generation: int) -> Path:
        """Make that directory, and the root again where that has been tidied away.

        Raises:
            LaunchError: It exists: this generation was launched before, and may live.
            UnsafeRuntimeDirectory: The root is no longer the gateway's alone.
            OSError: The disk is full, or not writable.
        """
        path = self.path(kernel_id, generation)
        self.prepare()
        try:
            path.mkdir(mode=0o700)
        except FileExistsError as error:
            raise LaunchError(
                f"The directory {path} exists already. If no kernel of that name runs, remove it and try again."
            ) from error
        return path

    def names(self) -> list[tuple[str, int]]:
        """List whose directories there are, by kernel id and generation."""
        try:
            found = [_NAME.fullmatch(name) for name in os.listdir(self.root)]
        except FileNotFoundError:
            return []
        return [(name["kernel_id"], int(name["generation"])) for name in found if name is not None]

    def remove(self, kernel_id: str, generation: int) -> None:
        """Remove that directory and all in it: for the act that ended this generation, or the sweep after it.

        It is no error if it is gone.

        Raises:
            OSError: Something in it can't be removed.
        """
        try:
            shutil.rmtree(self.path(kernel_id, generation))
        except FileNotFoundError:
            return


def _make_private(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        check_private(directory)  # somebody else was faster


def check_private(directory: Path) -> None:
    """See that a directory is one, no link, the gateway's own user's, and closed to all others.

    Raises:
        UnsafeRuntimeDirectory: It is not.
    """
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeRuntimeDirectory(f"{directory} is a file or a link, and must be a directory. Name another.")
    if found.st_uid != os.geteuid():
        raise UnsafeRuntimeDirectory(
            f"The runtime directory {directory} belongs to user {found.st_uid}, and this gateway is {os.geteuid()}. "
            "Name another."
        )
    if found.st_mode & 0o077:
        raise UnsafeRuntimeDirectory(
            f"The runtime directory {directory} is open to other users. Make sure that nobody has put anything there, "
            f"then: chmod 700 {directory}"
        )
