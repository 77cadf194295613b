"""Culling on a MongoDB of three members whose primary goes: late, never early, and once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import light_kernels
from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import IMPATIENT, Cluster
from tests.cluster.rest import Rest
from tests.cluster.test_culling import CULLING, culled, used
from tests.cluster.test_elections import freeze, kill, step_down
from tests.replica_set import Mongod, ThreeMembers


@pytest.fixture(scope="module")
def three(mongod_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeMembers]:
    with ThreeMembers(mongod_binary, tmp_path_factory.mktemp("three")) as members:
        yield members


@pytest.fixture(scope="module")
def trio(three: ThreeMembers) -> Iterator[Cluster]:
    with Cluster(three.uri, settings={**light_kernels.SETTINGS, **CULLING, **IMPATIENT}) as cluster:
        light_kernels.install(cluster)
        cluster.start(2)
        yield cluster


@pytest.mark.parametrize("go", [step_down, kill, freeze])
async def test_idle_kernels_are_culled_once_and_connected_ones_are_not(
    rest: Rest, trio: Cluster, three: ThreeMembers, go: Callable[[ThreeMembers, Mongod], Callable[[], None]]
) -> None:
    kernel_id, client = await used(rest, lambda: rest.start(name=LIGHT))
    async with client:
        idle = await rest.start(name=LIGHT)
        come_back = go(three, three.primary())
        three.primary()
        await culled(trio, idle)
        come_back()
        three.wait_until_whole()
        await culled(trio, await rest.start(name=LIGHT))
        assert trio.document(kernel_id)["phase"] == "running"
    await culled(trio, kernel_id)
    assert len(trio.documents("events", {"kind": "culled", "kernel_id": idle})) == 1
