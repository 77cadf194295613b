"""Ten clients on three replicas, and every second something goes wrong. What was acknowledged is true afterwards.

The seed is printed. `MONKEY_SEED=…` repeats the order of the faults (not their timing), `MONKEY_SECONDS=…` makes it
longer: `make soak MINUTES=60` gives half of that to each test, on a database of three members; `make test` a minute to
the first, on one member, for three ask for more of a machine. What is done to whom is printed.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from persistence import clock
from tests.cluster.replicas import Cluster
from tests.cluster.waiting import eventually
from tests.mongo_proxy import MongoProxy
from tests.monkey.clients import Client
from tests.monkey.history import End, History, Violation
from tests.monkey.mischief import LEASES, Mischief
from tests.monkey.servers import Servers
from tests.replica_set import ReplicaSet, ThreeMembers

SECONDS = float(os.environ.get("MONKEY_SECONDS", "60"))
SEED = int(os.environ.get("MONKEY_SEED", str(secrets.randbelow(1_000_000))))
CLIENTS = 10
REPLICAS = 3
CULLED = "culled: "
SETTINGS = {
    **LEASES,
    "EG_SHUTDOWN_WAIT_TIME": "2",
    "EG_KERNEL_LAUNCH_TIMEOUT": "8",
    "EG_DRAIN_TIMEOUT": "4",
    "EG_CULL_INTERVAL": "0.5",
}


@pytest.fixture
def server(request: pytest.FixtureRequest, mongod_binary: Path, tmp_path: Path) -> Iterator[ReplicaSet | ThreeMembers]:
    kind = ThreeMembers if request.config.getoption("--soak") else ReplicaSet
    with kind(mongod_binary, tmp_path / "mongod") as server:
        yield server


@pytest.fixture
def servers(server: ReplicaSet | ThreeMembers) -> Iterator[Servers]:
    port = server.primary().port if isinstance(server, ThreeMembers) else server.port
    with ExitStack() as stack:
        proxies = [stack.enter_context(MongoProxy(port)) for _ in range(REPLICAS)]
        yield stack.enter_context(Servers(server, proxies))


@pytest.fixture
def idle_seconds(request: pytest.FixtureRequest) -> float:
    """How long a kernel may be idle before it is culled; for ever, unless a test says so."""
    return float(getattr(request, "param", math.inf))


@pytest.fixture
def trio(server: ReplicaSet | ThreeMembers, servers: Servers, idle_seconds: float) -> Iterator[Cluster]:
    culling = {"EG_CULL_IDLE_TIMEOUT": str(idle_seconds if idle_seconds < math.inf else 7200)}
    with Cluster(server.uri, settings={**SETTINGS, **culling}) as cluster:
        for proxy in servers.proxies:
            cluster.start(settings={"EG_MONGODB_URI": proxy.uri})
        yield cluster


@pytest.fixture
async def clients(trio: Cluster, history: History, idle_seconds: float) -> AsyncIterator[list[Client]]:
    chance = random.Random(SEED)
    nap_seconds = 2 * idle_seconds if idle_seconds < math.inf else 0.0

    def urls() -> list[str]:
        return [replica.url for replica in trio.replicas]

    async def end_of(kernel_id: str) -> End:
        # By a thread, for the database may be paused, and who goes on with it runs on this loop.
        return await asyncio.to_thread(look_for_end, trio, kernel_id)

    async with AsyncExitStack() as stack:
        made = [
            Client(urls, trio.token, history, end_of, random.Random(chance.random()), nap_seconds=nap_seconds)
            for _ in range(CLIENTS)
        ]
        for client in made:
            stack.push_async_callback(client.close)
        yield made


@pytest.fixture
def history(idle_seconds: float) -> History:
    return History(idle_seconds)


@pytest.fixture
def let_loose(
    trio: Cluster, servers: Servers, clients: list[Client], history: History
) -> Callable[[], Awaitable[None]]:
    """Let everything go wrong, and return when it is over and the clients have found what they were told."""
    mischief = Mischief(trio, servers, history, SEED)

    async def together(work: Iterable[Coroutine[None, None, None]]) -> None:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)

    async def let_loose() -> None:
        print(f"MONKEY_SEED={SEED}")
        end = clock.Deadline(SECONDS)

        def over() -> bool:
            return end.passed

        try:
            await together([mischief.work(over), *(client.work(over) for client in clients)])
            await together(client.settle() for client in clients)
        except* Violation as found:
            tell(trio, found.exceptions[0])
            raise
        print(f"{mischief.done.total()} faults: {dict(mischief.done)}, {mischief.skipped} seconds without a new one")
        done, lost = sum(client.done for client in clients), sum(client.lost for client in clients)
        culled = trio.documents("events", {"kind": "culled"})
        print(f"{done} acts, {lost} without an answer, {len(culled)} kernels culled")
        assert mischief.done.total() > 0
        assert done > CLIENTS * SECONDS / 10

    return let_loose


@pytest.mark.timeout(SECONDS + 240)
async def test_what_was_acknowledged_is_true_whatever_goes_wrong(
    trio: Cluster, let_loose: Callable[[], Awaitable[None]]
) -> None:
    await let_loose()
    await eventually(lambda: all_are(trio, "running", "ended"), "every record is running or ended", seconds=90)
    await eventually(lambda: processes_fit(trio), "one process for each kernel that runs, and none besides", seconds=90)


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 240)
@pytest.mark.parametrize("idle_seconds", [6.0], indirect=True)
async def test_what_nobody_uses_is_culled_and_nothing_else_whatever_goes_wrong(
    trio: Cluster, let_loose: Callable[[], Awaitable[None]]
) -> None:
    await let_loose()
    await eventually(lambda: all_are(trio, "ended"), "nobody uses a kernel, and all are culled", seconds=90)
    await eventually(lambda: processes_fit(trio), "no process is left", seconds=90)


def look_for_end(trio: Cluster, kernel_id: str) -> End:
    """Find what a record says of a kernel's end, and when a cull of it was claimed first."""
    reason = str(trio.document(kernel_id).get("reason"))
    claims = [update["wall"] for update in trio.updates(kernel_id) if claims_cull(update["o"])]
    if not claims:
        return End(reason)
    ago = datetime.now(UTC) - claims[0]  # noqa: TID251 - the server and this test have one clock
    return End(reason, culled=clock.monotonic() - ago.total_seconds())


