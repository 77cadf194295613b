"""A replica that meets an unknown kernel knows it by its record, whether the kernel is busy or not."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.conftest import MakeCluster
from tests.cluster.kernel_socket import KernelSocket
from tests.cluster.replicas import SELDOM, Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

# A cell that goes on until a file appears: busy for as long as the test wants, and no longer. Not flushed: see `cells`.
UNTIL_RELEASED = """
import os, time
print("busy")
while not os.path.exists({path!r}):
    time.sleep(0.05)
print("released")
"""


class BusyKernel:
    """A kernel that runs a cell, started and watched on replica 0."""

    def __init__(self, kernel_id: str, socket: KernelSocket, msg_id: str, trio: Cluster) -> None:
        self.kernel_id = kernel_id
        self.socket = socket
        self.msg_id = msg_id
        self._flag = trio.folder / kernel_id

    @classmethod
    async def start(cls, rest: Rest, trio: Cluster) -> BusyKernel:
        kernel_id = await rest.start(on=0)
        socket = await rest.open(kernel_id, on=0)
        msg_id = await socket.begin(UNTIL_RELEASED.format(path=str(trio.folder / kernel_id)))
        await socket.until(lambda message: message.type == "stream")
        return cls(kernel_id, socket, msg_id, trio)

    def release(self) -> None:
        self._flag.touch()


@pytest.mark.parametrize("v1", [True, False])
async def test_an_idle_kernel_answers_on_a_replica_that_did_not_start_it(rest: Rest, v1: bool) -> None:
    kernel_id = await rest.start(on=0)
    await rest.run(kernel_id, "x = 7", on=0)
    assert (await rest.get(f"/api/kernels/{kernel_id}", on=1))["id"] == kernel_id
    await rest.post(f"/api/kernels/{kernel_id}/interrupt", on=1, expect=204)
    assert await rest.run(kernel_id, "print(x)", on=2, v1=v1) == "7"


async def test_a_busy_kernel_opens_at_once_elsewhere_and_shows_that_it_is_busy(rest: Rest, trio: Cluster) -> None:
    busy = await BusyKernel.start(rest, trio)

    async def known() -> bool:  # it is written within half a second
        state: str = (await rest.get(f"/api/kernels/{busy.kernel_id}", on=1))["execution_state"]
        return state == "busy"

    async with busy.socket:
        await eventually(known, "the other replica knows that it is busy")
        async with await rest.open(busy.kernel_id, on=1) as other:
            await other.until_state("busy")
            busy.release()
            await other.until(lambda m: m.type == "stream" and m.content["text"] == "released\n")
            assert (await busy.socket.finish(busy.msg_id)).printed() == "released"
            assert (await other.execute("print(1)")).printed() == "1"


async def test_every_replica_says_that_a_busy_kernel_is_busy(rest: Rest, trio: Cluster) -> None:
    busy = await BusyKernel.start(rest, trio)
    async with busy.socket:
        for on in (1, 2):

            async def is_busy(on: int = on) -> bool:
                model = await rest.get(f"/api/kernels/{busy.kernel_id}", on=on)
                return (model["execution_state"], model["connections"]) == ("busy", 1)

            await eventually(is_busy, f"replica {on} says busy")
        busy.release()
        await busy.socket.finish(busy.msg_id)


async def test_a_kernel_that_turns_busy_is_written_long_before_the_next_flush_is_due(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(**SELDOM)
    cluster.start(2)
    async with Rest(cluster.urls, cluster.token) as rest:
        busy = await BusyKernel.start(rest, cluster)

        async def known(state: str) -> bool:
            return bool((await rest.get(f"/api/kernels/{busy.kernel_id}", on=1))["execution_state"] == state)

        async with busy.socket:
            await eventually(lambda: known("busy"), "the other replica knows that it is busy")
            busy.release()
            await eventually(lambda: known("idle"), "and that it is idle")


async def test_an_interrupt_on_another_replica_ends_the_cell(rest: Rest, trio: Cluster) -> None:
    busy = await BusyKernel.start(rest, trio)
    async with busy.socket:
        await rest.post(f"/api/kernels/{busy.kernel_id}/interrupt", on=1, expect=204)
        done = await busy.socket.finish(busy.msg_id)
        assert done.reply["ename"] == "KeyboardInterrupt"


async def test_an_interrupt_ends_what_the_cell_has_started_too(rest: Rest) -> None:
    kernel_id = await rest.start(on=0)
    async with await rest.open(kernel_id, on=0) as kernel:
        msg_id = await kernel.begin("!echo begun; sleep 1000")
        await kernel.until(lambda message: message.type == "stream")
        await rest.post(f"/api/kernels/{kernel_id}/interrupt", on=1, expect=204)
        await kernel.finish(msg_id)


@pytest.mark.parametrize("v1", [True, False])
async def test_a_restart_elsewhere_reaches_the_clients_of_this_replica(rest: Rest, v1: bool) -> None:
    kernel_id = await rest.start(on=0)
    async with await rest.open(kernel_id, on=1, v1=v1) as kernel:
        await kernel.execute("x = 1")
        await rest.post(f"/api/kernels/{kernel_id}/restart", on=0, expect=200)
        await kernel.until_state("starting")
        assert (await kernel.execute("print('x' in globals())")).printed() == "False"


async def test_a_restart_ends_the_running_cell_of_another_replicas_client_as_aborted(rest: Rest, trio: Cluster) -> None:
    busy = await BusyKernel.start(rest, trio)
    async with busy.socket:
        await rest.post(f"/api/kernels/{busy.kernel_id}/restart", on=1, expect=200)
        reply = await busy.socket.until(lambda m: m.type == "execute_reply")
        assert reply.answers(busy.msg_id)
        assert reply.content["status"] in ("aborted", "abort")


@pytest.mark.parametrize("v1", [True, False])
async def test_a_delete_elsewhere_reaches_the_clients_of_this_replica(rest: Rest, v1: bool) -> None:
    kernel_id = await rest.start(on=0)
    async with await rest.open(kernel_id, on=1, v1=v1) as kernel:
        await rest.delete(f"/api/kernels/{kernel_id}", on=2)
        await kernel.until_state("dead")
    for on in range(3):
        await rest.get(f"/api/kernels/{kernel_id}", on=on, expect=404)


async def test_connections_of_all_replicas_are_counted(rest: Rest) -> None:
    kernel_id = await rest.start(on=0)
    sockets = [await rest.open(kernel_id, on=on) for on in (0, 1, 1, 2)]

    async def counted(count: int) -> bool:
        return all([(await rest.get(f"/api/kernels/{kernel_id}", on=on))["connections"] == count for on in range(3)])

    await eventually(lambda: counted(4), "4 connections are counted")
    for socket in sockets:
        await socket.close()
    await eventually(lambda: counted(0), "no connection is counted")


async def test_a_kernel_can_be_used_on_all_replicas_at_once(rest: Rest) -> None:
    kernel_id = await rest.start(on=0)
    code = "print('from', {on})"
    printed = await asyncio.gather(*(rest.run(kernel_id, code.format(on=on), on=on) for on in range(3)))
    assert printed == [f"from {on}" for on in range(3)]
