"""The least that starts kernels over HTTP with tornado, PyMongo and pyzmq, and promises nothing: a floor for gateways.

As many requests, writes and sockets as the gateway's own path of a start, and nothing of what they are for: no queue
that is fair, no secrets sealed, no client that comes back, no death noticed. What it costs is what these libraries,
a fork and a relay cost. Run as a module, with the port, the database's URI and a folder for the kernels.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import zmq
from pymongo import AsyncMongoClient, ReturnDocument
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler
from zmq.eventloop.zmqstream import ZMQStream

from enterprise_gateway.relay.codec import V1, V1_SUBPROTOCOL
from enterprise_gateway.relay.first_cell import FREEZING
from enterprise_gateway.relay.messages import DELIMITER
from enterprise_gateway.relay.probe import Questions
from enterprise_gateway.relay.signing import Signer

AT_ONCE = 4
SECONDS = 60.0
GATE = 'read -r go; exec "$@"'
SOCKETS = {"shell": zmq.DEALER, "iopub": zmq.SUB, "stdin": zmq.DEALER, "control": zmq.DEALER}
PORTS = {f"{channel}_port": number for number, channel in enumerate((*SOCKETS, "hb"), 1)}
FIRST = {"code": FREEZING, "silent": True, "store_history": False, "allow_stdin": False, "stop_on_error": False}
SPECS = json.dumps({"default": "python3", "kernelspecs": {"python3": {"name": "python3", "spec": {}, "resources": {}}}})


class Kernels:
    """The kernels and their documents."""

    def __init__(self, folder: Path, documents: Any) -> None:
        self.running: dict[str, tuple[subprocess.Popen[bytes], dict[str, Any]]] = {}
        self._folder = folder
        self._documents = documents
        self._turns = asyncio.Semaphore(AT_ONCE)
        self.context = zmq.Context()

    async def write(self, kernel_id: str, values: Mapping[str, Any]) -> None:
        """Change a kernel's document."""
        await self._documents.find_one_and_update(
            {"_id": kernel_id}, {"$set": values}, return_document=ReturnDocument.AFTER
        )

    async def start(self, user: str) -> str:
        """Start a kernel and wait until it answers."""
        kernel_id = str(uuid4())
        folder = self._folder / kernel_id[:8]
        connection = {"transport": "ipc", "ip": str(folder / "s"), "key": uuid4().hex, **PORTS}
        connection["signature_scheme"] = "hmac-sha256"
        await self._documents.insert_one({"_id": kernel_id, "user": user, "phase": "queued"})
        async with self._turns:
            process, gate = await asyncio.to_thread(_fork, folder, connection)
            await self.write(
                kernel_id, {"phase": "launching", "pid": process.pid, "connection": json.dumps(connection)}
            )
            os.write(gate, b"\n")
            os.close(gate)
            with closing(Questions(connection, "shell")) as questions:
                await questions.ask("kernel_info_request", {}, timeout_seconds=SECONDS)
                await questions.ask("execute_request", FIRST, timeout_seconds=SECONDS)
            await self.write(kernel_id, {"phase": "running"})
        self.running[kernel_id] = process, connection
        return kernel_id

    async def end(self, kernel_id: str) -> None:
        """Ask a kernel to end, and wait until it has."""
        process, connection = self.running.pop(kernel_id)
        await self.write(kernel_id, {"phase": "stopping"})
        with closing(Questions(connection, "control")) as questions:
            await questions.ask("shutdown_request", {"restart": False}, timeout_seconds=SECONDS)
        await asyncio.to_thread(process.wait)
        await self.write(kernel_id, {"phase": "ended"})


def _fork(folder: Path, connection: Mapping[str, Any]) -> tuple[subprocess.Popen[bytes], int]:
    folder.mkdir()
    file = folder / "connection.json"
    file.write_text(json.dumps(connection))
    gate, opener = os.pipe()
    with (folder / "log").open("wb") as log:
        command = ["/bin/sh", "-c", GATE, "gate", sys.executable, "-m", "ipykernel_launcher", "-f", str(file)]
        process = subprocess.Popen(command, stdin=gate, stdout=log, stderr=log, start_new_session=True)
    os.close(gate)
    return process, opener


class Handler(RequestHandler):
    """One that knows the kernels."""

    @property
    def kernels(self) -> Kernels:
        """All of them."""
        kernels: Kernels = self.settings["kernels"]
        return kernels


class SpecsHandler(Handler):
    """Kernelspecs."""

    def get(self) -> None:
        """Return what is always the same."""
        self.finish(SPECS)


class KernelsHandler(Handler):
    """Starts."""

    async def post(self) -> None:
        """Start a kernel."""
        kernel_id = await self.kernels.start(json.loads(self.request.body)["env"]["KERNEL_USERNAME"])
        self.set_status(201)
        self.finish(json.dumps({"id": kernel_id, "name": "python3", "execution_state": "idle"}))


class KernelHandler(Handler):
    """Ends."""

    async def delete(self, kernel_id: str) -> None:
        """End a kernel."""
        await self.kernels.end(kernel_id)
        self.set_status(204)


class ChannelsHandler(WebSocketHandler):
    """Relays between a WebSocket and four sockets."""

    kernels: ClassVar[Kernels]

    async def get(self, kernel_id: str) -> None:
        """Connect to the kernel, then take the WebSocket."""
        _, connection = self.kernels.running[kernel_id]
        await self.kernels.write(kernel_id, {"clients": {uuid4().hex: 1}})
        self._signer = Signer.of(connection)
        self._streams = {channel: self._stream(channel, connection) for channel in SOCKETS}
        await super().get()

    def _stream(self, channel: str, connection: Mapping[str, Any]) -> ZMQStream:
        socket = self.kernels.context.socket(SOCKETS[channel])
        if channel == "iopub":
            socket.subscribe(b"")
        socket.connect(f"ipc://{connection['ip']}-{PORTS[f'{channel}_port']}")
        stream = ZMQStream(socket)
        stream.on_recv(partial(self._from_kernel, channel))
        return stream

    def _from_kernel(self, channel: str, wire: list[bytes]) -> None:
        self.write_message(V1.encode(channel, wire[wire.index(DELIMITER) + 2 :]).payload, binary=True)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Speak the binary framing."""
        return V1_SUBPROTOCOL

    def open(self, *_: str, **__: str) -> None:
        """Send each message at once."""
        self.set_nodelay(True)

    def on_message(self, message: str | bytes) -> None:
        """Sign a client's message and send it to the kernel."""
        sent = V1.decode(message)
        self._streams[sent.channel].send_multipart([DELIMITER, self._signer.sign(sent.parts), *sent.parts])

    def on_close(self) -> None:
        """Close the sockets."""
        for stream in self._streams.values():
            stream.close(linger=0)


async def serve(port: int, uri: str, folder: Path) -> None:
    """Answer until the process is killed."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, w="majority")
    kernels = ChannelsHandler.kernels = Kernels(folder, client["least"]["kernels"])
    routes: list[Any] = [
        ("/api/kernelspecs", SpecsHandler),
        ("/api/kernels", KernelsHandler),
        ("/api/kernels/([^/]+)", KernelHandler),
        ("/api/kernels/([^/]+)/channels", ChannelsHandler),
    ]
    Application(routes, kernels=kernels, log_function=lambda handler: None).listen(port, "127.0.0.1")
    gc.freeze()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
