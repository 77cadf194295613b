"""Many light kernels that cost next to nothing: one process speaks for all, and each has a process that only waits.

A gateway starts, watches, signals and ends such a kernel like any other: it is a shell that tells this host of its
connection file and waits (`WAIT`). When it is gone, its sockets are closed; when a shutdown is asked for, it is ended.
When the host is gone, so are they all.

    python -m tests.fakes.kernel_host FOLDER
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq

from tests.fakes.light_kernel import LightKernel

BIRTHS, LIFE = "births", "life"
WAIT = 'trap "" INT; echo "$$ $1" >"$2/births" && read -r _ <"$2/life"'
MOST_SOCKETS = 65_535


def command(folder: Path) -> list[str]:
    """Give the argv of a kernelspec whose kernels the host with this folder speaks for."""
    return ["/bin/sh", "-c", WAIT, "kernel", "{connection_file}", str(folder)]


def prepare(folder: Path) -> None:
    """Make what kernels and host meet at; before either is started."""
    folder.mkdir()
    for name in (BIRTHS, LIFE):
        os.mkfifo(folder / name)


class KernelHost:
    """Speaks for the kernels that come.

    Args:
        folder: Prepared.
    """

    def __init__(self, folder: Path) -> None:
        self._context = zmq.Context[zmq.Socket[bytes]]()
        self._context.set(zmq.MAX_SOCKETS, min(MOST_SOCKETS, self._context.get(zmq.SOCKET_LIMIT)))
        self._ready = selectors.DefaultSelector()
        # Open both ways: nobody who comes waits for the other end, and each kernel waits for as long as this is open.
        self._life = os.open(folder / LIFE, os.O_RDWR)
        self._births = os.open(folder / BIRTHS, os.O_RDWR)
        self._told = b""
        self._ready.register(self._births, selectors.EVENT_READ, self._take_births)

    def serve(self) -> None:
        """Speak for them for ever."""
        while True:
            for key, _ in self._ready.select():
                if self._ready.get_map().get(key.fd) is key:  # else closed by one that was ready before it
                    key.data()

    def _take_births(self) -> None:
        *lines, self._told = (self._told + os.read(self._births, 1 << 16)).split(b"\n")
        for line in lines:
            pid, _, file = line.partition(b" ")
            with suppress(ProcessLookupError, FileNotFoundError):  # ended already
                connection = json.loads(Path(os.fsdecode(file)).read_text())
                self._adopt(os.pidfd_open(int(pid)), connection)

    def _adopt(self, pidfd: int, connection: dict[str, Any]) -> None:
        kernel = LightKernel(connection, context=self._context, like_ipykernel=True)
        descriptors = [int(socket.get(zmq.FD)) for socket in kernel.sockets]

        def answer() -> None:
            if not kernel.answer_all():
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGTERM)

        def close() -> None:
            for descriptor in (*descriptors, pidfd):
                self._ready.unregister(descriptor)
            kernel.close()
            os.close(pidfd)

        self._ready.register(pidfd, selectors.EVENT_READ, close)
        for descriptor in descriptors:
            self._ready.register(descriptor, selectors.EVENT_READ, answer)
        answer()  # what came before the descriptors were watched has no edge any more


def main(folder: str) -> None:
    """Be the host."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    KernelHost(Path(folder)).serve()


if __name__ == "__main__":
    main(sys.argv[1])
