"""What a dead replica has left is finished by another one, though nobody asks for the kernel."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from tests.cluster import light_kernels
from tests.cluster.conftest import MakeCluster
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

VICTIM, SURVIVOR = 0, 1
WITHOUT_END = {"name": light_kernels.SILENT}
NAMED = "0b9a1bd4-1f0e-4b8e-9a41-2f4fd6b6a002"


@pytest.fixture
def pair(make_cluster: MakeCluster) -> Cluster:
    cluster = make_cluster(**light_kernels.SETTINGS, EG_SHUTDOWN_WAIT_TIME="1")
    light_kernels.install(cluster)
    cluster.start(2)
    return cluster


def die(cluster: Cluster) -> None:
    cluster.replicas[VICTIM].kill()
    cluster.declare_dead(cluster.replicas[VICTIM])


async def the_record(cluster: Cluster, **wanted: str) -> dict[str, Any]:
    """Wait until the only kernel's record is as wanted, and return it."""
    (record,) = await eventually(lambda: cluster.documents("kernels", wanted), f"its record has {wanted}")
    return record


async def launching(cluster: Cluster, rest: Rest, **fields: Any) -> asyncio.Task[Any]:
    """A launch by the victim that has a process and no end."""
    start = asyncio.create_task(rest.request("POST", "/api/kernels", on=VICTIM, body={**WITHOUT_END, **fields}))
    await eventually(lambda: cluster.documents("kernels", {"process": {"$exists": True}}), "its process is recorded")
    return start


async def test_a_launch_whose_client_can_not_know_it_is_ended(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        start = await launching(pair, rest)
        die(pair)
        record = await the_record(pair, phase="ended")
        await asyncio.wait({start})
    assert "left undone" in record["reason"]
    assert not pair.kernel_processes()
    assert start.exception()


async def test_a_launch_whose_client_has_named_it_is_tried_once_more(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        start = await launching(pair, rest, kernel_id=NAMED)
        (former,) = pair.kernel_processes()
        die(pair)
        await eventually(lambda: [p for p in pair.kernel_processes() if p.generation == 2], "it is launched again")
        assert former.pid not in {process.pid for process in pair.kernel_processes()}
        await rest.delete(f"/api/kernels/{NAMED}", on=SURVIVOR)
        await asyncio.wait({start})
    assert start.exception()


async def test_a_launch_that_was_to_be_stopped_is_stopped(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        start = await launching(pair, rest, kernel_id=NAMED)
        pair.replicas[VICTIM].signal(signal.SIGSTOP)
        pair.write("kernels", NAMED, {"target": "stopped"})
        die(pair)
        record = await the_record(pair, phase="ended")
        await asyncio.wait({start})
    assert record["reason"] == "shut down while it was starting"
    assert start.exception()


async def test_a_kernel_that_was_to_be_stopped_by_its_owner_is_stopped_by_who_can_reach_it(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id = await rest.start(on=VICTIM, name=light_kernels.LIGHT)
        pair.replicas[VICTIM].signal(signal.SIGSTOP)
        pair.write("kernels", kernel_id, {"target": "stopped"})
        die(pair)
    assert (await the_record(pair, phase="ended"))["reason"] == "shut down"
    assert not pair.kernel_processes()
