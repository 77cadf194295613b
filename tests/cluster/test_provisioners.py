"""Kernelspecs that name a provisioner by its entry point, as jupyter_client has it: through REST, on two replicas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib.metadata import entry_points

import pytest

from tests.cluster.provisioners import DEFAULT, FORGETFUL, VISITING, install_provisioners
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

CULLING = {"EG_CULL_OWN_TIMEOUT": "true", "EG_CULL_OWN_TIMEOUT_MIN": "0.5", "EG_CULL_INTERVAL": "0.5"}
"""Culled is what wishes for it."""


@pytest.fixture(scope="module")
def pair(mongod_uri: str) -> Iterator[Cluster]:
    with Cluster(mongod_uri, settings=CULLING) as cluster:
        cluster.start(2, settings=install_provisioners(cluster))
        yield cluster


@pytest.fixture
async def rest(pair: Cluster) -> AsyncIterator[Rest]:
    async with Rest(pair.urls, pair.token) as client:
        yield client


def test_jupyter_client_brings_the_name_by_an_entry_point() -> None:
    assert DEFAULT in entry_points(group="jupyter_client.kernel_provisioners").names


@pytest.mark.parametrize("name", [DEFAULT, VISITING])
async def test_a_kernel_of_a_named_provisioner_is_served_restarted_and_ended_by_either_replica(
    rest: Rest, pair: Cluster, name: str
) -> None:
    kernel_id = await rest.start(on=0, name=name)
    record = pair.document(kernel_id)
    assert record["provisioner"]["name"] == name
    assert ("host" in record) == (name == DEFAULT)  # only of the gateway's own it knows where the process is
    await rest.run(kernel_id, "x = 1", on=0)
    assert await rest.run(kernel_id, "print(x)", on=1) == "1"
    await rest.post(f"/api/kernels/{kernel_id}/interrupt", on=1, expect=204)
    await rest.post(f"/api/kernels/{kernel_id}/restart", on=1, expect=200)
    assert await rest.run(kernel_id, "print('x' in globals())", on=0) == "False"
    await rest.delete(f"/api/kernels/{kernel_id}", on=0)
    await eventually(lambda: not pair.kernel_processes(kernel_id), "its process has ended")
    await rest.get(f"/api/kernels/{kernel_id}", on=1, expect=404)


async def test_a_kernel_that_its_provisioner_can_not_take_over_is_503_elsewhere_and_served_where_it_was_launched(
    rest: Rest, pair: Cluster
) -> None:
    kernel_id = await rest.start(on=0, name=FORGETFUL)
    await rest.run(kernel_id, "x = 1", on=0)
    refused = await rest.request("POST", f"/api/kernels/{kernel_id}/interrupt", on=1, body={})
    assert (refused.status_code, refused.json()["reason"]) == (503, "Kernel can't be reached")
    assert kernel_id in await rest.listed(on=1)
    refused = await rest.request("POST", f"/api/kernels/{kernel_id}/restart", on=1, body={})
    assert (refused.status_code, refused.json()["reason"]) == (503, "Kernel can't be reached")
    assert await rest.run(kernel_id, "print(x)", on=0) == "1"
    await rest.post(f"/api/kernels/{kernel_id}/restart", on=0, expect=200)
    assert await rest.run(kernel_id, "print('x' in globals())", on=0) == "False"
    await rest.delete(f"/api/kernels/{kernel_id}", on=1)
    await eventually(lambda: not pair.kernel_processes(kernel_id), "its process has ended")


@pytest.mark.parametrize("on", [0, 1])
async def test_a_kernel_that_one_replica_alone_can_end_is_culled_by_it_whoever_leads(
    rest: Rest, pair: Cluster, on: int
) -> None:
    kernel_id = await rest.start(on=on, name=FORGETFUL, env={"KERNEL_CULL_IDLE_TIMEOUT": "0.5"})
    await eventually(lambda: pair.document(kernel_id)["phase"] == "ended", "it is ended")
    assert pair.document(kernel_id)["reason"].startswith("culled: ")
    assert not pair.kernel_processes(kernel_id)
    assert not any(f"Took over the stopping of kernel {kernel_id}" in replica.log for replica in pair.replicas)
