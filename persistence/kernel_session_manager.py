"""The configurable front of the database: which one it is, its client, its clock, its stores and its sealing keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from traitlets import CaselessStrEnum, Float, Int, List, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from persistence import clock, keys
from persistence.clock import DatabaseClock
from persistence.deployment import deployment_id
from persistence.driver import DRIVERS, Database, check_uri, open_database, shown
from persistence.errors import ConfigurationError, PersistenceError, StoreUnavailable
from persistence.events import EventStore
from persistence.hints import hints
from persistence.indexes import ensure_indexes
from persistence.kernels import COLLECTION as KERNELS
from persistence.kernels import NOTICED, KernelStore, own_changes
from persistence.leases import LeaseStore
from persistence.replicas import ReplicaStore
from persistence.sealing import Sealer
from persistence.sessions import SessionStore

_SECONDS_A_DAY = 86_400


class KernelSessionManager(LoggingConfigurable):
    """What this gateway remembers of kernels and sessions, in MongoDB.

    Attributes:
        database: The open database.
        kernels: The store of kernels.
        sessions: The store of Jupyter sessions.
        replicas: The store of replicas.
        leases: The store of leases.
        events: The store of events.
        clock: The database's clock.
        sealer: Encrypts the secrets of records.
        deployment_id: The same for all replicas of this database, and no other's.
    """

    mongodb_uri = Unicode(
        "",
        config=True,
        help="The MongoDB that all replicas share: `mongodb://` or `mongodb+srv://`, with user, TLS and other options "
        "as MongoDB writes them; a replica set, or a standalone server (without change streams, so that what another "
        "replica did is noticed later). Empty: a private MongoDB of this user, which needs no set-up. "
        "`mongomock://NAME` is for tests: it is lost with the process.",
    )
    database_name = Unicode(
        "enterprise_gateway",
        config=True,
        help="Name of the database on that server. Gateways with different names know nothing of each other.",
    )
    driver = CaselessStrEnum(
        list(DRIVERS),
        default_value="pymongo",
        config=True,
        help="Client library: `pymongo` (its asynchronous client), or `motor` (extra `[motor]`), which is past its end "
        "of life and slower, for those who must have it.",
    )
    operation_timeout = Float(
        5.0,
        min=0.05,
        config=True,
        help="Seconds that one operation of the database may take, its retries included; then a request is answered "
        "503. Shorter notices an outage sooner, and takes a slow database for one. Must be below "
        "`EnterpriseGatewayApp.renew_deadline`.",
    )
    sealing_keys = List(
        Unicode(),
        config=True,
        help="Keys that the secrets in the database are encrypted with, the same on all replicas: 32 bytes in URL-safe "
        f"base64 each, made by `{keys.COMMAND}`. New secrets take the first key that all replicas have. To replace a "
        "key: put the new one in front, and restart the replicas one after the other: until all have it, the old one "
        "goes on sealing. Take the old one away, restarting again, when every kernel from before has ended or has been "
        "restarted by its user. Not earlier: such kernels answer 503. Empty: with the private database one is made and "
        "kept beside it; a shared database needs one.",
    )
    history_days = Int(
        30,
        min=1,
        config=True,
        help="Days that the record of an ended kernel is kept, and with it its `Idempotency-Key`; events as long.",
    )
    data_dir = Unicode(
        "~/.local/share/enterprise-gateway",
        config=True,
        help="Directory of the private MongoDB and of its sealing key. All gateways that name the same one share it. "
        "It must be on a local disk. Unused with a `mongodb_uri`.",
    )
    runtime_dir = Unicode(
        "",
        config=True,
        help="Directory of the private MongoDB's socket; a short path, for sockets have at most 107 bytes. Empty: one "
        "under `/tmp` that only this user can write to. Unused with a `mongodb_uri`.",
    )

    database: Database
    kernels: KernelStore
    sessions: SessionStore
    replicas: ReplicaStore
    leases: LeaseStore
    events: EventStore
    sealer: Sealer
    deployment_id: str

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clock = DatabaseClock()
        self._mongod: Any = None
        self._opened: Database | None = None

    @validate("mongodb_uri")
    def _check_uri(self, proposal: dict[str, Any]) -> str:
        uri: str = proposal["value"].strip()
        if uri:
            try:
                check_uri(uri)
            except ConfigurationError as error:
                raise TraitError(str(error)) from None
        return uri

    @property
    def embedded(self) -> bool:
        """Whether the private MongoDB is used."""
        return not self.mongodb_uri

    @property
    def available(self) -> bool:
        """Whether the database is open and not known away."""
        return self._opened is not None and self._opened.available

    @property
    def _data_path(self) -> Path:
        return Path(self.data_dir).expanduser()

    def describe(self) -> str:
        """Name the database for people and logs; without user, password and options."""
        where = f"private, {self._data_path}" if self.embedded else shown(self.mongodb_uri)
        return f"{self.database_name} ({where})"

    async def open(self) -> None:
        """Start the private database if that is wanted, connect, make the indexes and read the database's clock.

        Raises:
            ConfigurationError: A setting is wrong, or something that it needs is missing; says what to do.
            StoreUnavailable: The database can't be reached.
        """
        # Before anything is started: a setting that is missing should leave nothing behind.
        self.sealer = Sealer(await keys.find(self.sealing_keys, uri=self.mongodb_uri, data_dir=self._data_path))
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the client; of a private database this was the last user, stop it. Calling it again is harmless."""
        database, self._opened = self._opened, None
        if database is not None:
            await database.close()
        mongod, self._mongod = self._mongod, None
        if mongod is not None:
            await mongod.close()

    def kernel_hints(self, replica_id: str) -> AsyncIterator[None]:
        """Yield, without end, each time that a kernel may have changed hands or phase by others' doing.

        A hint only, to look at once instead of with the next beat: without change streams it never comes.

        Args:
            replica_id: Who watches: its own claims, and the kernels that it has brought up, are no news to it.
        """
        return hints(self.database, KERNELS, fields=NOTICED, log=self.log, known=own_changes(replica_id))

    async def _open(self) -> None:
        uri = self.mongodb_uri or await self._start_mongod()
        database = await open_database(
            uri,
            self.database_name,
            driver=self.driver,
            operation_timeout_seconds=self.operation_timeout,
            log=self.log,
        )
        self.database = self._opened = database
        try:
            await ensure_indexes(database, history_seconds=self.history_days * _SECONDS_A_DAY)
        except StoreUnavailable:
            raise
        except PersistenceError as error:
            raise ConfigurationError(f"the indexes of {self.describe()} can't be made: {error}") from error
        self.kernels = KernelStore(database)
        self.sessions = SessionStore(database)
        self.replicas = ReplicaStore(database)
        self.leases = LeaseStore(database)
        self.events = EventStore(database)
        self.deployment_id = await deployment_id(database)
        await self._read_clock()

    async def _start_mongod(self) -> str:
        # Here, for only a gateway with a private database needs it.
        from persistence.embedded import EmbeddedMongod

        runtime_dir = Path(self.runtime_dir) if self.runtime_dir else None
        self._mongod = EmbeddedMongod(self._data_path, runtime_dir, self.log)
        uri: str = await self._mongod.start()
        return uri

    async def _read_clock(self) -> None:
        sent = clock.boottime()
        now = await self.database.server_time()
        self.clock.observe(now, sent=sent, received=clock.boottime())
