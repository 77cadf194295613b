"""What stepped sessions have around them: a kernel, a client's WebSockets, and DEALERs whose handshake is a step."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from enterprise_gateway.relay.codec import ClientMessage
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.handover import digest
from enterprise_gateway.relay.messages import DELIMITER
from enterprise_gateway.relay.outbox import Outgoing
from enterprise_gateway.relay.session import ClientSession
from enterprise_gateway.relay.sessions import Sessions
from enterprise_gateway.relay.sockets import KernelLink
from persistence import clock

if TYPE_CHECKING:
    from tests.relay.stepped_world import World

KEY = "a-session"
SEEN = "a DEALER is seen by the kernel"
STEPS_A_SECOND = 1_000
TURNS = 15  # of the event loop, until whatever a step has set in motion waits for the next choice
REQUEST = ClientMessage("shell", "cell", "execute_request", [b'{"msg_id": "cell"}', b"{}", b"{}", b"{}"])


@dataclass
class HeardKernel:
    """The kernel as the sessions of one replica see it."""

    world: World
    heard: list[tuple[float, bytes]] = field(default_factory=list)
    generation: int | None = 1
    kernel_session: str = "kernel"

    def client_message(self, message: ClientMessage) -> bool:
        return True

    def read_rest(self) -> None:
        """All has been read."""

    def recent(self) -> list[tuple[float, bytes]]:
        return self.heard

    def session_changed(self) -> None:
        for replica in getattr(self.world, "replicas", ()):
            replica.sessions.forget_ended()


@dataclass
class Replica:
    number: int
    sessions: Sessions
    kernel: HeardKernel
    killed: bool = False
    arriving: list[Outgoing] = field(default_factory=list)

    def hear(self) -> None:
        """The next that the kernel has published arrives."""
        message = self.arriving.pop(0)
        self.kernel.heard.append((clock.monotonic(), digest(message.channel, message.parts)))
        self.sessions.put(message)
        self.sessions.flush()

    @property
    def name(self) -> str:
        return f"R{self.number}"


@dataclass(eq=False)
class Outlet:
    """A WebSocket; the client reads it while it is his."""

    world: World
    session: ClientSession
    given_up: bool = False
    spoken: bool = False
    closed: bool = False
    key: str = KEY
    queue: list[str] = field(default_factory=list)

    async def answers(self, seconds: float) -> bool:
        return self.given_up or self.world.outlet is self

    def speak(self) -> None:
        """The client sends its cell."""
        self.spoken = True
        sessions = cast(Sessions, self.session._siblings)
        sessions.receive(cast(ClientConnection, self), REQUEST)

    def put(self, message: Outgoing) -> None:
        self.queue.append(str(json.loads(bytes(message.parts[3]))["name"]))

    def flush(self) -> None:
        queue, self.queue = self.queue, []
        if self.world.outlet is self:
            self.world.deliver(queue)
        elif self.given_up:
            self.world.lost |= {
                name for name in queue if not self.world.of_cell(name)
            }  # that goes to where it came from
        else:
            self.world.lost |= set(queue)  # the client has gone, and nobody has noticed yet

    def unsent(self) -> list[Outgoing]:
        return []

    def close(self, code: int, reason: str) -> None:
        """Nothing follows."""


class Channels:
    """DEALERs whose handshake is a step."""

    def __init__(self, world: World, *, read: Any, may_connect: Any, **_: Any) -> None:
        self.gave_way = False
        self._world = world
        self._read = read
        self._may_connect = may_connect
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._begun_at = 0
        self._making = self._connecting = False
        self._seen_at: int | None = None
        self._waiting: list[list[bytes]] = []
        self._held = False

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    @property
    def begun_seconds(self) -> float:
        return (self._world.now - self._begun_at) / STEPS_A_SECOND

    def join(self, link: KernelLink, *, resting: bool = False) -> None:
        self._make()

    def renew(self) -> None:
        if not self._making:
            self._settled.clear()
            self._make()

    def hold(self) -> None:
        self._held = True

    def release(self) -> bool:
        self._held = False
        return self._send_waiting()

    def rest(self) -> None:
        self._stop_making()
        if self._world.owner is self:
            self._world.owner = None
        self._seen_at = None

    async def give_way(self) -> None:
        if self._connecting and self._task is not None:
            await asyncio.wait({self._task})
        elif self._making:
            self._stop_making()
            self.gave_way = self._seen_at is None

    def leave(self) -> None:
        self.rest()

    def send(self, name: str, parts: list[bytes]) -> None:
        """The kernel has it at once, if it knows these DEALERs; what goes by others is lost."""
        self._waiting.append(parts)
        self._send_waiting()

    def read_rest(self) -> None:
        """Nothing is ever under way."""

    def take_waiting(self) -> list[list[bytes]]:
        waiting, self._waiting = self._waiting, []
        return waiting

    async def settled(self) -> None:
        await self._settled.wait()

    def receive(self, name: str) -> None:
        """The kernel sends its reply here."""
        parts = [b'{"msg_type": "execute_reply"}', b'{"msg_id": "cell"}', b"{}", json.dumps({"name": name}).encode()]
        self._read("shell", [[DELIMITER, b"", *parts]])

    @property
    def _stands(self) -> bool:
        return self._seen_at is not None and not self._making

    def _make(self) -> None:
        self._making = True
        self._task = asyncio.get_running_loop().create_task(self._connect())

    def _stop_making(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._making = self._connecting = False
        self._settled.set()

    def _send_waiting(self) -> bool:
        sent = self._stands and not self._held and bool(self._waiting)
        for _ in self.take_waiting() if sent else ():
            self._world.ask(self)
        return sent

    async def _connect(self) -> None:
        self.gave_way = not await self._may_connect()
        if not self.gave_way:
            begun_at = self._world.now
            self._connecting = True
            await self._world.step(SEEN)
            self._begun_at, self._seen_at = begun_at, self._world.now
            self._world.owner = self
        self._making = self._connecting = False
        self._send_waiting()
        self._settled.set()
