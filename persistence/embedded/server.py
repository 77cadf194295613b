"""The mongod of one data directory, as its supervisor sees it: adopted or started, set up, watched, ended.

Everything here is done under the supervisor's lock, or by the last to leave.
"""

from __future__ import annotations

import socket as sockets
import struct
from dataclasses import replace
from logging import Logger, LoggerAdapter
from pathlib import Path
from signal import SIGKILL, SIGTERM, SIGUSR1
from typing import Any

from persistence import clock
from persistence.embedded import log as mongod_log
from persistence.embedded.errors import MongodFailed
from persistence.embedded.layout import Layout, server_uri
from persistence.embedded.off_loop import OffLoop
from persistence.embedded.process import DetachedProcess, ProcessId, find_process, start_detached
from persistence.embedded.replica_set import SetUp
from persistence.embedded.state import ServerState, read_state, this_place, write_state
from persistence.errors import PersistenceError
from persistence.mongod import ENVIRONMENT, check_mongod, find_mongod, server_command

START_SECONDS = 60.0
"""How long mongod may take until it takes writes. It takes one second; after a crash it has its journal to read."""

_STOP_SECONDS = 30.0
_KILL_SECONDS = 10.0
_LOOK_SECONDS = 0.01
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid of whoever listens
_CHECK_SECONDS = 10.0


