"""A TCP proxy in front of a mongod, under a test's control: what a network can do to a client and its database.

It reads the messages that pass, so that a test can name the one at which the trouble begins: a write whose request is
never delivered, or one that is made and whose answer is lost. It runs in a thread of its own, and its calls block.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Self, TypeVar

import bson

from persistence import clock
from tests.cluster.processes import free_port

T = TypeVar("T")

Command = Mapping[str, Any]
Wanted = Callable[[Command], bool]

_HEADER = struct.Struct("<iiii")  # length, id, id of what it answers, kind
_OP_MSG = 2013
_LENGTH = struct.Struct("<i")


class Fate(Enum):
    """What becomes of a command at which a trap springs."""

    LOST = "lost"
    """The server never gets it."""
    LATE = "late"
    """The server gets it when messages pass again, and nobody waits for it any more."""
    MADE = "made"
    """The server does it, and its answer is lost."""


@dataclass
class Trap:
    """Waits for a command, and begins the trouble there.

    Attributes:
        wanted: Which command.
        fate: What becomes of it.
        times: How many of them are yet to be caught.
        silence: Nothing passes from then on, on any connection. Else only the command's own connection is closed.
        sprung: Set when the last one was caught.
        given_up: Set when its client has closed the connection, for it has waited long enough.
    """

    wanted: Wanted
    fate: Fate
    times: int = 1
    silence: bool = True
    sprung: threading.Event = field(default_factory=threading.Event)
    given_up: threading.Event = field(default_factory=threading.Event)


class MongoProxy:
    """Listens on a port of its own, and passes on to one server's.

    Args:
        port: Of the server, on the loopback interface.

    Attributes:
        uri: For clients, which stay on this one address whatever the server says of others.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._port = free_port()
        self.uri = f"mongodb://127.0.0.1:{self._port}/?directConnection=true"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="mongo proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._passes = asyncio.Event()
        self._delay_seconds = 0.0
        self._trap: Trap | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.pass_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def pass_on(self) -> None:
        """End all trouble. What was held up while nothing passed is delivered now, late."""
        self._call(self._pass_on())

    def cut(self) -> None:
        """Close every connection. New ones pass."""
        self._call(self._cut())

    def lead_to(self, port: int) -> None:
        """Pass on to another server from now on. Connections to the former one are closed."""
        if port != self._target:
            self._target = port
            self._call(self._cut())

    def refuse(self) -> None:
        """Close every connection and take no new one, as where nobody listens."""
        self._call(self._refuse())

    def swallow(self) -> None:
        """Deliver nothing, in either direction: connections stay open, new ones are taken, nobody is answered."""
        self._call(self._swallow())

    def delay(self, seconds: float) -> None:
        """Deliver each message of the server so much later."""
        self._delay_seconds = seconds

    def swallow_at(self, wanted: Wanted, fate: Fate) -> Trap:
        """Begin to swallow at the next command that is wanted."""
        return self._set(Trap(wanted, fate))

    def lose_answers(self, wanted: Wanted, *, times: int) -> Trap:
        """Let the server do what is wanted, and close the connection in place of the answer; so many times."""
        return self._set(Trap(wanted, Fate.MADE, times=times, silence=False))

    def _set(self, trap: Trap) -> Trap:
        self._trap = trap
        return trap

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _pass_on(self) -> None:
        self._delay_seconds, self._trap = 0.0, None
        self._passes.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        tasks = list(self._connections)
        for task, writer in self._connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _swallow(self) -> None:
        self._passes.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            del self._connections[task]
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", self._target)
        connection = _Connection(self, reader)
        pumps = [
            asyncio.ensure_future(connection.pump(reader, requests, connection.request)),
            asyncio.ensure_future(connection.pump(answers, writer, connection.answer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # What a client sent before it went arrives all the same.
            requests.close()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    # For the connections

    async def passes(self) -> None:
        """Wait until messages pass."""
        await self._passes.wait()

    async def delays(self) -> None:
        """Wait as long as an answer is to wait."""
        if self._delay_seconds:
            await clock.sleep(self._delay_seconds)

    def caught(self, command: Command) -> Trap | None:
        """Return the trap that waits for this command."""
        trap = self._trap
        if trap is None or trap.times == 0 or not trap.wanted(command):
            return None
        trap.times -= 1
        return trap

    def spring(self, trap: Trap) -> None:
        """A command has met its fate, as far as it does now."""
        if trap.silence:
            self._passes.clear()
        if trap.times == 0:
            trap.sprung.set()


class _Connection:
    """The two ways of one connection."""

    def __init__(self, proxy: MongoProxy, client: asyncio.StreamReader) -> None:
        self._proxy = proxy
        self._client = client
        self._caught: dict[int, Trap] = {}

    async def pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        look: Callable[[bytes], Coroutine[Any, Any, None]],
    ) -> None:
        """Pass on message by message, as `look` lets them."""
        while True:
            header = await source.readexactly(_HEADER.size)
            message = header + await source.readexactly(_HEADER.unpack(header)[0] - _HEADER.size)
            await look(message)
            await self._proxy.passes()
            target.write(message)
            await target.drain()

    async def request(self, message: bytes) -> None:
        """Look at what a client wants."""
        trap = self._proxy.caught(command_of(message))
        if trap is None:
            return
        if trap.fate is Fate.MADE:
            self._caught[_HEADER.unpack_from(message)[1]] = trap
            return
        await self._spring(trap)
        if trap.fate is Fate.LOST:
            raise ConnectionAbortedError

    async def answer(self, message: bytes) -> None:
        """Look at what the server answers."""
        await self._proxy.delays()
        trap = self._caught.pop(_HEADER.unpack_from(message)[2], None)
        if trap is not None:
            await self._spring(trap)
            raise ConnectionAbortedError

    async def _spring(self, trap: Trap) -> None:
        self._proxy.spring(trap)
        if not trap.silence:
            return
        try:
            while not self._client.at_eof():  # it sends nothing more: it waits
                await clock.sleep(0.01)
        finally:
            trap.given_up.set()
        await self._proxy.passes()


def command_of(message: bytes) -> Command:
    """Read the command of a request; empty where it is written in another way than PyMongo's."""
    if _HEADER.unpack_from(message)[3] != _OP_MSG or message[_HEADER.size + 4] != 0:
        return {}
    start = _HEADER.size + 5
    (length,) = _LENGTH.unpack_from(message, start)
    return bson.decode(message[start : start + length])
