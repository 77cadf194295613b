"""A host that lacks something: starts are refused with the reason, what runs goes on, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymongo
import pytest
from pymongo.errors import PyMongoError
from tornado.httpclient import HTTPError

from enterprise_gateway import threads
from tests.cluster import light_kernels
from tests.cluster.conftest import MakeCluster
from tests.cluster.kernel_socket import KernelSocket
from tests.cluster.light_kernels import LIGHT
from tests.cluster.outages import known_away, known_back
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.scarcity import SmallDisk, descriptors_limited, open_descriptors, processes_limited
from tests.cluster.waiting import eventually
from tests.requirements import require

LOG_BYTES = 1_000_000  # a loop that fails without end writes more than that in a second
ALMOST_NONE = 8  # descriptors: enough for a request and its answer, too few for a kernel


@pytest.fixture(scope="module")
def trio(mongod_uri: str) -> Iterator[Cluster]:
    """One replica, whose descriptors each test counts."""
    with Cluster(mongod_uri, settings=light_kernels.SETTINGS) as cluster:
        light_kernels.install(cluster)
        cluster.start()
        yield cluster


@pytest.fixture
def replica(trio: Cluster) -> ServerProcess:
    return trio.replicas[0]


@pytest.fixture
async def kernel_id(rest: Rest) -> str:
    kernel_id = await rest.start(name=LIGHT)
    await rest.run(kernel_id, "x = 7")
    return kernel_id


async def in_use(rest: Rest, kernel_id: str) -> KernelSocket:
    """A WebSocket for which all that it needs has been opened."""
    opened = await rest.open(kernel_id)
    await opened.execute("1")
    return opened


async def refused(rest: Rest, method: str, path: str, body: Any = None) -> str:
    """Ask for what there is no room for; returns the sentence of the answer."""
    answer = await rest.request(method, path, body=body)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10"), answer.text
    message: str = answer.json()["message"]
    return message


def traces(cluster: Cluster) -> tuple[list[str], list[str], list[str]]:
    """What there is of kernels: live records, processes, directories."""
    live = [document["_id"] for document in cluster.documents("kernels") if document["phase"] != "ended"]
    processes = [process.kernel_id for process in cluster.kernel_processes()]
    directories = [path.name.partition(".")[0] for path in (cluster.runtime / "k").glob("*/*.*")]
    return sorted(live), sorted(processes), sorted(directories)


@pytest.mark.ptrace
async def test_near_the_limit_of_open_files_what_is_new_is_refused_and_what_runs_goes_on(
    rest: Rest, trio: Cluster, replica: ServerProcess, kernel_id: str
) -> None:
    async with await in_use(rest, kernel_id) as opened:
        await rest.listed()
        before = traces(trio)
        with descriptors_limited(replica.pid, free=ALMOST_NONE):
            assert "open files" in await refused(rest, "POST", "/api/kernels", {"name": LIGHT})
            assert "open files" in await refused(rest, "POST", f"/api/kernels/{kernel_id}/restart", {})
            with pytest.raises(HTTPError, match="503"):
                await rest.open(kernel_id)
            assert (await opened.execute("print(x)")).printed() == "7"
            await rest.post(f"/api/kernels/{kernel_id}/interrupt", expect=204)
            assert await rest.listed() == {kernel_id}
        assert traces(trio) == before
        assert await rest.run(kernel_id, "print(x)") == "7"


@pytest.mark.ptrace
@pytest.mark.parametrize("free", [0, ALMOST_NONE])
async def test_a_flood_of_connections_neither_ends_nor_stalls_a_replica(
    rest: Rest, replica: ServerProcess, kernel_id: str, free: int
) -> None:
    async with await in_use(rest, kernel_id) as opened:
        log_bytes = len(replica.log)
        with descriptors_limited(replica.pid, free=free), flood(replica):
            for _ in range(20):
                assert (await opened.execute("print(x)")).printed() == "7"
        assert len(replica.log) < log_bytes + LOG_BYTES
        await eventually(lambda: ready(rest), "it is ready again")
        assert await rest.run(kernel_id, "print(x)") == "7"


@contextlib.contextmanager
def flood(replica: ServerProcess) -> Iterator[None]:
    """Open more connections than the replica can take, and say nothing on them."""
    host, port = replica.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex((host, int(port)))
        yield


async def ready(rest: Rest) -> bool:
    return (await rest.request("GET", "/readyz")).status_code == 200


@pytest.mark.ptrace
async def test_starts_and_clients_that_come_and_go_leave_no_descriptor_open(
    rest: Rest, replica: ServerProcess, trio: Cluster
) -> None:
    bad = {"argv": ["/nowhere/python", "{connection_file}"], "display_name": "bad", "language": "sh"}
    install(trio, "bad", bad)
    for turn in range(4):
        if turn == 1:
            before = open_descriptors(replica.pid)  # what is opened once for all is open by now
        kernel_id = await rest.start(name=LIGHT)
        await rest.run(kernel_id, "print(1)")
        await rest.delete(f"/api/kernels/{kernel_id}")
        assert (await rest.request("POST", "/api/kernels", body={"name": "bad"})).status_code == 500
    await eventually(lambda: open_descriptors(replica.pid) <= before + 1, "all of them are closed")


def install(cluster: Cluster, name: str, spec: dict[str, Any]) -> None:
    folder = cluster.folder / ".local/share/jupyter/kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.json").write_text(json.dumps(spec))


def test_the_threads_for_blocking_calls_run_before_there_are_any(replica: ServerProcess) -> None:
    assert len(list(Path(f"/proc/{replica.pid}/task").iterdir())) > threads.COUNT


@pytest.mark.cgroup
@pytest.mark.parametrize("free", [0, 1])
async def test_where_no_process_can_be_started_a_start_is_refused_and_what_runs_goes_on(
    rest: Rest, trio: Cluster, replica: ServerProcess, kernel_id: str, free: int
) -> None:
    before = traces(trio)
    descriptors = open_descriptors(replica.pid)
    async with await in_use(rest, kernel_id) as opened:
        with processes_limited(require("cgroup"), replica.pid, free=free):
            answer = await rest.request("POST", "/api/kernels", body={"name": LIGHT})
            assert answer.status_code in ((503,) if free == 0 else (500, 503)), answer.text
            assert answer.json()["message"]
            assert (await opened.execute("print(x)")).printed() == "7"
        await eventually(lambda: traces(trio) == before, "nothing is left of it")
    await eventually(lambda: open_descriptors(replica.pid) <= descriptors, "no descriptor is left open")
    await rest.delete(f"/api/kernels/{await rest.start(name=LIGHT)}")


async def test_a_kernel_that_gets_no_memory_fails_its_start_with_its_last_words(rest: Rest, trio: Cluster) -> None:
    python = ["/usr/bin/env", "python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    little = {"argv": ["prlimit", "--as=20000000", *python], "display_name": "little", "language": "python"}
    install(trio, "little", little)
    before = traces(trio)
    answer = await rest.request("POST", "/api/kernels", body={"name": "little"})
    assert answer.status_code == 500
    assert "exited with code" in answer.json()["message"]
    assert traces(trio) == before


@pytest.fixture
def disk(make_cluster: MakeCluster) -> Iterator[tuple[Cluster, SmallDisk]]:
    """A cluster whose kernels' directories are on a small disk."""
    require("tmpfs")
    cluster = make_cluster()
    disk = SmallDisk(cluster.runtime, megabytes=8)
    try:
        yield cluster, disk
    finally:
        disk.unmount()


