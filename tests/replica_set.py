"""Real servers for tests: one alone, or sets of one member or of three. They die with the process that started them."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pymongo
from pymongo.errors import AutoReconnect, OperationFailure

from persistence.mongod import REPLICA_SET, server_command
from tests.cluster.processes import free_port
from tests.cluster.waiting import eventually_now

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_NOT_INITIATED = 94
PRIMARY, SECONDARY = 1, 2


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Mongod:
    """One mongod on a loopback port, with failpoints, and a TTL monitor that runs each second.

    Args:
        binary: The mongod.
        folder: Where its data and log go; made if it does not exist.
    """

    def __init__(self, binary: Path, folder: Path) -> None:
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self._log = folder / "mongod.log"
        data = folder / "db"
        data.mkdir(parents=True, exist_ok=True)
        parameters = {
            "enableTestCommands": True,
            "ttlMonitorSleepSecs": 1,
            "shutdownTimeoutMillisForSignaledShutdown": 0,
        }
        self._command = server_command(
            binary, data=data, listen="127.0.0.1", port=self.port, log=self._log, parameters=parameters
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
        """Start it and return once it listens. What it held before is there."""
        assert self._process is None, "it runs already"
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )
        eventually_now(self._listens, "mongod listens")

    def client(self) -> pymongo.MongoClient[dict[str, Any]]:
        """A blocking client of this server alone, whatever state it is in. Close it."""
        return pymongo.MongoClient(f"mongodb://{self.host}/?directConnection=true")

    def kill(self) -> None:
        """SIGKILL: a crash. Harmless if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM, and wait until it has ended in order."""
        assert self._process is not None
        self._process.terminate()
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

    @property
    def is_primary(self) -> bool:
        """Does it take writes, as far as it knows?"""
        with self.client() as client:
            return bool(client.admin.command("hello")["isWritablePrimary"])

    def step_down(self) -> None:
        """Have it hand over to another member, which has caught up soon."""
        with self.client() as client:
            client.admin.command({"replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5})

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


class Standalone(Mongod):
    """A server that is no member of a set: it has no change streams."""

    def __init__(self, binary: Path, folder: Path) -> None:
        super().__init__(binary, folder)
        at = self._command.index("--replSet")
        del self._command[at : at + 2]
        self.uri = f"mongodb://{self.host}/"


class ReplicaSet(Mongod):
    """A set of one member."""

    def __init__(self, binary: Path, folder: Path) -> None:
        super().__init__(binary, folder)
        self.uri = f"mongodb://{self.host}/?replicaSet={REPLICA_SET}"

    def start(self) -> None:
        """Start it and return once it takes writes. What it held before is there."""
        super().start()
        _initiate(self)
        eventually_now(lambda: self.is_primary, "mongod is primary")


class ThreeMembers:
    """A set of three members that elect a primary within a second or two.

    Args:
        binary: The mongod.
        folder: Where their data and logs go.
    """

    def __init__(self, binary: Path, folder: Path) -> None:
        self.members = [Mongod(binary, folder / str(number)) for number in range(3)]
        hosts = ",".join(member.host for member in self.members)
        self.uri = f"mongodb://{hosts}/?replicaSet={REPLICA_SET}"

    def __enter__(self) -> Self:
        try:
            for member in self.members:
                member.start()
            _initiate(*self.members)
            self.wait_until_whole()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()

    def primary(self) -> Mongod:
        """The member that takes writes; waits for one."""
        return eventually_now(self._primary, "a member is primary")

    def step_down(self) -> None:
        """Have the primary hand over to another."""
        self.primary().step_down()

    def wait_until_whole(self) -> None:
        """Return when one member is primary and the two others follow it."""
        eventually_now(lambda: self._states() == [PRIMARY, SECONDARY, SECONDARY], "all members are at work")

    def _states(self) -> list[int]:
        with self.primary().client() as client:
            status = client.admin.command("replSetGetStatus")
        return sorted(member["state"] for member in status["members"])

    def _primary(self) -> Mongod | None:
        with pymongo.MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=1_000) as client:
            try:
                address = client.admin.command("hello")["me"]
            except AutoReconnect:
                return None
        return next(member for member in self.members if member.host == address)

    def _kill(self) -> None:
        for member in self.members:
            member.kill()


def _initiate(*members: Mongod) -> None:
    with members[0].client() as client:
        try:
            client.admin.command("replSetGetConfig")
        except OperationFailure as failure:
            if failure.code != _NOT_INITIATED:
                raise
            config = {
                "_id": REPLICA_SET,
                "members": [{"_id": number, "host": member.host} for number, member in enumerate(members)],
                "settings": {"electionTimeoutMillis": 1_000, "heartbeatIntervalMillis": 200},
            }
            client.admin.command({"replSetInitiate": config})
