"""Which host this is: where alone the kernels started here can be reached, signalled and seen to die.

A host is a boot of a machine, and in it one user, one pid, one mount and one network namespace: two containers on one
machine are two hosts, two gateways of one user in one container are on the same. The id is the same for every such
process, and another after a reboot or in a container made anew. It may come back when a container is replaced within
the same boot, for Linux reuses the numbers of namespaces: harmless, since a process is always named by pid *and* start
time.

The machine is told apart by `/etc/machine-id`, which is confidential by its own manual page and so kept only as a
keyed hash. Where there is none (slim containers), the boot id stands in for it: a reboot then looks like another
machine, so that nobody concludes that a kernel is gone who can't know it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from persistence.documents import HostDoc

MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
NAMESPACES = Path("/proc/self/ns")


@dataclass(frozen=True, kw_only=True)
class HostIdentity:
    """A host, as this process sees it: a place where kernels can be reached."""

    machine: str
    """Hash of the machine id, or of the boot id where there is none."""
    boot: str
    """Kernel's boot id: new with each boot."""
    pid_namespace: int
    mount_namespace: int
    network_namespace: int
    """Inode numbers, unique within a boot among the namespaces that exist."""
    user: int
    """Who the process is: one user can neither signal another's kernels nor open their sockets."""
    name: str
    """Host name; for people, and to tell machines cloned with their machine id apart. No part of the id."""
    id: str = field(init=False)
    """32 hex digits: the hash of all but the name."""

    def __post_init__(self) -> None:
        namespaces = (self.pid_namespace, self.mount_namespace, self.network_namespace)
        parts = (self.machine, self.boot, *namespaces, self.user)
        object.__setattr__(self, "id", _digest("\0".join(str(part) for part in parts)))

    @classmethod
    def current(
        cls, *, machine_id_files: tuple[Path, ...] = MACHINE_ID_FILES, namespaces: Path = NAMESPACES
    ) -> HostIdentity:
        """Find out where this process runs. Reads a few small files of /proc and /etc; the parameters are for tests.

        Raises:
            OSError: /proc is not mounted.
        """
        boot = BOOT_ID_FILE.read_text(encoding="ascii").strip()
        return cls(
            machine=_digest(_machine_id(machine_id_files) or boot),
            boot=boot,
            pid_namespace=_inode(namespaces / "pid"),
            mount_namespace=_inode(namespaces / "mnt"),
            network_namespace=_inode(namespaces / "net"),
            user=os.getuid(),
            name=os.uname().nodename,
        )

    def was(self, other: HostDoc) -> bool:
        """Whether `other` was this machine before its last boot: all that ran there is provably gone.

        Never a container beside this one, which is another host of the same boot, nor where there is no machine id.
        """
        return other.machine == self.machine and other.name == self.name and other.boot != self.boot

    def is_or_was(self, other: HostDoc) -> bool:
        """Whether `other` is this host, or was this machine before its last boot."""
        return other.id == self.id or self.was(other)

    def to_doc(self) -> HostDoc:
        """Give what is stored of it."""
        return HostDoc(id=self.id, machine=self.machine, boot=self.boot, name=self.name)


def _machine_id(files: tuple[Path, ...]) -> str | None:
    for file in files:
        try:
            found = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if found and found != "uninitialized":  # systemd's word while an image boots for the first time
            return found
    return None


def _inode(namespace: Path) -> int:
    """Read the number of a namespace from its link, `pid:[4026531836]`, which needs no right to follow it."""
    return int(os.readlink(namespace).partition("[")[2].rstrip("]"))


def _digest(text: str) -> str:
    return hmac.new(b"enterprise-gateway host", text.encode(), hashlib.sha256).hexdigest()[:32]
