"""A deployment for tests: gateway replicas as real processes on one real database.

Everything a replica is told comes through its environment, as on a real host. The environment is built from nothing and
carries a planted secret, so that a test can look for it where it must not be.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import pymongo
from bson.raw_bson import RawBSONDocument
from cryptography.fernet import Fernet

from tests.cluster.kernel_processes import KernelProcess, kernel_processes, processes_naming
from tests.cluster.preloaded import preloaded
from tests.cluster.processes import Process, ServerProcess, free_port

ROOT = Path(__file__).parents[2]
BEAT_SECONDS = 0.4
PATIENT = {
    "EG_LEASE_DURATION": "600",
    "EG_RENEW_INTERVAL": str(BEAT_SECONDS),
    "EG_RENEW_DEADLINE": "60",
    "EG_OPERATION_TIMEOUT": "10",
}
"""However slow the machine: no replica is held for dead, nor the database for away. A pause is no death."""
IMPATIENT = {"EG_LEASE_DURATION": "5", "EG_RENEW_DEADLINE": "3", "EG_OPERATION_TIMEOUT": "1.5"}
"""For tests that wait until a death or an outage is noticed; in all others it would be noticed where there is none."""
SELDOM = {
    "EG_FLUSH_INTERVAL": "3600",
    "EG_RENEW_INTERVAL": "3600",
    "EG_RENEW_DEADLINE": "7200",
    "EG_LEASE_DURATION": "10800",
}
"""For tests of what is written or seen at once: the flush, the beat (which flushes too) and the look are too late."""
PLANTED = "GATEWAY_ONLY_SECRET"
"""A variable of each replica's own environment that no kernel, log, answer or document may show."""


class PreloadedProcess(ServerProcess):
    """A replica that is forked."""

    def _started(self, command: Sequence[str], env: dict[str, str]) -> Process:
        return preloaded().start(env, self.folder, self.log_path)


