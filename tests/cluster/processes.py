"""Real server processes of a test: started on a picked port, logged to a file, ended with the test.

A process is known by its `Popen`, never by its name, so that a test run can't touch anybody else's processes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Protocol, Self

from tests.cluster.waiting import PATIENCE_SECONDS, eventually_now

# Below the range the kernel gives to outgoing connections (32768 on Linux): between our look and the server's bind
# nobody else takes the port by chance. Each worker of pytest-xdist has a range of its own, begun at random.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_FIRST = 20_000 + 3_000 * _WORKER + os.getpid() % 100 * 10
_PORTS = iter(range(_FIRST, 20_000 + 3_000 * (_WORKER + 1)))
_CLAIMS: list[socket.socket] = []


def free_port() -> int:
    """Pick a loopback port that nobody listens on, and no other run of these tests has picked."""
    for port in _PORTS:
        if _claimed(port) and _free(port):
            return port
    raise AssertionError("no free port below 32000")


def _claimed(port: int) -> bool:
    """Claim a port by an abstract socket, which ends with this process. Two runs could else pick one at once."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0port-of-a-test-{port}")
    except OSError:
        claim.close()
        return False
    _CLAIMS.append(claim)
    return True


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Process(Protocol):
    """What is used of a `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None:
        """The exit code, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, number: int, /) -> None:
        """Send a signal, if it runs."""

    def kill(self) -> None:
        """SIGKILL, if it runs."""


class ServerProcess:
    """One server: its process, its URL, its log.

    Args:
        name: What the log file and the failures call it.
        command: Its command line.
        env: Its whole environment; nothing of the test's own is added.
        port: Where it is told to listen on 127.0.0.1.
        folder: Working directory; the log is written beside it.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], port: int, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._made_with = (name, command, env, port, folder)
        self.url = f"http://127.0.0.1:{port}"
        self.log_path = folder / f"{name}.log"
        self._told_to_stop = False
        self._process = self._started(command, dict(env))

    def _started(self, command: Sequence[str], env: dict[str, str]) -> Process:
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                command,
                env=env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def anew(self) -> Self:
        """Start the same once more; its log goes on."""
        return type(self)(*self._made_with)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def stopped(self) -> bool:
        """Whether it is paused by a signal."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    @property
    def log(self) -> str:
        """Everything it has printed so far."""
        return self.log_path.read_text(errors="replace")

    def wait_until_ready(self, path: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Return once GET `path` answers 200; fail with the log's end if the process ends first."""
        try:
            eventually_now(lambda: self._answers(path), f"{self.name} is ready", seconds=seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.log[-4000:]}") from None

    def _answers(self, path: str) -> bool:
        code = self._process.poll()
        assert code is None, f"{self.name} ended with {code}"
        # Not by httpx: a client that is made for each look costs more than the look.
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def signal(self, number: signal.Signals) -> None:
        self._told_to_stop = self._told_to_stop or number == signal.SIGTERM
        self._process.send_signal(number)

    def stop(self, *, seconds: float = PATIENCE_SECONDS) -> int:
        """SIGTERM, unless it was sent before, then wait; SIGKILL for one that does not go. Returns the exit code."""
        if self.running and not self._told_to_stop:
            self.signal(signal.SIGTERM)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"{self.name} ignored SIGTERM for {seconds:g} s:\n{self.log[-4000:]}") from None

    def kill(self) -> None:
        """SIGKILL: what a crash is."""
        self._process.kill()
        self._process.wait()
