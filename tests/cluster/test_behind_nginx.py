"""Replicas behind a real nginx, which knows nothing but their ports: `make cluster`, and restarts one by one."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.cluster import find_nginx, write_nginx_conf
from tests.cluster.conftest import MakeCluster
from tests.cluster.processes import ServerProcess, free_port
from tests.cluster.replicas import ROOT, Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

pytestmark = [pytest.mark.nginx, pytest.mark.mongod]


def nginx(cluster: Cluster) -> ServerProcess:
    """An nginx in front of the cluster's replicas, as `make cluster` has it."""
    folder, port = cluster.folder / "nginx", free_port()
    folder.mkdir()
    conf = write_nginx_conf(folder, port, [urlsplit(url).port or 0 for url in cluster.urls])
    command = [find_nginx(), "-e", "stderr", "-p", str(folder), "-c", str(conf)]
    process = ServerProcess("nginx", command, {"PATH": os.environ["PATH"]}, port, cluster.folder)
    process.wait_until_ready("/readyz")
    return process


@asynccontextmanager
async def asking(rest: Rest, kernel_id: str) -> AsyncIterator[list[str]]:
    """Ask for lists and open WebSockets all the time, and fail with the first answer that is none."""
    done: list[str] = []

    async def ask() -> None:
        while True:
            assert kernel_id in await rest.listed()
            await rest.get("/api/kernelspecs")
            async with await rest.open(kernel_id):
                done.append(kernel_id)

    task = asyncio.create_task(ask())
    try:
        yield done
    finally:
        if task.done():
            task.result()
        task.cancel()
        await asyncio.wait({task})


async def test_restarts_one_by_one_are_no_outage(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    replicas = cluster.start(2)
    balancer = nginx(cluster)
    async with Rest([balancer.url], cluster.token) as rest:
        kernel_id = await rest.start()
        async with asking(rest, kernel_id) as done:
            for index, replica in enumerate(replicas):
                assert await asyncio.to_thread(replica.stop) == 0
                await asyncio.to_thread(cluster.start_again, index)
                before = len(done)
                await eventually(lambda before=before: len(done) > before + 4, "it goes on")  # type: ignore[misc]
    assert balancer.stop() == 0


@pytest.fixture
def playground(make_cluster: MakeCluster) -> Iterator[tuple[Cluster, ServerProcess]]:
    """`make cluster` with two replicas, in a folder of its own."""
    cluster, port = make_cluster(embedded=True, token=""), free_port()
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(cluster.folder),
        "XDG_RUNTIME_DIR": str(cluster.runtime),
        "EG_KERNEL_RUNTIME_DIR": str(cluster.runtime / "k"),
        "EG_MONGODB_URI": "mongodb://a-real-one.example.org",
    }
    command = [sys.executable, str(ROOT / "scripts/cluster.py"), f"--port={port}", "--replicas=2"]
    command.append(f"--folder={cluster.folder / '.cluster'}")
    script = ServerProcess("make-cluster", command, env, port, cluster.folder)
    yield cluster, script
    script.kill()


async def test_make_cluster_starts_a_killed_replica_again_and_ends_the_kernels(
    playground: tuple[Cluster, ServerProcess],
) -> None:
    cluster, script = playground
    await eventually(lambda: "Ctrl-C stops all" in script.log, "all are ready")
    async with Rest([script.url], "") as rest:
        kernel_id = await rest.start()
        pid = int(re.findall(r"kill -9 (\d+)", script.log)[0])
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: "killed by SIGKILL" in script.log, "the script has seen it")
        for _ in range(4):
            assert await rest.listed() == {kernel_id}
        await eventually(lambda: "replica-1 is started again, process" in script.log, "it is started again")
    assert script.stop() == 0
    assert not cluster.kernel_processes()
    assert (Path(cluster.folder) / ".cluster/database").is_dir()


async def test_make_cluster_names_the_balancer_before_any_replica(
    playground: tuple[Cluster, ServerProcess],
) -> None:
    _, script = playground
    await eventually(lambda: "replica-2" in script.log, "a replica speaks")
    assert script.log.index(script.url) < script.log.index("replica-")
    assert script.stop() == 0
