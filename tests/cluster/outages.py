"""Ways in which a database goes away, each for as long as a `with` lasts, and the cluster that it goes away from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from tests.cluster import light_kernels
from tests.cluster.replicas import IMPATIENT, Cluster
from tests.cluster.rest import Insistent, Rest
from tests.cluster.waiting import eventually
from tests.mongo_proxy import MongoProxy
from tests.replica_set import ReplicaSet

Outage = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Database:
    """A mongod, and the proxy through which replicas reach it. Tests themselves reach it past the proxy."""

    server: ReplicaSet
    proxy: MongoProxy

    @contextmanager
    def killed(self) -> Iterator[None]:
        """SIGKILL, and a start on the same data."""
        self.server.kill()
        yield
        self.server.start()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGTERM, and a start on the same data."""
        self.server.stop()
        yield
        self.server.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP: it holds its connections and answers nothing; what it was asked meanwhile it does later."""
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Its port is closed to all."""
        self.proxy.refuse()
        try:
            yield
        finally:
            self.proxy.pass_on()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """The network swallows everything."""
        self.proxy.swallow()
        try:
            yield
        finally:
            self.proxy.pass_on()

    @contextmanager
    def slow(self) -> Iterator[None]:
        """It answers, after more than an operation's time."""
        self.proxy.delay(3.0)
        try:
            yield
        finally:
            self.proxy.pass_on()


KINDS = ("killed", "frozen", "refused", "silent", "slow")
"""`stopped` is like `killed`, for those who are not at work in that moment."""


async def known_away(rest: Rest) -> None:
    """Return when every replica knows that its database is away."""
    for number in range(len(rest.urls)):
        await eventually(partial(status_is, rest, "/readyz", number, 503), f"replica {number} is not ready")


async def known_back(rest: Rest) -> None:
    """Return when every replica has found its database back."""
    for number in range(len(rest.urls)):
        await eventually(partial(status_is, rest, "/readyz", number, 200), f"replica {number} is ready again")


async def status_is(rest: Rest, path: str, on: int, status: int) -> bool:
    """Does this replica answer a GET with this status?"""
    ask = rest.once if isinstance(rest, Insistent) else rest.request
    return (await ask("GET", path, on=on)).status_code == status


def behind_a_proxy(database: Database, **settings: str) -> Cluster:
    """A cluster whose replicas reach the database through its proxy alone, with light kernels."""
    told = {**light_kernels.SETTINGS, **IMPATIENT, "EG_MONGODB_URI": database.proxy.uri, **settings}
    cluster = Cluster(database.server.uri, settings=told)
    light_kernels.install(cluster)
    return cluster
