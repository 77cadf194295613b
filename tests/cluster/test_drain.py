"""A replica that is told to stop: what runs is finished or handed over, nothing new is begun, clients are sent on."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from datetime import datetime

import pytest

from tests.cluster.conftest import MakeCluster
from tests.cluster.replicas import SELDOM, Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

SLOW = "slow"
KEY = {"Idempotency-Key": "one-kernel"}
PRINTS_WHEN_LET_GO = """
import os, time
print("begun", flush=True)
while not os.path.exists({path!r}):
    time.sleep(0.05)
print("used", flush=True)
while True:
    time.sleep(1)
"""


def install_kernel_that_waits_for_a_file(cluster: Cluster) -> None:
    """Install an ipykernel that does not start before `let_go` is called."""
    folder = cluster.folder / ".local/share/jupyter/kernels" / SLOW
    folder.mkdir(parents=True)
    wait = f'while [ ! -e {cluster.folder}/go ]; do sleep 0.1; done; exec "$@"'
    argv = ["/bin/sh", "-c", wait, "sh", sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": SLOW, "language": "python"}))


def let_go(cluster: Cluster) -> None:
    (cluster.folder / "go").touch()


async def starting(cluster: Cluster, rest: Rest) -> asyncio.Task[object]:
    """A start on replica 0 that is at work and can't come to its end."""
    body = {"name": SLOW}
    start = asyncio.create_task(rest.request("POST", "/api/kernels", on=0, body=body, headers=KEY))
    launched = {"phase": "launching", "process": {"$exists": True}}
    await eventually(lambda: cluster.documents("kernels", launched), "its process is recorded")
    return start  # type: ignore[return-value]


async def is_draining(rest: Rest) -> None:
    async def not_ready() -> bool:
        return (await rest.request("GET", "/readyz", on=0)).status_code == 503

    await eventually(not_ready, "the replica is not ready any more")


async def time_told(cluster: Cluster, rest: Rest, kernel_id: str, path: str) -> datetime:
    """What the replica holds for the time now: that of a session which it opens."""
    body = {"path": path, "type": "notebook", "name": path, "kernel": {"id": kernel_id}}
    session_id = (await rest.post("/api/sessions", body)).json()["id"]
    (session,) = cluster.documents("sessions", {"_id": session_id})
    created: datetime = session["created_at"]
    return created


async def test_activity_is_written_before_the_last_beat(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(**SELDOM)
    (replica,) = cluster.start()
    replica_id = cluster.replica_id(replica)
    await eventually(lambda: cluster.documents("replicas", {"beat": 1}), "it has beaten for the first time")
    async with Rest(cluster.urls, cluster.token) as rest:
        kernel_id = await rest.start()
        async with await rest.open(kernel_id) as kernel:
            await kernel.begin(PRINTS_WHEN_LET_GO.format(path=f"{cluster.folder}/go"))
            await eventually(lambda: cluster.document(kernel_id)["execution_state"] == "busy", "busy is written")
            before = await time_told(cluster, rest, kernel_id, "before")
            let_go(cluster)
            await kernel.until(lambda message: message.type == "stream" and "used" in message.content["text"])
        after = await time_told(cluster, rest, kernel_id, "after")
    assert replica.stop() == 0
    # Not later either: who leaves a client's connection uncounted takes the time at which it left for the last use.
    assert before <= cluster.document(kernel_id)["last_activity"] <= after
    (told,) = cluster.documents("replicas", {"_id": replica_id})
    assert (told["state"], told["beat"]) == ("dead", 2)


async def test_a_launch_is_finished_and_nothing_new_is_begun(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    install_kernel_that_waits_for_a_file(cluster)
    first, _ = cluster.start(2)
    async with Rest(cluster.urls, cluster.token) as rest:
        running = await rest.start(on=0)
        start = await starting(cluster, rest)
        first.signal(signal.SIGTERM)
        await is_draining(rest)
        await rest.get("/healthz", on=0)
        refused = await rest.request("POST", "/api/kernels", on=0)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        refused = await rest.request("GET", f"/api/kernels/{running}/channels", on=0)
        assert refused.status_code == 400  # no handshake
        with pytest.raises(Exception, match="503"):
            await rest.open(running, on=0)
        let_go(cluster)
        answer = await start
        assert answer.status_code == 201  # type: ignore[attr-defined]
        assert first.stop() == 0
        kernel_id = answer.json()["id"]  # type: ignore[attr-defined]
        assert await rest.run(kernel_id, "print(6 * 7)", on=1) == "42"


async def test_a_launch_that_takes_too_long_is_handed_over(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(EG_DRAIN_TIMEOUT="1")
    install_kernel_that_waits_for_a_file(cluster)
    first, _ = cluster.start(2)
    async with Rest(cluster.urls, cluster.token) as rest:
        start = await starting(cluster, rest)
        (left,) = cluster.kernel_processes()
        assert first.stop() == 0
        answer = await start
        assert answer.status_code == 503  # type: ignore[attr-defined]
        assert "Retry-After" in answer.headers  # type: ignore[attr-defined]
        let_go(cluster)
        again = await rest.request("POST", "/api/kernels", on=1, body={"name": SLOW}, headers=KEY)
        assert again.status_code == 201
        kernel_id = again.json()["id"]
        assert kernel_id == left.kernel_id
        assert await rest.run(kernel_id, "print(6 * 7)", on=1) == "42"
        (process,) = cluster.kernel_processes()
        assert process.pid != left.pid


async def test_a_second_signal_stops_at_once_and_costs_no_kernel(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(EG_DRAIN_TIMEOUT="600")
    install_kernel_that_waits_for_a_file(cluster)
    first, _ = cluster.start(2)
    async with Rest(cluster.urls, cluster.token) as rest:
        running = await rest.start(on=0)
        start = await starting(cluster, rest)
        first.signal(signal.SIGINT)
        await is_draining(rest)
        await eventually(lambda: "Waiting for 1 kernel" in first.log, "it says what it waits for")
        first.signal(signal.SIGINT)
        await eventually(lambda: not first.running, "the replica has stopped")
        assert first.stop() == 1
        await asyncio.wait({start})
        assert start.exception() is not None
        assert await rest.run(running, "print(6 * 7)", on=1) == "42"


async def test_a_thread_that_hangs_keeps_no_replica_that_has_left(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(EG_AUTHORIZER_CLASS="tests.fakes.authorizer.Hanging")
    (replica,) = cluster.start()
    async with Rest(cluster.urls, cluster.token) as rest:
        asked = asyncio.create_task(rest.request("GET", "/api/kernels"))
        await eventually(lambda: "the authorizer is asked" in replica.log, "it hangs")
        assert replica.stop() == 0
        assert "thread blocking_" in replica.log
        await asyncio.wait({asked})
        assert asked.exception() is not None
