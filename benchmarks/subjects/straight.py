"""A kernel without a gateway: the limit that ZeroMQ and the kernel itself set."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from uuid import uuid4

from jupyter_client.manager import KernelManager

from benchmarks.clients.channels import Channels
from benchmarks.clients.rest import Rest
from benchmarks.clients.zeromq import ZeroMQChannels
from benchmarks.subjects import nothing
from benchmarks.subjects.launching import launched
from benchmarks.subjects.subject import USER
from tests.cluster.jupyter_servers import clean_env
from tests.cluster.processes import ServerProcess, free_port


class Straight:
    """Kernels that the benchmark starts itself, on Unix sockets as our gateway's."""

    name = "zeromq"

    @contextmanager
    def run(self) -> Iterator[StraightKernels]:
        """Start the server that does nothing; kernels that are left in the end are ended."""
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, _bystander(Path(folder)) as url:
            running = StraightKernels(Path(folder), url)
            try:
                yield running
            finally:
                running.close()


@contextmanager
def _bystander(folder: Path) -> Iterator[str]:
    """Run the server that does nothing, in a process of its own; gives its URL."""
    port = free_port()
    command = [sys.executable, str(nothing.__file__), str(port)]
    server, _ = launched(lambda: ServerProcess("nothing", command, clean_env(folder), port, folder))
    try:
        yield server.url
    finally:
        server.kill()


class StraightKernels:
    """Kernels of the benchmark's own.

    Args:
        folder: Where their connection files and sockets go.
        beside: A server that does nothing.
    """

    pid = None

    def __init__(self, folder: Path, beside: str) -> None:
        self._folder = folder
        self._beside = beside
        self._managers: dict[str, KernelManager] = {}

    def rest(self) -> AbstractContextManager[Rest]:
        """Connect to the server that does nothing."""
        return closing(Rest(self._beside, ""))

    def start_kernel(self, user: str = USER) -> str:
        """Start a kernel and return its id."""
        name = uuid4().hex[:8]
        manager = KernelManager(
            kernel_name="python3",
            transport="ipc",
            ip=str(self._folder / name),
            connection_file=str(self._folder / f"{name}.json"),
        )
        manager.start_kernel()
        self._managers[name] = manager
        return name

    def end_kernel(self, kernel_id: str) -> None:
        """End a kernel."""
        self._managers.pop(kernel_id).shutdown_kernel()

    def open(self, kernel_id: str) -> Channels:
        """Connect to its channels once it listens."""
        manager = self._managers[kernel_id]
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        client.stop_channels()
        return ZeroMQChannels(dict(manager.get_connection_info()), manager.session)

    def close(self) -> None:
        """End all that are left."""
        for kernel_id in list(self._managers):
            self.end_kernel(kernel_id)
