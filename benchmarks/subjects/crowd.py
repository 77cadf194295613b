"""A replica of ours with many idle stand-in kernels, each with a client: what grows with their number is seen here."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

from benchmarks.clients.audience import Audience
from benchmarks.clients.websocket import WebSocketChannels
from benchmarks.inside import Cost
from benchmarks.subjects.elsewhere import kernels_elsewhere
from benchmarks.subjects.ours import defaults
from benchmarks.subjects.subject import USER, Gateway
from enterprise_gateway.relay.sockets import raise_file_limit
from tests.cluster import light_kernels
from tests.cluster.light_kernels import HOSTED
from tests.cluster.replicas import Cluster
from tests.cluster.waiting import eventually_now

AT_ONCE = 8
"""Users who start and connect at a time: enough that the replica always has something to do."""
RETURN_SECONDS = 300.0


class Crowd:
    """One replica on a database of its own, its kernels and their clients.

    Args:
        cluster: With hosted kernels.

    Attributes:
        kernels: Those that were started.
        clients: Of each kernel one.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._door = str(cluster.folder / "door")
        self.kernels: list[str] = []
        self.clients = Audience()
        self._replica = cluster.launch(prefix=[sys.executable, "-m", "benchmarks.inside", self._door])
        self._replica.wait_until_ready("/readyz")

    @property
    def gateway(self) -> Gateway:
        """The replica, as clients see it."""
        return Gateway(self._replica.url, self._replica.pid, self._cluster.token, 0.0, alone)

    def grow(self, count: int) -> None:
        """Have so many kernels."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            starts = [pool.submit(self._start) for _ in range(count - len(self.kernels))]
            self.kernels += [start.result() for start in starts]

    def _start(self) -> str:
        return self.gateway.start_kernel(USER, HOSTED)

    def connect(self) -> None:
        """Have each kernel connected."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for channels in pool.map(self._open, self.kernels[len(self.clients) :]):
                self.clients.admit(channels)

    def _open(self, kernel_id: str) -> WebSocketChannels:
        return WebSocketChannels(self._replica.url, kernel_id, self._cluster.token)

    def cost(self, duty: str) -> Cost:
        """Have the replica do one of its duties now; see `benchmarks.inside`."""
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(self._door)
            door.sendall(f"{duty}\n".encode())
            with door.makefile() as answers:
                answer = json.loads(answers.readline())
        assert "error" not in answer, f"{duty}: {answer}"
        return Cost(**answer)

    def restart(self) -> None:
        """Stop the replica and start it again. It watches no kernel yet, and no client is connected."""
        self._replica.stop()
        self.disconnect()
        Path(self._door).unlink()
        self._replica = self._cluster.start_again(0)

    def wait_until_watched(self) -> None:
        """Return when the replica watches all kernels."""
        owner = self._cluster.replica_id(self._replica)

        def all_watched() -> bool:
            return self._cluster.count("kernels", {"owner.replica": owner}) >= len(self.kernels)

        eventually_now(all_watched, "all kernels are watched again", seconds=RETURN_SECONDS)

    def end(self) -> None:
        """End all kernels."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self.gateway.end_kernel, self.kernels):
                pass
        self.kernels.clear()

    def disconnect(self) -> None:
        """Disconnect all clients."""
        self.clients.close()
        self.clients = Audience()


@contextmanager
def crowd(database: str, *, elsewhere: int = 0) -> Iterator[Crowd]:
    """Start a replica for a crowd; what it had is removed afterwards.

    Args:
        database: The URI of a MongoDB.
        elsewhere: So many kernels of another replica are recorded beside them.
    """
    raise_file_limit()
    settings = {**defaults(), **light_kernels.SETTINGS}
    with Cluster(database, settings=settings, forked=False) as cluster, light_kernels.hosted(cluster):
        made = Crowd(cluster)
        try:
            with kernels_elsewhere(cluster, database, elsewhere) if elsewhere else nullcontext():
                yield made
        finally:
            made.clients.close()


def alone() -> NoReturn:
    """Refuse another one: the costs are those of one replica."""
    raise NotImplementedError
