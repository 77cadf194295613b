"""Gateways forked from a process that has imported them already, for imports are most of what a start costs.

Nothing of a gateway has run in that process: it has no thread, no event loop, no client of a database. What is forked
has the environment, the folder and the log that it is given, a session of its own, and begins as the command does.

    python -m tests.cluster.preloaded FILE_DESCRIPTOR
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from enterprise_gateway.app import main as run_gateway

ROOT = Path(__file__).parents[2]
MOST_BYTES = 1_000_000
UNIX = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "JUPYTER_PLATFORM_DIRS": "1"}
"""What is read while modules are imported."""


class Preloaded:
    """The process that forks gateways. It ends with the one that has made it."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._turn = threading.Lock()
        with theirs:
            command = [sys.executable, "-m", "tests.cluster.preloaded", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                env=UNIX,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def close(self) -> None:
        """End it."""
        self._requests.close()
        self._process.wait()

    def start(self, env: Mapping[str, str], folder: Path, log: Path) -> Forked:
        """Start a gateway."""
        return Forked(self, self.ask("start", env=dict(env), folder=str(folder), log=str(log)))

    def ask(self, what: str, **details: Any) -> Any:
        """Ask for a start, which is answered by a pid, or for the exit code of a pid, None while it runs."""
        with self._turn:
            self._requests.sendall(json.dumps({"what": what, **details}).encode())
            return json.loads(self._requests.recv(MOST_BYTES))


@cache
def preloaded() -> Preloaded:
    """The one of this process."""
    made = Preloaded()
    atexit.register(made.close)
    return made


class Forked:
    """A forked gateway, as `subprocess.Popen` shows a process. Its pid is its own until its end was seen."""

    def __init__(self, parent: Preloaded, pid: int) -> None:
        self.pid = pid
        self._parent = parent
        self._seen = threading.Lock()
        self._code: int | None = None

    def poll(self) -> int | None:
        with self._seen:
            if self._code is None:
                self._code = self._parent.ask("poll", pid=self.pid)
            return self._code

    def wait(self, timeout: float | None = None) -> int:
        if self.poll() is None:
            self._await_end(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("gateway", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _await_end(self, timeout: float | None) -> None:
        process = os.pidfd_open(self.pid)
        try:
            select.select([process], [], [], timeout)
        finally:
            os.close(process)


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Answer requests; returns in each gateway that is forked with what it was asked for, and at the end with None."""
    while request := requests.recv(MOST_BYTES):
        asked: dict[str, Any] = json.loads(request)
        if asked["what"] == "poll":
            pid, status = os.waitpid(asked["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                return asked
        requests.sendall(json.dumps(answer).encode())
    return None


def become(asked: Mapping[str, Any]) -> None:
    """Give this process what it was asked for."""
    os.setsid()
    os.chdir(asked["folder"])
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for standard in (1, 2):
        os.dup2(log, standard)
    os.close(log)
    os.environ.clear()
    os.environ.update(asked["env"])


def main(descriptor: int) -> None:
    """Serve, and go on as a gateway where one is forked."""
    with socket.socket(fileno=descriptor) as requests:
        asked = serve(requests)
    if asked is not None:
        become(asked)
        run_gateway([])


if __name__ == "__main__":
    main(int(sys.argv[1]))
