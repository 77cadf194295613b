"""One replica's part in a private mongod: it uses it, may be its supervisor, and may be the last to leave."""

from __future__ import annotations

import asyncio
from logging import Logger, LoggerAdapter
from pathlib import Path
from typing import Any

from persistence import clock, disk
from persistence.embedded.errors import MongodFailed
from persistence.embedded.layout import Layout, uri_of
from persistence.embedded.locks import FileLock
from persistence.embedded.off_loop import OffLoop
from persistence.embedded.process import DetachedProcess
from persistence.embedded.server import START_SECONDS, Server
from persistence.errors import ConfigurationError, PersistenceError

_JOIN_PAUSE_SECONDS = 0.05
_SUCCESSION_PAUSE_SECONDS = 0.5
_ELSEWHERE_SECONDS = 10.0  # a supervisor writes where it is within one
_STABLE_SECONDS = 60.0
_ROOM_PAUSE_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0


class EmbeddedMongod:
    """A private mongod, shared by all replicas of this user that name the same data directory.

    Args:
        data_dir: Its data directory; made if it does not exist.
        runtime_dir: Where its socket goes, a short path on this host; None: in /tmp. While a mongod runs its socket
            stays where it is, whatever a later replica is told.
        log: Told what happens to it.
        binary: The mongod to start; None: the one on PATH, or of the extra `[embedded]`.
    """

    def __init__(
        self,
        data_dir: Path,
        runtime_dir: Path | None,
        log: Logger | LoggerAdapter[Any],
        *,
        binary: Path | None = None,
    ) -> None:
        self._layout = Layout.of(data_dir, runtime_dir)
        self._log = log
        self._off_loop = OffLoop("embedded-mongod")
        self._server = Server(self._layout, binary=binary, off_loop=self._off_loop, log=log)
        self._users = FileLock(self._layout.users_lock)
        self._supervisor = FileLock(self._layout.supervisor_lock)
        self._joined = False
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Have mongod running, and return the URI for clients. It stays right until `close`, over restarts too.

        Raises:
            ConfigurationError: It can't work with these directories, on this machine, or without another mongod.
            MongodFailed: mongod did not start; says why.
        """
        try:
            socket, process = await self._start()
        except OSError as error:
            await self._leave()
            raise MongodFailed(f"the data directory {self._layout.data_dir} can't be used: {error}") from error
        except BaseException:
            await self._leave()
            raise
        self._task = asyncio.get_running_loop().create_task(self._stand_by(process, socket), name="embedded mongod")
        self._task.add_done_callback(self._ended)
        return uri_of(socket)

    async def close(self) -> None:
        """Leave it to the others; whoever is the last stops it. Call it after the last use. Harmless twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        if not self._closed:
            self._closed = True
            await self._leave()
            self._off_loop.close()

    async def _start(self) -> tuple[Path, DetachedProcess | None]:
        await self._off_loop(self._layout.prepare)
        deadline = clock.Deadline(START_SECONDS)
        alone = await self._join(deadline)
        while not await self._off_loop(self._supervisor.try_exclusive):
            alone = False
            state = await self._server.running()
            if state is not None:
                return Path(state.socket), None
            await self._check_patience(deadline)
            await clock.sleep(_JOIN_PAUSE_SECONDS)
        process, socket = await self._server.ensure(alone=alone)
        return socket, process

    async def _join(self, deadline: clock.Deadline) -> bool:
        """Become a user, and say whether there was no other. Waits while the last one before stops mongod."""
        self._joined = True
        alone = await self._off_loop(self._users.try_exclusive)
        while not await self._off_loop(self._users.try_shared):
            if deadline.passed:
                raise MongodFailed(f"the replica that stops mongod in {self._layout.data_dir} does not come to an end")
            await clock.sleep(_JOIN_PAUSE_SECONDS)
        return alone

    async def _check_patience(self, deadline: clock.Deadline) -> None:
        data_dir = self._layout.data_dir
        if deadline.seconds - deadline.remaining_seconds > _ELSEWHERE_SECONDS and await self._server.elsewhere():
            raise ConfigurationError(
                f"{data_dir} is in use by a gateway on another host or in another container: replicas that do not run "
                "side by side need one MongoDB that all of them reach, set mongodb_uri (EG_MONGODB_URI) to it"
            )
        if deadline.passed:
            raise MongodFailed(
                f"the replica that supervises mongod in {data_dir} did not get it to run within {START_SECONDS:g} s: "
                f"see that replica's log, and {self._layout.log}"
            )

    async def _stand_by(self, process: DetachedProcess | None, socket: Path) -> None:
        """Wait to become the supervisor, then be it to the end."""
        if process is None:
            while not await self._off_loop(self._supervisor.try_exclusive):
                await clock.sleep(_SUCCESSION_PAUSE_SECONDS)
            self._log.info("The supervisor of mongod has gone: this replica is the supervisor now")
        await self._supervise(process, socket)

    async def _supervise(self, process: DetachedProcess | None, socket: Path) -> None:
        failures = 0
        while True:
            began = clock.monotonic()
            try:
                if process is None:
                    await self._wait_for_room()
                    process, socket = await self._server.ensure(alone=False)
                account = await self._server.watch(process, socket)
                self._log.error("%s. Starting it again", account)
            except (PersistenceError, OSError) as error:
                self._log.error("mongod can't be kept running: %s", error)
            if process is not None:
                process.close()
                process = None
            failures = 0 if clock.monotonic() - began > _STABLE_SECONDS else failures + 1
            await clock.sleep(_pause_seconds(failures))

    async def _wait_for_room(self) -> None:
        """On a full disk mongod would end at once, and the pauses between its starts would grow."""
        if await self._disk_is_short():
            self._log.error("The disk of %s is full: mongod is started when there is room", self._layout.data_dir)
        while await self._disk_is_short():
            await clock.sleep(_ROOM_PAUSE_SECONDS)

    async def _disk_is_short(self) -> bool:
        return await self._off_loop(disk.is_short, self._layout.data_dir)

    async def _leave(self) -> None:
        """Give up both locks; stop mongod if nobody else holds the one of its users."""
        # This one first: else the last to leave could find it still held by one that is leaving too, and stop nothing.
        await self._off_loop(self._supervisor.release)
        if self._joined:
            self._joined = False
            # Both: a replica that begins now waits for the first, and whoever holds the second holds the first too.
            last = await self._off_loop(self._users.try_exclusive)
            if last and await self._off_loop(self._supervisor.try_exclusive):
                await self._stop()
        await self._off_loop(self._supervisor.release)
        await self._off_loop(self._users.release)

    async def _stop(self) -> None:
        try:
            await self._server.stop()
        except (PersistenceError, OSError) as error:
            self._log.error("mongod was not stopped: %s", error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("Nobody supervises mongod here any more, by a fault", exc_info=error)
            self._supervisor.release()  # another replica may do better


def _pause_seconds(failures: int) -> float:
    """The first death is followed by a start at once; each one soon after it doubles the wait."""
    if failures <= 1:
        return 0.0
    doublings = min(failures - 2, 10)  # far above the longest, far below what a float can't hold
    return min(_FIRST_PAUSE_SECONDS * 2.0**doublings, _LONGEST_PAUSE_SECONDS)
