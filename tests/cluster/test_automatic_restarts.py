"""A kernel that dies by itself is restarted by its owner: the same id, the same WebSockets, a new process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from enterprise_gateway.provisioners.process import KernelProcess, read_start_ticks
from tests.cluster import light_kernels
from tests.cluster.cells import ENDLESS
from tests.cluster.conftest import MakeCluster
from tests.cluster.kernel_processes import KernelProcess as KernelSeen
from tests.cluster.kernel_socket import KernelSocket, Message
from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import IMPATIENT, Cluster
from tests.cluster.rest import Rest
from tests.cluster.test_races import is_gone, is_whole
from tests.cluster.waiting import eventually
from tests.replica_set import ReplicaSet

MOST_RESTARTS = 5
ROUNDS = range(3)
LAUNCHER = """#!/bin/sh
exec {python} -m ipykernel_launcher "$@"
"""


async def process_of(trio: Cluster, kernel_id: str, generation: int = 1) -> KernelSeen:
    """Wait until this generation's process is the only one of the kernel's, and runs for its record."""

    def found() -> KernelSeen | None:
        processes = trio.kernel_processes(kernel_id)
        record = trio.document(kernel_id)
        ready = (record["generation"], record["phase"]) == (generation, "running")
        return processes[0] if ready and [p.generation for p in processes] == [generation] else None

    return await eventually(found, f"generation {generation} of {kernel_id} runs alone")


async def kill(trio: Cluster, kernel_id: str, generation: int = 1) -> None:
    os.kill((await process_of(trio, kernel_id, generation)).pid, signal.SIGKILL)


def is_told_why(message: Message) -> bool:
    return message.type == "stream" and message.content["name"] == "stderr" and "SIGKILL" in message.content["text"]


async def has_no_variable(kernel: KernelSocket) -> bool:
    return (await kernel.execute("print('x' in globals())")).printed() == "False"


@pytest.mark.parametrize("on", [0, 1])
async def test_a_killed_kernel_goes_on_under_its_id_and_websocket_without_its_variables(
    rest: Rest, trio: Cluster, on: int
) -> None:
    kernel_id = await rest.start(on=0)
    async with await rest.open(kernel_id, on=on) as kernel:
        await kernel.execute("x = 1")
        await kill(trio, kernel_id)
        await kernel.until_state("restarting")
        await kernel.until_state("idle")
        assert await has_no_variable(kernel)
    await process_of(trio, kernel_id, 2)
    assert kernel_id in await rest.listed(on=2)


@pytest.mark.parametrize("on", [0, 1])
async def test_clients_are_told_why_and_their_open_requests_are_aborted(rest: Rest, trio: Cluster, on: int) -> None:
    kernel_id = await rest.start(on=0)
    async with await rest.open(kernel_id, on=on) as kernel:
        cell = await kernel.begin(ENDLESS)
        await kernel.until(lambda message: message.type == "stream")
        await kill(trio, kernel_id)
        reply = await kernel.until(lambda m: m.type == "execute_reply")
        assert reply.answers(cell)
        assert reply.content["status"] == "aborted"
        await kernel.until(is_told_why)
        await kernel.until_state("restarting")


async def test_what_is_sent_during_the_restart_waits_for_the_new_kernel(rest: Rest, trio: Cluster) -> None:
    kernel_id = await rest.start(on=0, name=LIGHT)
    async with await rest.open(kernel_id, on=1) as kernel:
        await kernel.execute("x = 1")
        await kill(trio, kernel_id)
        await kernel.until_state("restarting")
        assert await has_no_variable(kernel)


async def test_a_kernel_that_ends_itself_is_restarted(rest: Rest, trio: Cluster) -> None:
    kernel_id = await rest.start(on=0)
    async with await rest.open(kernel_id, on=1) as kernel:
        await kernel.begin("x = 1\nexit()")
        await kernel.until_state("restarting")
        assert await has_no_variable(kernel)


@contextmanager
def starts_held(trio: Cluster) -> Iterator[None]:
    """Hold each kernel that starts before it answers."""
    startup = Path(trio.folder, "ipython", "profile_default", "startup")
    startup.mkdir(parents=True, exist_ok=True)
    script, flag = startup / "held.py", startup / "held"
    flag.touch()
    script.write_text(f"import os, time\nwhile os.path.exists({str(flag)!r}):\n    time.sleep(0.05)\n")
    try:
        yield
    finally:
        script.unlink()
        flag.unlink()


async def test_meanwhile_every_replica_says_that_it_is_restarted_by_itself(rest: Rest, trio: Cluster) -> None:
    kernel_id = await rest.start(on=0)
    with starts_held(trio):
        await kill(trio, kernel_id)

        async def told() -> bool:
            models = [await rest.get(f"/api/kernels/{kernel_id}", on=on) for on in range(3)]
            models += [model for model in await rest.get("/api/kernels") if model["id"] == kernel_id]
            return {model["execution_state"] for model in models} == {"autorestarting"}

        await eventually(told, "all replicas say autorestarting")
        async with await rest.open(kernel_id, on=2) as late:
            assert (await late.receive()).state == "starting"
    await process_of(trio, kernel_id, 2)


async def test_a_kernel_killed_again_and_again_is_dead_after_five_restarts_with_its_reason(
    rest: Rest, trio: Cluster
) -> None:
    kernel_id = await rest.start(on=0, name=LIGHT)
    async with await rest.open(kernel_id, on=1) as kernel:
        for generation in range(1, MOST_RESTARTS + 2):
            await kill(trio, kernel_id, generation)
        await kernel.until(lambda m: is_told_why(m) and "5 restarts" in m.content["text"])
        await kernel.until_state("dead")
    record = trio.document(kernel_id)
    assert record["phase"] == "ended"
    assert "SIGKILL" in record["reason"]
    assert not trio.kernel_processes(kernel_id)
    await rest.get(f"/api/kernels/{kernel_id}", on=2, expect=404)


async def test_a_restart_that_is_asked_for_starts_the_count_anew(rest: Rest, trio: Cluster) -> None:
    kernel_id = await rest.start(on=0, name=LIGHT)
    await kill(trio, kernel_id)
    await process_of(trio, kernel_id, 2)
    assert trio.document(kernel_id)["restarts"] == 1
    await rest.post(f"/api/kernels/{kernel_id}/restart", on=1, expect=200)
    record: dict[str, Any] = trio.document(kernel_id)
    assert (record["restarts"], record["generation"]) == (0, 3)
    assert "reason" not in record


def install_kernel_of_a_script(cluster: Cluster) -> Path:
    """A kernelspec `scripted` whose command can be taken away; returns the command."""
    script = cluster.folder / "launcher"
    script.write_text(LAUNCHER.format(python=sys.executable))
    script.chmod(0o700)
    folder = cluster.folder / ".local/share/jupyter/kernels/scripted"
    folder.mkdir(parents=True)
    spec = {"argv": [str(script), "-f", "{connection_file}"], "display_name": "scripted", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    return script


async def test_a_kernel_whose_restart_fails_is_dead_with_that_reason(rest: Rest, trio: Cluster) -> None:
    script = install_kernel_of_a_script(trio)
    kernel_id = await rest.start(on=0, name="scripted")
    async with await rest.open(kernel_id, on=1) as kernel:
        script.unlink()
        await kill(trio, kernel_id)
        await kernel.until_state("dead")
    assert "not found" in trio.document(kernel_id)["reason"]


async def test_what_another_replica_restarts_its_owner_does_not(rest: Rest, trio: Cluster) -> None:
    kernel_id = await rest.start(on=0, name=LIGHT)
    for _ in range(5):
        await rest.post(f"/api/kernels/{kernel_id}/restart", on=1, expect=200)
        await rest.post(f"/api/kernels/{kernel_id}/restart", on=0, expect=200)
    await process_of(trio, kernel_id, 11)
    await is_whole(rest, trio, kernel_id)
    assert trio.document(kernel_id)["restarts"] == 0


async def test_what_another_replica_deletes_its_owner_does_not_restart(rest: Rest, trio: Cluster) -> None:
    for _ in range(3):
        kernel_ids = await asyncio.gather(*(rest.start(on=0, name=LIGHT) for _ in range(3)))
        await asyncio.gather(*(rest.delete(f"/api/kernels/{kernel_id}", on=1) for kernel_id in kernel_ids))
        for kernel_id in kernel_ids:
            await is_gone(rest, trio, kernel_id)
            assert trio.document(kernel_id)["generation"] == 1


@pytest.mark.parametrize("_round", ROUNDS)
async def test_a_delete_elsewhere_wins_over_a_death_at_the_same_time(rest: Rest, trio: Cluster, _round: int) -> None:
    kernel_id = await rest.start(on=0, name=LIGHT)
    await kill(trio, kernel_id)
    await rest.delete(f"/api/kernels/{kernel_id}", on=1)
    await is_gone(rest, trio, kernel_id)


@pytest.mark.parametrize("_round", ROUNDS)
async def test_a_restart_elsewhere_and_a_death_at_the_same_time_leave_one_kernel(
    rest: Rest, trio: Cluster, _round: int
) -> None:
    kernel_id = await rest.start(on=0, name=LIGHT)
    await kill(trio, kernel_id)
    await rest.post(f"/api/kernels/{kernel_id}/restart", on=1, expect=200)
    await is_whole(rest, trio, kernel_id)


async def test_while_its_owner_has_not_seen_a_death_others_say_503_and_try_again(rest: Rest, trio: Cluster) -> None:
    kernel_id = await rest.start(on=0, name=LIGHT)
    pid = (await process_of(trio, kernel_id)).pid
    process = KernelProcess.find(pid, read_start_ticks(pid) or 0)
    assert process is not None
    trio.replicas[0].signal(signal.SIGSTOP)
    try:
        await eventually(lambda: trio.replicas[0].stopped, "its owner is paused")
        os.kill(pid, signal.SIGKILL)
        await process.wait()  # while it dies it has no command line any more, but takes signals
        answer = await rest.request("POST", f"/api/kernels/{kernel_id}/interrupt", on=1, body={})
        assert (answer.status_code, answer.json()["reason"]) == (503, "Kernel is gone")
        assert answer.headers["Retry-After"]
    finally:
        trio.replicas[0].signal(signal.SIGCONT)
    await process_of(trio, kernel_id, 2)
    assert await rest.run(kernel_id, "print(1)", on=1) == "1"


async def test_a_kernel_that_dies_without_an_owner_is_restarted_by_the_next_one(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    (first,) = cluster.start()
    async with Rest(cluster.urls, cluster.token) as rest:
        kernel_id = await rest.start()
    assert first.stop() == 0
    await kill(cluster, kernel_id)
    cluster.start()
    await process_of(cluster, kernel_id, 2)
    async with Rest(cluster.urls, cluster.token) as rest:
        assert await rest.run(kernel_id, "print(1)") == "1"


async def test_a_death_while_the_database_is_away_is_followed_by_one_restart_when_it_is_back(
    replica_set: ReplicaSet,
) -> None:
    with Cluster(replica_set.uri, settings={**light_kernels.SETTINGS, **IMPATIENT}) as cluster:
        light_kernels.install(cluster)
        cluster.start(2)
        async with Rest(cluster.urls, cluster.token) as rest:
            kernel_id = await rest.start(on=0, name=LIGHT)
            process = await process_of(cluster, kernel_id)
            replica_set.pause()
            os.kill(process.pid, signal.SIGKILL)

            async def away() -> bool:
                return all([(await rest.request("GET", "/readyz", on=on)).status_code == 503 for on in range(2)])

            await eventually(away, "both replicas know that the database is away")
            replica_set.resume()
            await process_of(cluster, kernel_id, 2)
            await is_whole_here(rest, kernel_id)
            assert cluster.document(kernel_id)["generation"] == 2


async def is_whole_here(rest: Rest, kernel_id: str) -> None:
    """Check that all replicas serve the same process."""
    assert len({await rest.run(kernel_id, "import os; print(os.getpid())", on=on) for on in range(2)}) == 1
