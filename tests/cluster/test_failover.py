"""A replica that dies: what it owned is watched by another, soon, and without anybody asking for it."""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest

from tests.cluster import light_kernels
from tests.cluster.conftest import MakeCluster
from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import IMPATIENT, Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

KERNELS = 6


@pytest.fixture
def three(make_cluster: MakeCluster) -> Cluster:
    cluster = make_cluster(**light_kernels.SETTINGS, **IMPATIENT)
    light_kernels.install(cluster)
    cluster.start(3)
    return cluster


def owners(cluster: Cluster) -> list[str]:
    return [document["owner"]["replica"] for document in cluster.documents("kernels", {"phase": "running"})]


def live(cluster: Cluster) -> set[str]:
    return {document["_id"] for document in cluster.documents("replicas") if document["state"] == "ready"}


async def leader(cluster: Cluster) -> int:
    """Which of the replicas leads, and knows it: the lease may be written before its holder has heard so."""

    def known() -> list[int]:
        urls = {document["_id"]: document["url"] for document in cluster.documents("replicas")}
        leases = {urls.get(lease["holder"]): lease["term"] for lease in cluster.documents("leases")}
        told = {url: f"This replica leads, in term {term}\n" for url, term in leases.items()}
        return [n for n, one in enumerate(cluster.replicas) if one.url in told and told[one.url] in one.log]

    return (await eventually(known, "somebody leads"))[0]


async def is_watched(cluster: Cluster, kernel_id: str) -> None:
    """Its owner sees it die, and restarts it."""
    (process,) = cluster.kernel_processes(kernel_id)
    os.kill(process.pid, signal.SIGKILL)

    def restarted() -> bool:
        record = cluster.document(kernel_id)
        return (record["generation"], record["phase"]) == (2, "running")

    await eventually(restarted, "it is restarted")


@pytest.mark.parametrize("victim", ["the leader", "another"])
async def test_a_dead_ones_kernels_get_live_owners_that_watch_them(three: Cluster, victim: str) -> None:
    first = await leader(three)
    killed = first if victim == "the leader" else (first + 1) % 3
    async with Rest(three.urls, three.token) as rest:
        kernel_ids = [await rest.start(on=killed, name=LIGHT) for _ in range(KERNELS)]
        gone = three.documents("kernels", {"_id": kernel_ids[0]})[0]["owner"]["replica"]
        three.replicas[killed].kill()
        await eventually(lambda: gone not in owners(three), "all have another owner")
        assert len(owners(three)) == KERNELS
        assert set(owners(three)) <= live(three)
        assert max(Counter(owners(three)).values()) < KERNELS
        await is_watched(three, kernel_ids[0])


async def test_an_idle_kernel_of_a_dead_one_is_idle_again_when_it_was_asked(three: Cluster) -> None:
    first = await leader(three)
    async with Rest(three.urls, three.token) as rest:
        kernel_id = await rest.start(on=first, name=LIGHT)
        before = three.document(kernel_id)
        three.replicas[first].kill()
        await eventually(lambda: three.document(kernel_id)["owner"] != before["owner"], "it has another owner")
        await eventually(lambda: three.document(kernel_id)["execution_state"] == "idle", "it is idle")
        assert three.document(kernel_id)["last_activity"] == before["last_activity"]


async def test_a_paused_replica_comes_back_under_a_new_id_and_serves(three: Cluster) -> None:
    first = await leader(three)
    async with Rest(three.urls, three.token) as rest:
        kernel_id = await rest.start(on=first, name=LIGHT)
        former = three.document(kernel_id)["owner"]["replica"]
        os.kill(three.replicas[first].pid, signal.SIGSTOP)
        await eventually(lambda: three.document(kernel_id)["owner"]["replica"] != former, "it has another owner")
        os.kill(three.replicas[first].pid, signal.SIGCONT)
        await eventually(lambda: "it goes on as" in three.replicas[first].log, "it has noticed")
        await eventually(lambda: len(live(three)) == 3, "it is back")
        assert former not in live(three)
        assert await rest.get(f"/api/kernels/{kernel_id}", on=first)


async def test_on_the_default_leases_a_kernel_of_the_dead_leader_gets_a_live_owner_that_watches_it(
    mongod_uri: str,
) -> None:
    with Cluster(mongod_uri, settings=light_kernels.SETTINGS, timings={}) as pair:
        light_kernels.install(pair)
        pair.start(2)
        first = await leader(pair)
        async with Rest(pair.urls, pair.token) as rest:
            kernel_id = await rest.start(on=first, name=LIGHT)
        pair.replicas[first].kill()
        heir = pair.replica_id(pair.replicas[1 - first])
        await eventually(lambda: owners(pair) == [heir], "the other one owns it")
        await is_watched(pair, kernel_id)
