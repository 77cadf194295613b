"""An act whose actor is gone (past its limit, or declared dead): the next request that names the kernel finishes it."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from tests.cluster.conftest import MakeCluster
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.test_drain import SLOW, install_kernel_that_waits_for_a_file, let_go
from tests.cluster.waiting import eventually

NEVER_READY = "never-ready"


def install_kernel_that_is_never_ready(cluster: Cluster) -> None:
    folder = cluster.folder / ".local/share/jupyter/kernels" / NEVER_READY
    folder.mkdir(parents=True)
    argv = ["/bin/sh", "-c", "sleep 600", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": NEVER_READY, "language": "sh"}))


@pytest.fixture
def pair(make_cluster: MakeCluster) -> Cluster:
    cluster = make_cluster(EG_SHUTDOWN_WAIT_TIME="1")
    install_kernel_that_is_never_ready(cluster)
    cluster.start(2)
    return cluster


async def phase_is(cluster: Cluster, kernel_id: str, phase: str) -> None:
    await eventually(lambda: cluster.document(kernel_id)["phase"] == phase, f"{kernel_id} is {phase}")


async def fails(task: asyncio.Task[object]) -> None:
    await asyncio.wait({task})
    task.exception()


async def launching(pair: Cluster, rest: Rest, name: str = NEVER_READY) -> tuple[str, asyncio.Task[object]]:
    """A kernel whose launch on replica 0 has a process and no end."""
    kernel_id = "0b9a1bd4-1f0e-4b8e-9a41-2f4fd6b6a001"
    body = {"name": name, "kernel_id": kernel_id}
    start = asyncio.create_task(rest.request("POST", "/api/kernels", on=0, body=body))
    await eventually(lambda: pair.kernel_processes(kernel_id), "its process is there")
    await eventually(lambda: "process" in pair.document(kernel_id), "its process is recorded")
    return kernel_id, start  # type: ignore[return-value]


async def test_a_launch_that_never_answers_is_stopped_at_its_deadline_and_leaves_nothing(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        body = {"name": NEVER_READY, "env": {"KERNEL_LAUNCH_TIMEOUT": "5"}}
        answer = await rest.request("POST", "/api/kernels", on=0, body=body)
    assert answer.status_code == 504
    assert "KERNEL_LAUNCH_TIMEOUT" in answer.json()["message"]
    assert not pair.kernel_processes()
    (record,) = pair.documents("kernels")
    assert record["phase"] == "ended"


async def test_a_launch_is_stopped_by_a_delete_on_another_replica(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id, start = await launching(pair, rest)
        await rest.delete(f"/api/kernels/{kernel_id}", on=1)
        await fails(start)
    assert not pair.kernel_processes()
    assert pair.document(kernel_id)["phase"] == "ended"


async def test_a_launch_whose_replica_was_killed_is_ended_by_a_delete_on_another(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id, start = await launching(pair, rest)
        pair.replicas[0].kill()
        pair.declare_dead(pair.replicas[0])
        await fails(start)
        await rest.delete(f"/api/kernels/{kernel_id}", on=1)
        await rest.get(f"/api/kernels/{kernel_id}", on=1, expect=404)
    assert not pair.kernel_processes()


async def test_a_start_that_is_repeated_after_its_replica_was_killed_is_begun_anew(pair: Cluster) -> None:
    install_kernel_that_waits_for_a_file(pair)
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id, start = await launching(pair, rest, SLOW)
        pair.replicas[0].kill()
        pair.declare_dead(pair.replicas[0])
        await fails(start)
        again = asyncio.create_task(rest.start(on=1, kernel_id=kernel_id, name=SLOW))
        await eventually(lambda: [p.generation for p in pair.kernel_processes()] == [2], "it is launched again")
        let_go(pair)
        assert await again == kernel_id
        assert await rest.run(kernel_id, "print(6 * 7)", on=1) == "42"
        assert pair.document(kernel_id)["generation"] == 2


async def test_a_restart_whose_replica_was_killed_is_tried_once_more_by_another(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id = await rest.start(on=0)
        (former,) = pair.kernel_processes(kernel_id)
        os.kill(former.pid, signal.SIGSTOP)  # so that its end takes long
        restart = asyncio.create_task(rest.request("POST", f"/api/kernels/{kernel_id}/restart", on=0, body={}))
        await phase_is(pair, kernel_id, "restarting")
        pair.replicas[0].kill()
        pair.declare_dead(pair.replicas[0])
        await fails(restart)  # type: ignore[arg-type]
        answer = await rest.post(f"/api/kernels/{kernel_id}/restart", on=1, expect=200)
        assert answer.json()["execution_state"] == "idle"
        assert await rest.run(kernel_id, "print(6 * 7)", on=1) == "42"
        (process,) = pair.kernel_processes(kernel_id)
        assert process.generation == 3
        assert process.pid != former.pid
        await rest.delete(f"/api/kernels/{kernel_id}", on=1)


async def test_a_stop_whose_replica_was_killed_is_finished_by_another(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        kernel_id = await rest.start(on=0)
        (process,) = pair.kernel_processes(kernel_id)
        os.kill(process.pid, signal.SIGSTOP)
        stop = asyncio.create_task(rest.request("DELETE", f"/api/kernels/{kernel_id}", on=0))
        await phase_is(pair, kernel_id, "stopping")
        pair.replicas[0].kill()
        pair.declare_dead(pair.replicas[0])
        await fails(stop)  # type: ignore[arg-type]
        await rest.delete(f"/api/kernels/{kernel_id}", on=1)
        await rest.get(f"/api/kernels/{kernel_id}", on=1, expect=404)
    assert not pair.kernel_processes()


async def test_a_delete_whose_stop_was_taken_over_is_done_only_when_the_kernel_is_ended(
    make_cluster: MakeCluster,
) -> None:
    kernel_id = "0b9a1bd4-1f0e-4b8e-9a41-2f4fd6b6a002"
    pair = make_cluster(EG_SHUTDOWN_WAIT_TIME="1", EG_TEST_FAULTS=f"stop@before:end act@{kernel_id}")
    first, second = pair.start(2)
    async with Rest(pair.urls, pair.token) as rest:
        await rest.start(on=0, kernel_id=kernel_id)
        stop = asyncio.create_task(rest.request("DELETE", f"/api/kernels/{kernel_id}", on=0))
        await eventually(lambda: first.stopped, "the first is about to end the record")
        pair.declare_dead(first)
        await eventually(lambda: second.stopped, "so is the second, who has taken the stop over")
        first.signal(signal.SIGCONT)
        assert (await stop).status_code == 204
        assert pair.document(kernel_id)["phase"] == "ended"