class Cluster:
    """Replicas on one database, one host and one user; with a token unless it is told otherwise.

    Args:
        mongod_uri: The server; the database is the cluster's own. None: the embedded database.
        settings: `EG_*` variables of every replica, over the defaults of the tests (`PATIENT`).
        token: What clients show; "" runs without one.
        timings: Of beats, leases and operations, where `settings` has none.
        forked: Fork the replicas, instead of running the command, where there is a server, no prefix, and no variable
            but settings.

    Attributes:
        replicas: Those that were started, in order; some may have been stopped.
        planted: The value of `PLANTED`.
    """

    def __init__(
        self,
        mongod_uri: str | None,
        *,
        settings: Mapping[str, str] | None = None,
        token: str | None = None,
        timings: Mapping[str, str] = PATIENT,
        forked: bool = True,
    ) -> None:
        # Unix sockets have short names: not below pytest's own directories.
        self.folder = Path(tempfile.mkdtemp(prefix="eg-"))
        self.runtime = self.folder / "run"
        self.runtime.mkdir(mode=0o700)
        self.token = secrets.token_urlsafe(24) if token is None else token
        self.sealing_key = Fernet.generate_key().decode()
        self.planted = f"planted-{secrets.token_hex(16)}"
        self.database = f"cluster_{uuid4().hex}"
        self.replicas: list[ServerProcess] = []
        self._mongod_uri = mongod_uri
        self._forked = forked and mongod_uri is not None
        self._settings = {**timings, **(settings or {})}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(
        self, count: int = 1, *, settings: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
    ) -> list[ServerProcess]:
        """Start replicas and wait until each is ready.

        Args:
            count: How many, at once.
            settings: More `EG_*` variables, for these alone.
            prefix: A command to run them under, as `unshare -m`.
        """
        started = [self.launch(settings, prefix) for _ in range(count)]
        for replica in started:
            replica.wait_until_ready("/readyz")
        return started

    def start_again(self, index: int) -> ServerProcess:
        """Start a replica in the place of one that has ended, on its port, and wait until it is ready."""
        former = self.replicas[index]
        assert not former.running
        replica = self.replicas[index] = former.anew()
        replica.wait_until_ready("/readyz")
        return replica

    def launch(self, settings: Mapping[str, str] | None = None, prefix: Sequence[str] = ()) -> ServerProcess:
        """Start one replica, and do not wait until it is ready. As `start`."""
        port = free_port()
        told = {**self._settings, **(settings or {}), "EG_PORT": str(port), "EG_PORT_RETRIES": "0"}
        env = {**self._environment(), **told}
        name = f"replica-{len(self.replicas)}"
        # Other variables may be Python's or the linker's, which are read before anything else.
        forked = self._forked and not prefix and all(name.startswith("EG_") for name in told)
        kind = PreloadedProcess if forked else ServerProcess
        replica = kind(name, [*prefix, sys.executable, "-m", "enterprise_gateway"], env, port, self.folder)
        self.replicas.append(replica)
        return replica

    def _environment(self) -> dict[str, str]:
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "EG_KERNEL_RUNTIME_DIR": str(self.runtime / "k"),
            "EG_LOG_LEVEL": "DEBUG",
            PLANTED: self.planted,
        }
        if self.token:
            env["EG_AUTH_TOKEN"] = self.token
        if self._mongod_uri is not None:
            env["EG_MONGODB_URI"] = self._mongod_uri
            env["EG_MONGODB_DATABASE"] = self.database
            env["EG_SEALING_KEYS"] = self.sealing_key
        return env

    @cached_property
    def _client(self) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(self._mongod_uri, tz_aware=True)

    @property
    def urls(self) -> list[str]:
        """Of the replicas that run."""
        return [replica.url for replica in self.replicas if replica.running]

    @property
    def logs(self) -> str:
        """Everything that all replicas have printed."""
        return "\n".join(replica.log for replica in self.replicas)

    def kernel_processes(self, kernel_id: str | None = None) -> list[KernelProcess]:
        """The kernels of this cluster that really run, or the processes of one of them, by the host's own list."""
        found = kernel_processes(self.runtime / "k")
        return [process for process in found if kernel_id in (None, process.kernel_id)]

    def processes(self) -> list[int]:
        """Everything on the host that works on this cluster's files, other than its replicas."""
        return processes_naming(self.folder)

    @property
    def collections(self) -> list[str]:
        """The names of all that the database holds."""
        return self._client[self.database].list_collection_names()

    def documents(self, collection: str, where: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """What the database holds, read past the gateway."""
        return list(self._client[self.database][collection].find(where))

    def count(self, collection: str, where: Mapping[str, Any]) -> int:
        """How many documents of the database match."""
        return self._client[self.database][collection].count_documents(dict(where))

    def document(self, kernel_id: str) -> dict[str, Any]:
        """The record of a kernel, ended or not."""
        return next(iter(self.documents("kernels", {"_id": kernel_id})))

    def updates(self, kernel_id: str) -> list[dict[str, Any]]:
        """The updates of a kernel's record as the server has them in its oplog, oldest first: `wall` is when."""
        where = {"ns": f"{self.database}.kernels", "op": "u", "o2._id": kernel_id}
        return list(self._client["local"]["oplog.rs"].find(where))

    def write(self, collection: str, document_id: str, values: Mapping[str, Any]) -> None:
        """Set fields of a document, past the gateway."""
        self._client[self.database][collection].update_one({"_id": document_id}, {"$set": dict(values)})

    def replica_id(self, replica: ServerProcess) -> str:
        """The id under which a replica is registered."""
        (replica_id,) = self._living_ids(replica)
        return replica_id

    def declare_dead(self, replica: ServerProcess) -> None:
        """Write what a leader writes of a replica that it has seen no beat of. Harmless where one has."""
        for replica_id in self._living_ids(replica):
            self.write("replicas", replica_id, {"state": "dead"})

    def _living_ids(self, replica: ServerProcess) -> list[str]:
        port = replica.url.rpartition(":")[2]
        where = {"url": {"$regex": f":{port}"}, "state": {"$ne": "dead"}}
        return [str(document["_id"]) for document in self.documents("replicas", where)]

    def dump(self) -> Iterator[bytes]:
        """Every document of every collection, as the bytes that lie in the database."""
        with pymongo.MongoClient[Any](self._mongod_uri, document_class=RawBSONDocument) as client:
            for name in client[self.database].list_collection_names():
                for document in client[self.database][name].find():
                    yield document.raw

    def close(self) -> None:
        """Stop the replicas, end the kernels they left, drop the database, remove the files."""
        for replica in self.replicas:
            replica.kill()
        for pid in self.processes():  # kernels, and an embedded mongod
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._mongod_uri is not None:
            self._client.drop_database(self.database)
            self._client.close()
        shutil.rmtree(self.folder, ignore_errors=True)
