"""What another replica does to a kernel is seen at once by change streams, and by the next look without them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.cluster import light_kernels
from tests.cluster.kernel_socket import KernelSocket
from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import SELDOM, Cluster
from tests.cluster.rest import Rest
from tests.replica_set import Standalone

pytestmark = pytest.mark.mongod


@pytest.fixture(scope="module")
def standalone_uri(mongod_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without change streams."""
    with Standalone(mongod_binary, tmp_path_factory.mktemp("mongod")) as server:
        yield server.uri


@pytest.fixture(scope="module", params=["change streams alone", "looks alone"])
def trio(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two replicas that learn of each other's deeds by one of both ways only: looks come hourly, or streams never."""
    streams = request.param == "change streams alone"
    uri = request.getfixturevalue("mongod_uri" if streams else "standalone_uri")
    settings = {**light_kernels.SETTINGS, **(SELDOM if streams else {})}
    with Cluster(uri, settings=settings) as cluster:
        light_kernels.install(cluster)
        cluster.start(2)
        yield cluster


@pytest.fixture
async def kernel(rest: Rest) -> AsyncIterator[tuple[str, KernelSocket]]:
    """A kernel of replica 0, and a client of it on replica 1."""
    kernel_id = await rest.start(on=0, name=LIGHT)
    async with await rest.open(kernel_id, on=1) as socket:
        yield kernel_id, socket


async def test_a_client_sees_that_another_replica_has_restarted_its_kernel(
    rest: Rest, kernel: tuple[str, KernelSocket]
) -> None:
    kernel_id, socket = kernel
    await rest.post(f"/api/kernels/{kernel_id}/restart", on=0, expect=200)
    await socket.until_state("starting")
    await socket.execute("1")


async def test_a_client_sees_that_another_replica_has_deleted_its_kernel(
    rest: Rest, kernel: tuple[str, KernelSocket]
) -> None:
    kernel_id, socket = kernel
    await rest.delete(f"/api/kernels/{kernel_id}", on=0)
    await socket.until_state("dead")
