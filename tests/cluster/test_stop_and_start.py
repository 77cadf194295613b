"""A gateway that stops leaves its kernels running; the next one has them, with their variables."""

from __future__ import annotations

import signal

import pytest

from tests.cluster.conftest import MakeCluster
from tests.cluster.kernel_socket import Closed
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

SERVICE_RESTART = 1012


async def kernel_with_a_variable(cluster: Cluster) -> str:
    async with Rest(cluster.urls, cluster.token) as rest:
        kernel_id = await rest.start()
        await rest.run(kernel_id, "x = 'kept'")
    return kernel_id


@pytest.mark.parametrize("embedded", [False, True])
async def test_kernels_and_their_variables_are_there_after_a_stop_and_a_start(
    make_cluster: MakeCluster, embedded: bool
) -> None:
    cluster = make_cluster(embedded=embedded)
    (first,) = cluster.start()
    kernel_id = await kernel_with_a_variable(cluster)
    assert first.stop() == 0
    assert "1 kernel keeps running" in first.log
    assert len(cluster.kernel_processes(kernel_id)) == 1
    cluster.start()
    async with Rest(cluster.urls, cluster.token) as rest:
        assert await rest.listed() == {kernel_id}
        assert await rest.run(kernel_id, "print(x)") == "kept"
        await rest.delete(f"/api/kernels/{kernel_id}")
    await eventually(lambda: not cluster.kernel_processes(), "the adopted kernel has ended")


async def test_the_last_gateway_to_stop_stops_the_embedded_database(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(embedded=True)
    first, last = cluster.start(2)
    assert first.stop() == 0
    assert cluster.processes()
    assert last.stop() == 0
    assert not cluster.processes()


async def test_a_stopping_replica_tells_its_clients_to_come_back(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    first, _ = cluster.start(2)
    async with Rest(cluster.urls, cluster.token) as rest:
        kernel_id = await rest.start(on=0)
        async with await rest.open(kernel_id, on=0) as socket:
            first.signal(signal.SIGTERM)
            with pytest.raises(Closed) as closed:
                await socket.until(lambda message: False)
        assert closed.value.code == SERVICE_RESTART
        assert await rest.run(kernel_id, "print(1)", on=1) == "1"
    assert first.stop() == 0


async def test_with_on_exit_stop_a_gateway_ends_its_kernels(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(EG_ON_EXIT="stop")
    (gateway,) = cluster.start()
    kernel_id = await kernel_with_a_variable(cluster)
    assert gateway.stop() == 0
    assert not cluster.kernel_processes()
    assert cluster.document(kernel_id)["phase"] == "ended"


async def test_two_gateways_of_one_user_share_the_embedded_database(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(embedded=True)
    first, _ = cluster.start(2)
    kernel_id = await kernel_with_a_variable(cluster)
    assert first.stop() == 0
    async with Rest(cluster.urls, cluster.token) as rest:
        assert await rest.run(kernel_id, "print(x)") == "kept"
        await rest.delete(f"/api/kernels/{kernel_id}")
