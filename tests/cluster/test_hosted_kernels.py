"""The stand-in kernels of the benchmarks: to a gateway they are kernels like any other, with a process each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.cluster import light_kernels
from tests.cluster.conftest import MakeCluster
from tests.cluster.light_kernels import HOSTED
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    return make_cluster(**light_kernels.SETTINGS)


@pytest.fixture
async def rest(cluster: Cluster) -> AsyncIterator[Rest]:
    with light_kernels.hosted(cluster):
        cluster.start()
        async with Rest(cluster.urls, cluster.token) as rest:
            yield rest


async def test_each_of_many_runs_its_own_cells_restarts_and_ends(rest: Rest, cluster: Cluster) -> None:
    kernels = await asyncio.gather(*(rest.start(name=HOSTED) for _ in range(5)))
    for number, kernel_id in enumerate(kernels):
        assert await rest.run(kernel_id, f"mine = {number}; print(mine)") == str(number)
    assert [await rest.run(kernel_id, "print(mine)") for kernel_id in kernels] == ["0", "1", "2", "3", "4"]

    first, *others = kernels
    await rest.post(f"/api/kernels/{first}/interrupt", expect=204)
    await rest.post(f"/api/kernels/{first}/restart", expect=200)
    assert await rest.run(first, "print('mine' in dir())") == "False"

    await asyncio.gather(*(rest.delete(f"/api/kernels/{kernel_id}") for kernel_id in others))
    assert {process.kernel_id for process in cluster.kernel_processes()} == {first}


async def test_one_whose_process_is_killed_is_restarted(rest: Rest, cluster: Cluster) -> None:
    kernel_id = await rest.start(name=HOSTED)
    (process,) = cluster.kernel_processes(kernel_id)
    process.kill()

    def restarted() -> bool:
        return [found.generation for found in cluster.kernel_processes(kernel_id)] == [2]

    await eventually(restarted, "its second generation runs")
    assert await rest.run(kernel_id, "print(1)") == "1"


async def test_all_end_with_their_host(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(**light_kernels.SETTINGS, EG_RESTART_LIMIT="0")
    with light_kernels.hosted(cluster):
        cluster.start()
        async with Rest(cluster.urls, cluster.token) as rest:
            await rest.start(name=HOSTED)
    await eventually(lambda: not cluster.kernel_processes(), "no kernel is left")
