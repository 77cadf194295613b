"""A kernel without Python in it: real ZMQ sockets that speak the Jupyter protocol, on the test's own event loop.

It answers `kernel_info_request` and `execute_request` as ipykernel does (busy, reply, idle), unless the test gives
another answer by `answers`. `hold()` makes it busy: what comes on shell waits until `resume()`; control is answered
meanwhile. All messages are made and checked by jupyter_client's own Session, so a wrong signature raises here.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zmq
import zmq.asyncio
from jupyter_client.session import Session

from tests.cluster.waiting import PATIENCE_SECONDS

CHANNELS = ("shell", "control", "stdin")
PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}


@dataclass
class Request:
    """A message that the kernel has received."""

    channel: str
    idents: list[bytes]
    message: dict[str, Any]

    @property
    def msg_type(self) -> str:
        """Its type."""
        return str(self.message["header"]["msg_type"])

    @property
    def msg_id(self) -> str:
        """Its id."""
        return str(self.message["header"]["msg_id"])


Answer = Callable[["FakeKernel", Request], Awaitable[None]]


class FakeKernel:
    """Use it as an async context manager.

    Args:
        transport: `ipc` or `tcp`.
        key: The signing key; empty: nothing is signed.
        welcoming: Send `iopub_welcome` on a subscription, as ipykernel 7 does.
        handover: The newest of two sockets with one identity gets the replies.
        folder: Where its Unix sockets are; by default a new one. A second generation may share nothing with the first.
        curve: Speak CurveZMQ; one key pair serves both sides, as jupyter_client has it.
    """

    def __init__(
        self,
        *,
        transport: str = "ipc",
        key: bytes = b"a-key",
        welcoming: bool = True,
        handover: bool = True,
        folder: Path | None = None,
        curve: bool = False,
    ) -> None:
        self.session = Session(key=key, username="kernel")
        self.requests: list[Request] = []
        self.answers: dict[str, Answer] = {
            "kernel_info_request": reply_kernel_info,
            "execute_request": reply_ok,
            "shutdown_request": reply_ok,
            "interrupt_request": reply_ok,
        }
        self._transport = transport
        self._key = key
        self._welcoming = welcoming
        self._handover = handover
        self._own_folder = folder is None
        self._folder = folder or Path(tempfile.mkdtemp(prefix="fake-kernel-"))
        self._context = zmq.asyncio.Context()
        self._sockets: dict[str, zmq.asyncio.Socket] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._news = asyncio.Condition()
        self._ports = dict(PORTS)
        self._curve = zmq.curve_keypair() if curve else None
        self.subscriptions: list[bytes] = []

    @property
    def connection(self) -> dict[str, Any]:
        """What stands in its connection file."""
        ip = str(self._folder / "kernel") if self._transport == "ipc" else "127.0.0.1"
        ports = {f"{name}_port": port for name, port in self._ports.items()}
        public, secret = self._curve or (None, None)
        curve = {"curve_publickey": public.decode(), "curve_secretkey": secret.decode()} if public and secret else {}
        return {
            **curve,
            "transport": self._transport,
            "ip": ip,
            "key": self._key.decode(),
            "signature_scheme": "hmac-sha256",
            **ports,
        }

    async def __aenter__(self) -> Self:
        self.bind()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.die()

    def bind(self) -> None:
        """Open the sockets and start to answer."""
        for name in CHANNELS:
            socket = self._sockets[name] = self._bound(zmq.ROUTER, name)
            if self._handover:
                socket.set(zmq.ROUTER_HANDOVER, 1)
            self._tasks.append(asyncio.create_task(self._serve(name, socket)))
        self._sockets["iopub"] = self._bound(zmq.XPUB if self._welcoming else zmq.PUB, "iopub")
        if self._welcoming:
            self._tasks.append(asyncio.create_task(self._welcome()))

    async def die(self) -> None:
        """Close everything at once, like a killed process. Harmless when it is dead already."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in self._sockets.values():
            socket.close(linger=0)
        self._sockets.clear()
        self._tasks.clear()
        self._context.term()
        if self._own_folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def hold(self) -> None:
        """Be busy: nothing on shell is answered."""
        self._idle.clear()

    def resume(self) -> None:
        """Be idle again."""
        self._idle.set()

    async def received(self, msg_type: str, *, count: int = 1) -> list[Request]:
        """Wait for so many messages of a type, and return all of them."""
        found: list[Request] = []

        def enough() -> bool:
            found[:] = [request for request in self.requests if request.msg_type == msg_type]
            return len(found) >= count

        async with asyncio.timeout(PATIENCE_SECONDS), self._news:
            await self._news.wait_for(enough)
        return found

    async def publish(self, msg_type: str, content: dict[str, Any], *, parent: Request | None = None) -> None:
        """Send a message on IOPub."""
        message = self.session.msg(msg_type, content, parent=parent.message if parent else None)
        await self._send("iopub", [f"kernel.{msg_type}".encode()], message)

    async def status(self, state: str, *, parent: Request | None = None) -> None:
        """Send a status on IOPub."""
        await self.publish("status", {"execution_state": state}, parent=parent)

    async def reply(self, request: Request, content: dict[str, Any]) -> None:
        """Answer a request where it came from."""
        msg_type = request.msg_type.replace("_request", "_reply")
        message = self.session.msg(msg_type, content, parent=request.message)
        await self._send(request.channel, request.idents, message)

    async def ask_input(self, request: Request, prompt: str) -> None:
        """Ask the client of a request for a line."""
        message = self.session.msg("input_request", {"prompt": prompt, "password": False}, parent=request.message)
        await self._send("stdin", request.idents, message)

    async def send_raw(self, channel: str, frames: list[bytes]) -> None:
        """Send whatever frames."""
        await self._sockets[channel].send_multipart(frames)

    async def _send(self, channel: str, idents: list[bytes], message: dict[str, Any]) -> None:
        frames = [*idents, *self.session.serialize(message), *message.get("buffers", [])]
        await self._sockets[channel].send_multipart(frames)

    def _bound(self, kind: int, name: str) -> zmq.asyncio.Socket:
        socket = self._context.socket(kind)
        socket.linger = 0
        if self._curve is not None:
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = self._curve
        if self._transport == "tcp":
            self._ports[name] = socket.bind_to_random_port("tcp://127.0.0.1")
        else:
            socket.bind(f"ipc://{self._folder}/kernel-{self._ports[name]}")
        return socket

    async def _serve(self, channel: str, socket: zmq.asyncio.Socket) -> None:
        while True:
            wire = await socket.recv_multipart()
            idents, frames = self.session.feed_identities(wire)
            request = Request(channel, idents, self.session.deserialize(frames))
            self.requests.append(request)
            async with self._news:
                self._news.notify_all()
            if channel == "shell":
                await self._idle.wait()
            answer = self.answers.get(request.msg_type)
            if answer is not None:
                await self.status("busy", parent=request)
                await answer(self, request)
                await self.status("idle", parent=request)

    async def _welcome(self) -> None:
        socket = self._sockets["iopub"]
        while True:
            (event,) = await socket.recv_multipart()
            if event[:1] != b"\x01":
                continue
            topic = event[1:]
            self.subscriptions.append(topic)
            message = self.session.msg("iopub_welcome", {"subscription": topic.decode()})
            await self._send("iopub", [topic] if topic else [], message)


async def reply_ok(kernel: FakeKernel, request: Request) -> None:
    """Say that it went well."""
    await kernel.reply(request, {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []})


async def reply_kernel_info(kernel: FakeKernel, request: Request) -> None:
    """Introduce the kernel."""
    info = {"status": "ok", "protocol_version": "5.3", "implementation": "fake", "language_info": {"name": "fake"}}
    await kernel.reply(request, info)
