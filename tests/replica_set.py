"""A real one-node replica set for tests. It dies with the process that started it, however that ends."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pymongo
from pymongo.errors import OperationFailure

from persistence.mongod import REPLICA_SET, server_command
from tests.cluster.processes import free_port
from tests.cluster.waiting import eventually_now

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_NOT_INITIATED = 94


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ReplicaSet:
    """One mongod on a loopback port, with failpoints, and a TTL monitor that runs each second.

    Args:
        binary: The mongod.
        folder: Where its data and log go; made if it does not exist.
    """

    def __init__(self, binary: Path, folder: Path) -> None:
        self.port = free_port()
        self.uri = f"mongodb://127.0.0.1:{self.port}/?replicaSet={REPLICA_SET}"
        self._log = folder / "mongod.log"
        self._data = folder / "db"
        self._data.mkdir(parents=True, exist_ok=True)
        parameters = {
            "enableTestCommands": True,
            "ttlMonitorSleepSecs": 1,
            "shutdownTimeoutMillisForSignaledShutdown": 0,
        }
        self._command = server_command(
            binary, data=self._data, listen="127.0.0.1", port=self.port, log=self._log, parameters=parameters
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()  # its folder is the test's: nothing is worth a clean end

    def start(self) -> None:
        """Start it and return once it takes writes. What it held before is there."""
        assert self._process is None, "it runs already"
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )
        eventually_now(self._listens, "mongod listens")
        with self.client() as client:
            self._initiate(client)
            eventually_now(lambda: client.admin.command("hello")["isWritablePrimary"], "mongod is primary")

    def client(self) -> pymongo.MongoClient[dict[str, Any]]:
        """A blocking client of this server alone, whatever state it is in. Close it."""
        return pymongo.MongoClient(f"mongodb://127.0.0.1:{self.port}/?directConnection=true")

    def kill(self) -> None:
        """SIGKILL: a crash. Harmless if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered, as with a network that swallows everything."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def fail(self, commands: list[str], *, times: int | None = 1, **data: Any) -> None:
        """Make the server fail, or delay (`blockConnection=True, blockTimeMS=…`), the next calls of these commands."""
        mode = "alwaysOn" if times is None else {"times": times}
        with self.client() as client:
            client.admin.command(
                {"configureFailPoint": "failCommand", "mode": mode, "data": {"failCommands": commands, **data}}
            )

    def stop_failing(self) -> None:
        """End what `fail` began."""
        with self.client() as client:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"mongod ended:\n{self._log.read_text(errors='replace')[-2000:]}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _initiate(self, client: pymongo.MongoClient[dict[str, Any]]) -> None:
        try:
            client.admin.command("replSetGetConfig")
        except OperationFailure as failure:
            if failure.code != _NOT_INITIATED:
                raise
            member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
            client.admin.command({"replSetInitiate": {"_id": REPLICA_SET, "members": [member]}})
