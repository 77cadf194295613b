"""Fixtures of the tests on real replicas. Logs of the replicas are shown with each failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster import light_kernels
from tests.cluster.outages import Database
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually
from tests.mongo_proxy import MongoProxy
from tests.replica_set import ReplicaSet

SHOWN_OF_EACH_LOG = 6_000

MakeCluster = Callable[..., Cluster]


@pytest.fixture(scope="module")
def trio(mongod_uri: str, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three replicas with light kernels, shared by the tests of a module, with its `SETTINGS` if it has any."""
    settings: Mapping[str, str] = getattr(request.module, "SETTINGS", {})
    with Cluster(mongod_uri, settings={**light_kernels.SETTINGS, **settings}) as cluster:
        light_kernels.install(cluster)
        cluster.start(3)
        yield cluster


@pytest.fixture(scope="module")
def database(mongod_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A mongod that a module may take away, and the proxy in front of it. Take it with a `trio` of the module's own."""
    with ReplicaSet(mongod_binary, tmp_path_factory.mktemp("mongod")) as server, MongoProxy(server.port) as proxy:
        yield Database(server, proxy)


@pytest.fixture
async def rest(trio: Cluster) -> AsyncIterator[Rest]:
    """A client of the trio; afterwards no kernel is left, in the lists or on the host."""
    async with Rest(trio.urls, trio.token) as client:
        yield client
        await asyncio.gather(*(client.request("DELETE", f"/api/kernels/{one}") for one in await client.listed()))
        await eventually(lambda: not trio.kernel_processes(), "no kernel of the test is left on the host")


@pytest.fixture
def make_cluster(mongod_uri: str, request: pytest.FixtureRequest) -> Iterator[MakeCluster]:
    """Make clusters of the test's own; `embedded=True` for one without a database server."""
    with ExitStack() as stack:

        def make(*, embedded: bool = False, token: str | None = None, **settings: str) -> Cluster:
            cluster = stack.enter_context(Cluster(None if embedded else mongod_uri, settings=settings, token=token))
            request.node.stash.setdefault(SHOWN, []).append(cluster.replicas)
            return cluster

        yield make


SHOWN = pytest.StashKey[list[list[ServerProcess]]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of each replica's log to the report of a test that failed."""
    report = yield
    if report.failed:
        trio = getattr(item, "funcargs", {}).get("trio")
        groups = [*item.stash.get(SHOWN, []), *([trio.replicas] if trio else [])]
        for process in (process for group in groups for process in group):
            report.sections.append((f"log of {process.name}", _end_of_log(process)))
    return report


def _end_of_log(process: ServerProcess) -> str:
    try:
        return process.log[-SHOWN_OF_EACH_LOG:]
    except FileNotFoundError:
        return "(removed)"