@pytest.fixture
async def on_disk(disk: tuple[Cluster, SmallDisk]) -> AsyncIterator[tuple[Rest, str]]:
    """A client, and a kernel that runs."""
    cluster, _ = disk
    cluster.start()
    async with Rest(cluster.urls, cluster.token) as rest:
        kernel_id = await rest.start()
        await rest.run(kernel_id, "x = 7")
        yield rest, kernel_id


@pytest.mark.tmpfs
async def test_on_a_full_disk_a_start_and_a_restart_are_refused_and_what_runs_goes_on(
    disk: tuple[Cluster, SmallDisk], on_disk: tuple[Rest, str]
) -> None:
    (cluster, small), (rest, kernel_id) = disk, on_disk
    before = traces(cluster)
    with small.full():
        assert "is full" in await refused(rest, "POST", "/api/kernels", {"name": "python3"})
        assert "is full" in await refused(rest, "POST", f"/api/kernels/{kernel_id}/restart", {})
        assert traces(cluster) == before
        assert await rest.run(kernel_id, "print(x)") == "7"
    assert await rest.run(await rest.start(), "print(1)") == "1"


@pytest.mark.tmpfs
async def test_on_a_full_disk_a_kernel_that_prints_without_end_is_heard_to_its_end(
    disk: tuple[Cluster, SmallDisk], on_disk: tuple[Rest, str]
) -> None:
    (_, small), (rest, kernel_id) = disk, on_disk
    # Some of it goes to the process's own stderr, which is a file on that disk.
    cell = "import os\nos.write(2, b'x' * 9999)\nfor n in range(9999):\n    print(n)"
    with small.full():
        printed = (await rest.run(kernel_id, cell)).split()
        assert printed == [str(n) for n in range(9999)]
        assert await rest.run(kernel_id, "print(x)") == "7"


