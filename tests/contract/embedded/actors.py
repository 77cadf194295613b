"""Who acts in these tests: data directories, replicas in processes of their own, clients."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import pymongo

from persistence.embedded import EmbeddedMongod
from persistence.embedded.process import ProcessId, find_process
from persistence.embedded.state import ServerState, read_state
from tests.cluster.waiting import eventually_now

LOG = logging.getLogger("embedded")

Client = pymongo.AsyncMongoClient[dict[str, Any]]


class Folders:
    """A data directory, and a runtime directory whose path is short."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.runtime = root / "run"

    @property
    def state(self) -> ServerState:
        state = read_state(self.data / "mongod.json")
        assert state is not None
        return state

    @property
    def process(self) -> ProcessId:
        return self.state.process

    @property
    def socket(self) -> Path:
        return Path(self.state.socket)

    def replaced(self, former: ProcessId) -> bool:
        """Another mongod than `former` runs and takes clients."""
        return self.state.ready and self.process != former

    def embedded(self, *, binary: Path | None = None) -> EmbeddedMongod:
        return EmbeddedMongod(self.data, self.runtime, LOG, binary=binary)


class Replica:
    """`embedded_replica.py` at work."""

    def __init__(self, folders: Folders) -> None:
        command = [
            sys.executable,
            "-m",
            "tests.contract.embedded.replica_main",
            str(folders.data),
            str(folders.runtime),
        ]
        self._log = folders.root / f"replica-{os.urandom(4).hex()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for_uri(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the replica ended:\n{self.log}"
        return str(json.loads(line)["uri"])

    def started(self) -> Self:
        self.wait_for_uri()
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def begin_to_leave(self) -> None:
        self.process.terminate()

    def wait_until_left(self) -> None:
        assert self.process.wait(30) == 0, self.log

    def leave(self) -> None:
        self.begin_to_leave()
        self.wait_until_left()

    def end(self) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


def alive(identity: ProcessId) -> bool:
    process = find_process(identity)
    if process is None:
        return False
    process.close()
    return True


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


def kill_mongod(state_file: Path) -> None:
    state = read_state(state_file)
    process = find_process(state.process) if state is not None else None
    if process is not None:
        process.signal(signal.SIGKILL)
        eventually_now(lambda: process.ended, "mongod is dead")
        process.close()


async def note(uri: str, what: str) -> None:
    async with Client(uri, w="majority", journal=True) as client:
        await client["gateway"]["notes"].insert_one({"_id": what})


async def notes(uri: str) -> list[str]:
    async with Client(uri) as client:
        return [document["_id"] async for document in client["gateway"]["notes"].find().sort("_id")]


async def member_names(uri: str) -> list[str]:
    async with Client(uri) as client:
        config = await client.admin.command("replSetGetConfig")
    return [member["host"] for member in config["config"]["members"]]


def fake_mongod(path: Path, *, log_line: str = "", exit_code: int = 1) -> Path:
    """A mongod that passes the check, writes one line to its log and ends."""
    path.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --version ] && { echo "db version v6.0.5"; exit 0; }\n'
        'while [ "$1" != --logpath ]; do shift; done\n'
        f"echo '{log_line}' >>\"$2\"\nexit {exit_code}\n"
    )
    path.chmod(0o755)
    return path
