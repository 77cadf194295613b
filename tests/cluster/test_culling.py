"""Kernels that nobody uses are ended, whoever started them and whoever died; those that somebody uses are not."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPError

from tests.cluster import light_kernels
from tests.cluster.conftest import MakeCluster
from tests.cluster.kernel_socket import KernelSocket
from tests.cluster.light_kernels import LIGHT, MUMBLING
from tests.cluster.replicas import IMPATIENT, Cluster
from tests.cluster.rest import Rest
from tests.cluster.test_failover import leader
from tests.cluster.waiting import eventually
from tests.mongo_proxy import MongoProxy
from tests.replica_set import ReplicaSet

TIMEOUT = 1.5  # seconds
CULLING = {"EG_CULL_IDLE_TIMEOUT": str(TIMEOUT), "EG_CULL_INTERVAL": "0.3"}
UNTIL_TOLD = """
import os, threading
while not os.path.exists({path!r}):
    threading.Event().wait(0.02)
print("done")
"""


def make(make_cluster: MakeCluster, count: int, **settings: str) -> Cluster:
    cluster = make_cluster(**{**light_kernels.SETTINGS, **CULLING, **settings})
    light_kernels.install(cluster)
    cluster.start(count)
    return cluster


@pytest.fixture
def pair(make_cluster: MakeCluster) -> Cluster:
    return make(make_cluster, 2)


@pytest.fixture
def mortals(make_cluster: MakeCluster) -> Cluster:
    """Two replicas whose deaths are noticed soon."""
    return make(make_cluster, 2, **IMPATIENT)


async def culled(cluster: Cluster, kernel_id: str) -> dict[str, Any]:
    """Wait until the kernel is ended, and give its event."""
    await eventually(lambda: cluster.document(kernel_id)["phase"] == "ended", f"{kernel_id} is ended")
    assert cluster.document(kernel_id)["reason"].startswith("culled: ")
    assert not cluster.kernel_processes(kernel_id)
    return await eventually(
        lambda: next(iter(cluster.documents("events", {"kernel_id": kernel_id, "kind": "culled"})), None), "it is told"
    )


async def used(rest: Rest, start: Callable[[], Awaitable[str]], *, on: int | None = None) -> tuple[str, KernelSocket]:
    """A kernel and a client of it. Where a slow machine has it culled before its client comes, another is started."""
    while True:
        kernel_id = await start()
        try:
            return kernel_id, await rest.open(kernel_id, on=on)
        except HTTPError as error:
            if error.code != 404:
                raise


async def test_an_idle_kernel_is_culled_and_that_is_told(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id = await rest.start(name=LIGHT)
        event = await culled(pair, kernel_id)
        await rest.get(f"/api/kernels/{kernel_id}", expect=404)
    assert event["details"]["idle_seconds"] > TIMEOUT


@pytest.mark.parametrize("victim", ["the leader", "another"])
async def test_a_kernel_that_nobody_touches_after_its_replica_was_killed_is_culled(
    mortals: Cluster, victim: str
) -> None:
    first = await leader(mortals)
    killed = first if victim == "the leader" else 1 - first
    async with Rest(mortals.urls, mortals.token) as rest:
        kernel_id = await rest.start(on=killed, name=LIGHT)
        mortals.replicas[killed].kill()
        await culled(mortals, kernel_id)


async def test_one_whose_replicas_all_died_is_judged_when_one_is_back(mortals: Cluster) -> None:
    async with Rest(mortals.urls, mortals.token) as rest:
        kernel_id = await rest.start(name=LIGHT)
    for replica in mortals.replicas:
        replica.kill()
    mortals.start_again(0)
    event = await culled(mortals, kernel_id)
    assert event["details"]["idle_seconds"] > TIMEOUT


async def test_a_connected_kernel_lives_until_its_client_is_gone_for_its_timeout(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id, client = await used(rest, lambda: rest.start(name=LIGHT))
        async with client:
            await culled(pair, await rest.start(name=LIGHT))
            assert pair.document(kernel_id)["phase"] == "running"
        await culled(pair, kernel_id)


async def test_a_kernel_that_works_for_a_client_that_is_away_lives_until_its_timeout_after_that(
    pair: Cluster, tmp_path: Path
) -> None:
    """What it sends is kept for the client; that alone does not keep the kernel."""
    told = tmp_path / "told"
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id, client = await used(rest, lambda: rest.start(name=LIGHT))
        await client.begin(UNTIL_TOLD.format(path=str(told)))
        await client.until_state("busy")
        await client.leave()
        await culled(pair, await rest.start(name=LIGHT))
        before = pair.document(kernel_id)
        told.touch()
        event = await culled(pair, kernel_id)
    assert (before["phase"], before["execution_state"]) == ("running", "busy")
    assert event["details"]["idle_seconds"] > TIMEOUT
    assert pair.document(kernel_id)["last_activity"] > before["last_activity"]


async def test_a_silent_cell_is_not_culled_whose_beginning_was_missed(pair: Cluster, tmp_path: Path) -> None:
    """The kernel drops what its owner is too slow to take; so one that seems idle is asked before it is culled."""
    told = tmp_path / "told"
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id, client = await used(rest, lambda: rest.start(name=MUMBLING))
        await client.begin(UNTIL_TOLD.format(path=str(told)))
        await client.leave()
        await culled(pair, await rest.start(name=LIGHT))
        assert pair.document(kernel_id)["phase"] == "running"
        told.touch()
        await culled(pair, kernel_id)


async def test_a_client_that_is_connected_is_told_dead_and_the_session_goes(make_cluster: MakeCluster) -> None:
    pair = make(make_cluster, 2, EG_CULL_CONNECTED="true")
    first = await leader(pair)
    async with Rest(pair.urls, pair.token) as rest:

        async def session() -> str:
            body = {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": LIGHT}}
            kernel_id: str = (await rest.post("/api/sessions", body)).json()["kernel"]["id"]
            return kernel_id

        kernel_id, client = await used(rest, session, on=1 - first)
        async with client:
            await client.until_state("dead")
        await culled(pair, kernel_id)
        assert await rest.get("/api/sessions") == []


async def test_a_kernel_may_wish_to_live_longer_or_shorter(make_cluster: MakeCluster) -> None:
    pair = make(make_cluster, 1, EG_CULL_OWN_TIMEOUT="true", EG_CULL_OWN_TIMEOUT_MIN="0.5")
    async with Rest(pair.urls, pair.token) as rest:
        longer = await rest.start(name=LIGHT, env={"KERNEL_CULL_IDLE_TIMEOUT": "3600"})
        plain = await rest.start(name=LIGHT)
        await culled(pair, plain)
        assert pair.document(longer)["phase"] == "running"
        body = {"name": LIGHT, "env": {"KERNEL_CULL_IDLE_TIMEOUT": "soon"}}
        answer = await rest.post("/api/kernels", body, expect=400)
        assert "KERNEL_CULL_IDLE_TIMEOUT" in answer.json()["message"]


async def test_a_leader_that_was_paused_does_nothing_more(mortals: Cluster) -> None:
    first = await leader(mortals)
    former = mortals.documents("leases")[0]["term"]
    async with Rest(mortals.urls, mortals.token) as rest:
        os.kill(mortals.replicas[first].pid, signal.SIGSTOP)
        await culled(mortals, await rest.start(on=1 - first, name=LIGHT))
        os.kill(mortals.replicas[first].pid, signal.SIGCONT)
        await eventually(lambda: "leads no more" in mortals.replicas[first].log, "it has stepped down")
        await eventually(lambda: "goes on as" in mortals.replicas[first].log, "it knows that it was held for dead")
        await culled(mortals, await rest.start(on=first, name=LIGHT))
    assert all(event["details"]["term"] > former for event in mortals.documents("events", {"kind": "culled"}))


async def test_a_dry_run_ends_nothing_and_the_log_says_what_it_would(make_cluster: MakeCluster) -> None:
    alone = make(make_cluster, 1, EG_CULL_DRY_RUN="true")
    async with Rest(alone.urls, alone.token) as rest:
        kernel_id = await rest.start(name=LIGHT)
        await eventually(
            lambda: f"Kernel {kernel_id} of" in alone.logs and "would be culled" in alone.logs, "it says so"
        )
        assert alone.document(kernel_id)["phase"] == "running"


async def test_replicas_whose_settings_of_culling_differ_are_told_of_in_the_log(make_cluster: MakeCluster) -> None:
    cluster = make(make_cluster, 1)
    cluster.start(settings={"EG_CULL_IDLE_TIMEOUT": "1000"})
    await eventually(lambda: "has other settings of culling" in cluster.replicas[0].log, "the leader says so")


async def test_what_happened_to_a_kernel_is_told_once_each(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id = await rest.start(name=LIGHT)
        await culled(pair, kernel_id)
        await eventually(lambda: len(pair.documents("events", {"kernel_id": kernel_id})) >= 3, "all is told")
    events = pair.documents("events", {"kernel_id": kernel_id})
    assert sorted(event["kind"] for event in events) == ["culled", "ended", "started"]


async def test_each_replica_tells_how_many_kernels_it_has(make_cluster: MakeCluster) -> None:
    pair = make(make_cluster, 2, EG_CULL_IDLE_TIMEOUT="0")
    async with Rest(pair.urls, pair.token) as rest:
        for on in (0, 0, 1):
            await rest.start(on=on, name=LIGHT)

    def loads() -> list[int]:
        return sorted(document["load"] for document in pair.documents("replicas"))

    await eventually(lambda: loads() == [1, 2], "both have told it")


async def test_a_leader_that_is_stopped_gives_the_lead_back_at_once(pair: Cluster) -> None:
    first = await leader(pair)
    pair.replicas[first].stop()
    await eventually(lambda: pair.documents("leases")[0]["term"] == 2, "another leads")
    assert "suspected to be dead" not in pair.replicas[1 - first].log
    assert await leader(pair) == 1 - first


async def test_a_leader_that_is_cut_off_is_followed_by_another_and_its_own_kernels_live_on(
    replica_set: ReplicaSet,
) -> None:
    settings = {**light_kernels.SETTINGS, **CULLING, **IMPATIENT}
    with MongoProxy(replica_set.port) as proxy, Cluster(replica_set.uri, settings=settings) as cluster:
        light_kernels.install(cluster)
        (cut_off,) = cluster.start(settings={"EG_MONGODB_URI": proxy.uri})
        assert await leader(cluster) == 0
        cluster.start()
        async with Rest(cluster.urls, cluster.token) as rest:
            connected, client = await used(rest, lambda: rest.start(on=0, name=LIGHT), on=1)
            async with client:
                orphan, its_client = await used(rest, lambda: rest.start(on=0, name=LIGHT), on=0)
                async with its_client:
                    proxy.refuse()
                    await eventually(lambda: "leads no more" in cut_off.log, "it has stepped down")
                event = await culled(cluster, orphan)
                proxy.pass_on()
                await eventually(lambda: "goes on as" in cut_off.log, "it is back, under a new id")
                assert cluster.document(connected)["phase"] == "running"
            await culled(cluster, connected)
    assert event["details"]["term"] >= 2


async def test_a_kernel_that_is_used_on_a_replica_that_is_cut_off_is_not_culled(replica_set: ReplicaSet) -> None:
    """That one is not dead yet: the kernel's timeout is over long before a lease is. It knows of the use, alone."""
    leases = {"EG_LEASE_DURATION": "30", "EG_RENEW_DEADLINE": "20"}
    settings = {**light_kernels.SETTINGS, **CULLING, **IMPATIENT, **leases, "EG_CULL_IDLE_TIMEOUT": "6"}
    with MongoProxy(replica_set.port) as proxy, Cluster(replica_set.uri, settings=settings) as cluster:
        light_kernels.install(cluster)
        cluster.start()
        assert await leader(cluster) == 0
        cluster.start(settings={"EG_MONGODB_URI": proxy.uri})
        async with Rest(cluster.urls, cluster.token) as rest:
            used, idle = await rest.start(on=1, name=LIGHT), await rest.start(on=0, name=LIGHT)
            proxy.swallow()
            written = cluster.document(used)["last_activity"]
            await rest.run(used, "", on=1)
            await eventually(lambda: " 0 culled, 2 due when" in cluster.replicas[0].log, "their timeout is over")
            assert {cluster.document(each)["phase"] for each in (used, idle)} == {"running"}
            proxy.pass_on()
            await culled(cluster, idle)
            await culled(cluster, used)
            assert cluster.document(used)["last_activity"] > written