@pytest.mark.tmpfs
async def test_on_a_full_disk_a_kernel_is_shut_down_and_its_room_given_back(
    disk: tuple[Cluster, SmallDisk], on_disk: tuple[Rest, str]
) -> None:
    (cluster, small), (rest, kernel_id) = disk, on_disk
    with small.full():
        await rest.delete(f"/api/kernels/{kernel_id}")
        assert traces(cluster) == ([], [], [])


@pytest.fixture
def with_database(make_cluster: MakeCluster) -> Iterator[tuple[Cluster, SmallDisk]]:
    """A cluster whose private database is on a small disk."""
    require("tmpfs")
    cluster = make_cluster(embedded=True)
    data = cluster.folder / ".local/share/enterprise-gateway"
    data.mkdir(parents=True)
    disk = SmallDisk(data, megabytes=160)
    try:
        yield cluster, disk
    finally:
        disk.unmount()


def write_until_it_fails(data: Path) -> None:
    """Write to the private mongod, which ends itself when it has no room for its journal."""
    socket_path = json.loads((data / "mongod.json").read_text())["socket"]
    uri = f"mongodb://{quote(socket_path, safe='')}/?directConnection=true&serverSelectionTimeoutMS=2000"
    with pymongo.MongoClient[dict[str, Any]](uri) as client, contextlib.suppress(PyMongoError):
        while True:
            client["other"]["things"].insert_one({"text": "x" * 1_000_000})


@pytest.mark.tmpfs
@pytest.mark.mongod
async def test_a_private_database_on_a_full_disk_is_away_and_comes_back_when_there_is_room(
    with_database: tuple[Cluster, SmallDisk],
) -> None:
    cluster, small = with_database
    (replica,) = cluster.start()
    async with Rest(cluster.urls, cluster.token) as rest:
        kernel_id = await rest.start()
        async with await in_use(rest, kernel_id) as opened:
            with small.full(but=2_000_000):
                await asyncio.to_thread(write_until_it_fails, small.folder)
                await known_away(rest)
                await eventually(lambda: "is full: mongod is started when there is room" in replica.log, "it is told")
                assert (await opened.execute("x = 7")).reply["status"] == "ok"
            await known_back(rest)
        assert await rest.listed() == {kernel_id}
        assert await rest.run(kernel_id, "print(x)") == "7"


@pytest.mark.tmpfs
async def test_a_replica_whose_log_can_not_be_written_serves_on(disk: tuple[Cluster, SmallDisk]) -> None:
    cluster, small = disk
    log = cluster.runtime / "log"
    cluster.start(prefix=("sh", "-c", f'exec "$@" >>{log} 2>&1', "sh"))
    with small.full():
        async with Rest(cluster.urls, cluster.token) as rest:
            for _ in range(50):
                assert await rest.listed() == set()
            await rest.get("/readyz")