class Server:
    """See the module.

    Args:
        layout: Where everything is.
        binary: The mongod to start; None: the one that is found.
        off_loop: Where blocking calls run.
        log: Told what was started, adopted and ended.
    """

    def __init__(
        self, layout: Layout, *, binary: Path | None, off_loop: OffLoop, log: Logger | LoggerAdapter[Any]
    ) -> None:
        self._layout = layout
        self._binary = binary
        self._off_loop = off_loop
        self._log = log
        self._log_offset = 0

    async def running(self) -> ServerState | None:
        """Give what the state file says of a mongod that is alive and set up; None if there is none."""
        state = await self._off_loop(self._own_state)
        return state if state is not None and state.ready and await self._off_loop(_lives, state.process) else None

    async def elsewhere(self) -> bool:
        """Say whether the state file was last written by another run of the machine, another one, or a container."""
        state = await self._off_loop(read_state, self._layout.state)
        return state is not None and state.place != this_place()

    async def ensure(self, *, alone: bool) -> tuple[DetachedProcess, Path]:
        """Adopt the mongod that runs, or start one, and return it with its socket when clients may connect.

        Args:
            alone: Whether no other replica may be connected. Those that are hold on to the socket that they know.

        Raises:
            ConfigurationError: No mongod can be run here, or its directories can't be used.
            MongodFailed: It did not start, or runs and does not answer.
        """
        state = await self._off_loop(self._own_state)
        process = await self._adopt(state) if state is not None else None
        stays = state is not None and (process is not None or not alone)
        socket = Path(state.socket) if state is not None and stays else self._layout.socket
        if process is None:
            return await self._start(socket), socket
        self._log_offset = await self._off_loop(mongod_log.size_of, self._layout.log)
        try:
            await self._set_up(process, socket)
        except BaseException:
            process.close()
            raise
        self._log.info("Adopted mongod (process %s) on %s", process.pid, socket)
        return process, socket

    async def watch(self, process: DetachedProcess, socket: Path) -> str:
        """Return when mongod is dead, and say how it died. Meanwhile keeps its log short.

        One whose socket was taken away can't be reached by anybody any more: it is ended.
        """
        while not await process.wait_ended(_CHECK_SECONDS):
            if await self._off_loop(mongod_log.put_aside_if_large, self._layout.log):
                process.signal(SIGUSR1)
            if not await self._off_loop(socket.exists):
                self._log.error("The socket %s of mongod (process %s) was removed: ending it", socket, process.pid)
                await self.end(process)
        return await self._account(process)

    async def stop(self) -> None:
        """End the mongod that runs, whoever started it. Harmless if there is none."""
        state = await self._off_loop(self._own_state)
        process = await self._off_loop(find_process, state.process) if state is not None else None
        if process is None:
            return
        await self.end(process)
        process.close()
        self._log.info("Stopped mongod (process %s)", process.pid)

    async def end(self, process: DetachedProcess) -> None:
        """End a mongod and see it dead: SIGTERM, and SIGKILL for one that does not go, which loses no write."""
        process.signal(SIGTERM)
        if await process.wait_ended(_STOP_SECONDS):
            return
        self._log.warning("mongod (process %s) did not end within %s s: killing it", process.pid, _STOP_SECONDS)
        process.signal(SIGKILL)
        if not await process.wait_ended(_KILL_SECONDS):
            raise MongodFailed(f"mongod (process {process.pid}) can't be killed: it hangs in the operating system")

    def _own_state(self) -> ServerState | None:
        state = read_state(self._layout.state)
        return state if state is not None and state.belongs_to(self._layout.data_dir) else None

    async def _adopt(self, state: ServerState) -> DetachedProcess | None:
        process = await self._off_loop(find_process, state.process)
        if process is None or not state.ready or await self._off_loop(Path(state.socket).exists):
            return process
        await self.end(process)
        process.close()
        return None

    async def _start(self, socket: Path) -> DetachedProcess:
        binary: Path = await self._off_loop(find_mongod) if self._binary is None else self._binary
        version = await self._off_loop(check_mongod, binary)
        process = await self._off_loop(self._spawn, binary, version, socket)
        self._log.info("Started mongod %s (process %s) on %s", version, process.pid, socket)
        try:
            await self._set_up(process, socket, version=version)
        except PersistenceError:
            await self.end(process)
            raise
        return process

    def _spawn(self, binary: Path, version: str, socket: Path) -> DetachedProcess:
        layout = self._layout
        layout.prepare_socket(socket)
        mongod_log.put_aside_if_large(layout.log)
        self._log_offset = mongod_log.size_of(layout.log)
        before = read_state(layout.state)

        def record(identity: ProcessId) -> None:
            state = ServerState(
                data_dir=str(layout.data_dir),
                place=this_place(),
                socket=str(socket),
                pid=identity.pid,
                start_ticks=identity.start_ticks,
                # Until this one has read the data, they are those of the version before.
                version=version if before is None else before.version,
                ready=False,
            )
            write_state(layout.state, state)

        command = server_command(binary, data=layout.database, listen=str(socket), log=layout.log, parameters={})
        return start_detached(command, environment=ENVIRONMENT, output=layout.output, record=record)

    async def _set_up(self, process: DetachedProcess, socket: Path, *, version: str | None = None) -> None:
        """Wait until it takes writes under its socket's name, then let clients come."""
        deadline = clock.Deadline(START_SECONDS)
        set_up = SetUp(server_uri(socket), str(socket))
        while not (_listens(process.pid, socket) and await set_up.step()):
            if process.ended:
                raise MongodFailed(await self._account(process))
            if deadline.passed:
                raise MongodFailed(
                    f"mongod (process {process.pid}) runs but takes no writes after {START_SECONDS:g} s "
                    f"({set_up.trouble or 'it does not listen'}): see its log {self._layout.log}"
                )
            await clock.sleep(_LOOK_SECONDS)
        await self._off_loop(self._open_for_clients, version)

    def _open_for_clients(self, version: str | None) -> None:
        state = read_state(self._layout.state)
        if state is not None:
            write_state(self._layout.state, replace(state, version=version or state.version, ready=True))

    async def _account(self, process: DetachedProcess) -> str:
        """Say how a dead one died."""
        await process.wait_ended(_KILL_SECONDS)
        return await self._off_loop(self._read_account, process)

    def _read_account(self, process: DetachedProcess) -> str:
        layout = self._layout
        text = mongod_log.read_from(layout.log, self._log_offset)
        text += mongod_log.read_from(layout.output, 0)
        state = read_state(layout.state)
        version = f", data last used by version {state.version}" if state is not None else ""
        code = "an unknown code" if process.exit_code is None else str(process.exit_code)
        return (
            f"mongod (process {process.pid}{version}) ended with {code}: "
            f"{mongod_log.reason(text, process.exit_code)}. "
            f"Its log {layout.log} ends with: {mongod_log.last_lines(text) or 'nothing'}"
        )


def _lives(identity: ProcessId) -> bool:
    process = find_process(identity)
    if process is None:
        return False
    process.close()
    return True


def _listens(pid: int, socket: Path) -> bool:
    """Say whether this process, and not another that has the same data open, accepts connections there. Never waits."""
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.setblocking(False)
        if probe.connect_ex(str(socket)) != 0:
            return False
        credentials = probe.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, _CREDENTIALS.size)
        return bool(_CREDENTIALS.unpack(credentials)[0] == pid)