def claims_cull(update: Mapping[str, Any]) -> bool:
    """Is this, of the oplog, the claim of a cull?"""
    changed = update.get("diff", {})
    reason = {**changed.get("i", {}), **changed.get("u", {})}.get("reason")
    return isinstance(reason, str) and reason.startswith(CULLED)


def tell(trio: Cluster, violation: BaseException) -> None:
    """Print what the record and the logs say of the kernel that a violation names."""
    kernel_id = next((one["_id"] for one in trio.documents("kernels") if one["_id"] in str(violation)), None)
    if kernel_id is None:
        return
    shown = ("phase", "target", "generation", "reason", "act", "owner", "process", "former", "created_at", "ended_at")
    print({name: value for name, value in trio.document(kernel_id).items() if name in shown})
    for replica in trio.replicas:
        print(replica.name, *(line for line in replica.log.splitlines() if kernel_id in line), sep="\n")


def all_are(trio: Cluster, *phases: str) -> bool:
    return all(record["phase"] in phases for record in trio.documents("kernels"))


def processes_fit(trio: Cluster) -> bool:
    running = {(one["_id"], one["generation"]) for one in trio.documents("kernels") if one["phase"] == "running"}
    found = [(process.kernel_id, process.generation) for process in trio.kernel_processes()]
    return len(found) == len(set(found)) and set(found) == running
