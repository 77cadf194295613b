"""Programs and rights that some tests need and that a machine may lack.

A test says what it needs with a marker (`@pytest.mark.nginx`) or by a fixture that calls `require("nginx")`. Where it
is missing the test is skipped, and the run's last lines say plainly what was not tested and why. With
`EG_TEST_REQUIRE=mongod,chromium,nginx` in the environment, those skips are failures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

from persistence.errors import ConfigurationError
from persistence.mongod import check_mongod, find_mongod

# Read once and early: the fixture that cleans each test's environment would take it away.
_DEMANDED = frozenset(filter(None, os.environ.get("EG_TEST_REQUIRE", "").replace(" ", "").split(",")))

_OWN_MOUNTS = (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount"))

_CAP_SYS_PTRACE = 19  # linux/capability.h

_PREFIX = "not tested without "


class Missing(Exception):
    """A program is not on this machine; the message says how to get it."""


def _mongod() -> Path:
    try:
        binary = find_mongod()
        check_mongod(binary)
    except ConfigurationError as error:
        raise Missing(str(error)) from error
    return binary


def _program(names: Iterable[str], package: str) -> Callable[[], Path]:
    def find() -> Path:
        # Debian keeps servers in /usr/sbin, which is not on a plain user's PATH.
        places = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
        for name in names:
            found = shutil.which(name, path=places)
            if found is not None:
                return Path(found)
        raise Missing(f"no {' or '.join(names)} was found: `apt-get install {package}`")

    return find


def _tmpfs() -> Path:
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "test", folder], capture_output=True)
        if mounted.returncode != 0:
            raise Missing("no right to mount a small disk: run the tests as root")
        subprocess.run(["umount", folder], check=True)
    return Path("/dev/shm")


def _cgroup() -> Path:
    """Find where groups of processes are limited in number: version 1 or 2 of Linux's control groups."""
    for root in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")):
        trial = root / f"test-{os.getpid()}"
        try:
            trial.mkdir()
        except OSError:
            continue
        limited = (trial / "pids.max").exists()
        trial.rmdir()
        if limited:
            return root
    raise Missing("no right to make a control group that limits processes: run the tests as root")


def _ptrace() -> Path:
    """See that this user may look into processes which hide themselves, as the gateway does."""
    status = Path("/proc/self/status")
    capabilities = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    if not int(capabilities.split()[1], 16) >> _CAP_SYS_PTRACE & 1:
        raise Missing("no right to count the gateway's open files: run the tests as root")
    return status


def own_mounts() -> tuple[str, ...]:
    """Return a command that gives its child a mount namespace of its own.

    Raises:
        Missing: This user may make none.
    """
    for command in _OWN_MOUNTS:
        if shutil.which(command[0]) and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    raise Missing("no right to make a mount namespace: run the tests as root, not in a plain container")


_FINDERS: dict[str, Callable[[], Path]] = {
    "mongod": _mongod,
    "chromium": _program(("chromium", "chromium-browser", "google-chrome"), "chromium"),
    "nginx": _program(("nginx",), "nginx"),
    "cc": _program(("cc", "gcc", "clang"), "gcc libc6-dev"),
    "tmpfs": _tmpfs,
    "cgroup": _cgroup,
    "ptrace": _ptrace,
    "mounts": lambda: Path(own_mounts()[0]),
}

NAMES = tuple(_FINDERS)


@cache
def _find(name: str) -> Path | Missing:
    try:
        return _FINDERS[name]()
    except Missing as missing:
        return missing


def require(name: str) -> Path:
    """Return where the program is, or skip the test; fail it if `EG_TEST_REQUIRE` names the program."""
    found = _find(name)
    if isinstance(found, Path):
        return found
    if name in _DEMANDED:
        pytest.fail(f"EG_TEST_REQUIRE asks for {name}, but {found}", pytrace=False)
    pytest.skip(f"{_PREFIX}{name}: {found}")


def check_demands() -> None:
    """Refuse an `EG_TEST_REQUIRE` that names something unknown: a typo would turn a failure back into a skip."""
    unknown = sorted(_DEMANDED.difference(NAMES))
    if unknown:
        raise pytest.UsageError(f"EG_TEST_REQUIRE names {', '.join(unknown)}; known are {', '.join(NAMES)}")


def summary(skip_reasons: Iterable[str]) -> list[str]:
    """Say in one line each what was not tested, from the reasons of all skips; empty if nothing was missing.

    It reads reasons and not this module's state: with pytest-xdist the tests ran in other processes.
    """
    counts = Counter(reason[reason.index(_PREFIX) :] for reason in skip_reasons if _PREFIX in reason)
    return [f"{count} {'test' if count == 1 else 'tests'} {reason}" for reason, count in sorted(counts.items())]
