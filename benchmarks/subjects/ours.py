"""Our gateway: one replica as it is installed, on a mongod of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.subjects.launching import launched
from benchmarks.subjects.subject import Gateway, Missing
from enterprise_gateway.config.replica import ReplicaTraits
from persistence.errors import ConfigurationError
from persistence.kernel_session_manager import KernelSessionManager
from persistence.mongod import check_mongod, find_mongod
from tests.cluster.replicas import PATIENT, Cluster
from tests.replica_set import ReplicaSet


class Ours:
    """This project's gateway.

    Args:
        prefix: A command to run each replica under.
    """

    name = "ours"

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self._prefix = prefix

    @contextmanager
    def run(self) -> Iterator[Gateway]:
        """Start a mongod and one replica."""
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
            ReplicaSet(mongod(), Path(folder)) as server,
            Cluster(server.uri, settings=defaults(), forked=False) as cluster,
            self._replica(cluster, server.uri) as gateway,
        ):
            yield gateway

    @contextmanager
    def _replica(self, cluster: Cluster, database: str) -> Iterator[Gateway]:
        replica, seconds = launched(lambda: cluster.launch(prefix=self._prefix))
        try:
            replica.wait_until_ready("/readyz")
            another = partial(self._replica, cluster, database)
            yield Gateway(replica.url, replica.pid, cluster.token, seconds, another, database)
        finally:
            replica.kill()


def mongod() -> Path:
    """Find a mongod that runs here.

    Raises:
        Missing: There is none.
    """
    try:
        found = find_mongod()
        check_mongod(found)
    except ConfigurationError as error:
        raise Missing(str(error)) from error
    return found


def defaults() -> dict[str, str]:
    """Undo what the tests' clusters set otherwise: long leases, and a log of everything."""
    traits = {**ReplicaTraits.class_traits(), "operation_timeout": KernelSessionManager.operation_timeout}
    leases = {name: str(traits[name.removeprefix("EG_").lower()].default_value) for name in PATIENT}
    return {**leases, "EG_LOG_LEVEL": "INFO"}
