"""A kernel as a process of its own that is up in a tenth of a second: no IPython, only pyzmq.

It speaks as much of the protocol as the gateway and a simple client do: `kernel_info`, `execute` (the code is run, what
it prints is sent), `interrupt` (counted in the variable `interrupts`), `shutdown`, unless it is told to be obstinate;
told to be mumbling, it does not say that a cell has begun, as if that had been dropped on its way.
SIGINT does nothing. Given a folder, it holds a lock there that is its kernel's for as long as it lives; if another
process of the same kernel holds it, that is noted beside the locks: no kernel may ever have two.

    python light_kernel.py CONNECTION_FILE [FOLDER_OF_LOCKS [obstinate|mumbling]]
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import io
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import zmq

DELIMITER = b"<IDS|MSG>"
CONFLICTS = "conflicts"
SUBSCRIBES = b"\x01"
LAST_WORDS_SECONDS = 0.2
"""Between the answer to a shutdown request and the end, so that who asked has the answer first."""


class LightKernel:
    """Serves one connection file until it is told to shut down; an obstinate one does not listen to that.

    Args:
        connection: The content of the connection file.
        context: Where its sockets are made; by default its own.
        obstinate: It answers no shutdown request.
        mumbling: It does not say that a cell has begun.
        like_ipykernel: It calls itself so, and welcomes who subscribes.

    Attributes:
        sockets: Those that it reads.
    """

    def __init__(
        self,
        connection: dict[str, Any],
        *,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        obstinate: bool = False,
        mumbling: bool = False,
        like_ipykernel: bool = False,
    ) -> None:
        self._connection = connection
        self._context = context or zmq.Context()
        self._obstinate = obstinate
        self._mumbling = mumbling
        self._implementation = "ipython" if like_ipykernel else "light"
        self._key = connection["key"].encode()
        self._session = uuid4().hex
        self._count = 0
        self._names: dict[str, Any] = {"interrupts": 0}
        self._iopub = self._bound(zmq.XPUB if like_ipykernel else zmq.PUB, "iopub")
        self.sockets = [self._bound(zmq.ROUTER, name) for name in ("control", "shell", "stdin")]
        if like_ipykernel:
            self.sockets.append(self._iopub)

    def _bound(self, kind: int, name: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.linger = 1000
        if kind == zmq.ROUTER:
            socket.set(zmq.ROUTER_HANDOVER, 1)
        separator = "-" if self._connection["transport"] == "ipc" else ":"
        address = f"{self._connection['ip']}{separator}{self._connection[f'{name}_port']}"
        socket.bind(f"{self._connection['transport']}://{address}")
        return socket

    def serve(self) -> None:
        """Answer what comes, until the end is asked for."""
        poller = zmq.Poller()
        for socket in self.sockets:
            poller.register(socket, zmq.POLLIN)
        while self.answer_all():
            poller.poll()

    def answer_all(self) -> bool:
        """Answer what has come, until nothing is left on any socket; False once the end was asked for."""
        while arrived := [(socket, wire) for socket in self.sockets if (wire := _received(socket)) is not None]:
            if "shutdown_request" in [self._take(socket, wire) for socket, wire in arrived]:
                return False
        return True

    def close(self) -> None:
        """Close its sockets; what they were given still leaves."""
        for socket in {*self.sockets, self._iopub}:
            socket.close()

    def _take(self, socket: zmq.Socket[bytes], wire: list[bytes]) -> str:
        if socket is not self._iopub:
            return self._answer(socket, wire)
        if wire[0][:1] == SUBSCRIBES:
            self._publish("iopub_welcome", {}, {"subscription": wire[0][1:].decode()}, topic=wire[0][1:])
        return ""

    def _answer(self, socket: zmq.Socket[bytes], wire: list[bytes]) -> str:
        at = wire.index(DELIMITER)
        header, content = json.loads(wire[at + 2]), json.loads(wire[at + 5])
        kind: str = header["msg_type"]
        if kind == "shutdown_request" and self._obstinate:
            return ""
        if kind != "execute_request" or not self._mumbling:
            self._publish("status", header, {"execution_state": "busy"})
        reply: dict[str, Any] = {"status": "ok"}
        if kind == "kernel_info_request":
            reply |= {
                "protocol_version": "5.3",
                "implementation": self._implementation,
                "language_info": {"name": "python"},
            }
        elif kind == "execute_request":
            reply |= self._execute(header, content["code"])
        elif kind == "interrupt_request":
            self._names["interrupts"] += 1
        message = self._message(kind.replace("_request", "_reply"), header, reply)
        socket.send_multipart([*wire[:at], *message])
        self._publish("status", header, {"execution_state": "idle"})
        return kind

    def _execute(self, header: dict[str, Any], code: str) -> dict[str, Any]:
        self._count += 1
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                exec(code, self._names)
            except Exception as error:  # noqa: BLE001 - a cell may raise whatever it likes
                return {"status": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": []}
        self._publish("stream", header, {"name": "stdout", "text": printed.getvalue()})
        return {"execution_count": self._count, "user_expressions": {}, "payload": []}

    def _publish(
        self, kind: str, parent: dict[str, Any], content: dict[str, Any], *, topic: bytes | None = None
    ) -> None:
        self._iopub.send_multipart([kind.encode() if topic is None else topic, *self._message(kind, parent, content)])

    def _message(self, kind: str, parent: dict[str, Any], content: dict[str, Any]) -> list[bytes]:
        header = {
            "msg_id": os.urandom(8).hex(),
            "msg_type": kind,
            "username": "light",
            "session": self._session,
            "date": "2026-01-01T00:00:00.000000Z",
            "version": "5.3",
        }
        parts = [json.dumps(part).encode() for part in (header, parent, {}, content)]
        digest = hmac.new(self._key, b"".join(parts), hashlib.sha256).hexdigest().encode()
        return [DELIMITER, digest, *parts]


def _received(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    try:
        return socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None


def hold_the_kernels_lock(folder: Path) -> None:
    """Be the only process of this kernel, or note that there are two and end."""
    kernel_id = os.environ["KERNEL_ID"]
    lock = os.open(folder / kernel_id, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with (folder / CONFLICTS).open("a") as conflicts:
            conflicts.write(f"{kernel_id}\n")
        sys.exit("another process of this kernel is alive")


def main(connection_file: str, locks: str | None = None, *how: str) -> None:
    """Run the kernel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if locks is not None:
        hold_the_kernels_lock(Path(locks))
    connection = json.loads(Path(connection_file).read_text())
    LightKernel(connection, obstinate="obstinate" in how, mumbling="mumbling" in how).serve()
    threading.Event().wait(LAST_WORDS_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
