"""A kernelspec with `interrupt_mode: message`: its kernels are asked over control, and get no signal."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.cluster import light_kernels
from tests.cluster.conftest import MakeCluster
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest

MODE = "by-message"


@pytest.fixture
def pair(make_cluster: MakeCluster) -> Cluster:
    cluster = make_cluster(EG_IPC_KERNELSPECS=MODE)
    light_kernels.install_light(cluster, MODE, interrupt_mode="message")
    cluster.start(2)
    return cluster


@pytest.fixture
async def rest(pair: Cluster) -> AsyncIterator[Rest]:
    async with Rest(pair.urls, pair.token) as client:
        yield client


async def test_a_kernel_that_wants_a_message_gets_one_from_each_replica_that_is_asked(rest: Rest) -> None:
    kernel_id = await rest.start(on=0, name=MODE)
    await rest.post(f"/api/kernels/{kernel_id}/interrupt", on=0, expect=204)
    await rest.post(f"/api/kernels/{kernel_id}/interrupt", on=1, expect=204)
    assert await rest.run(kernel_id, "print(interrupts)") == "2"


async def test_one_that_takes_no_notice_of_the_message_is_503_and_lives(rest: Rest, pair: Cluster) -> None:
    kernel_id = await rest.start(on=0, name=MODE)
    (process,) = pair.kernel_processes(kernel_id)
    os.kill(process.pid, signal.SIGSTOP)
    refused = await rest.request("POST", f"/api/kernels/{kernel_id}/interrupt", on=1, body={})
    assert (refused.status_code, refused.json()["reason"]) == (503, "Kernel does not answer")
    os.kill(process.pid, signal.SIGCONT)
    assert await rest.run(kernel_id, "print(1)") == "1"
