"""The floor for a gateway as a subject: see `least`. It only starts kernels, relays and ends them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.subjects.launching import launched
from benchmarks.subjects.ours import mongod
from benchmarks.subjects.subject import Gateway
from tests.cluster.jupyter_servers import clean_env
from tests.cluster.processes import ServerProcess, free_port
from tests.replica_set import ReplicaSet


class Floor:
    """The server that promises nothing, on a mongod of its own."""

    name = "floor"

    @contextmanager
    def run(self) -> Iterator[Gateway]:
        """Start a mongod and the server."""
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
            ReplicaSet(mongod(), Path(folder)) as database,
            _server(Path(folder), database.uri) as gateway,
        ):
            yield gateway


@contextmanager
def _server(folder: Path, database: str) -> Iterator[Gateway]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.subjects.least", str(port), database, str(folder)]
    env = {**clean_env(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    server, seconds = launched(lambda: ServerProcess("floor", command, env, port, folder))
    try:
        yield Gateway(server.url, server.pid, "", seconds, partial(_server, folder, database))
    finally:
        server.kill()
