"""Ten clients on three replicas, and every second something goes wrong. What was acknowledged is true afterwards.

The seed is printed. `MONKEY_SEED=…` repeats the order of the faults (not their timing), `MONKEY_SECONDS=…` makes it
longer: `make soak MINUTES=60`.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest

from persistence import clock
from tests.cluster.replicas import Cluster
from tests.cluster.waiting import eventually
from tests.mongo_proxy import MongoProxy
from tests.monkey.clients import Client
from tests.monkey.history import History, Violation
from tests.monkey.mischief import Mischief
from tests.replica_set import ReplicaSet

SECONDS = float(os.environ.get("MONKEY_SECONDS", "60"))
SEED = int(os.environ.get("MONKEY_SEED", str(secrets.randbelow(1_000_000))))
CLIENTS = 10
REPLICAS = 3
SETTINGS = {
    "EG_SHUTDOWN_WAIT_TIME": "2",
    "EG_KERNEL_LAUNCH_TIMEOUT": "8",
    "EG_DRAIN_TIMEOUT": "10",
    "EG_CULL_IDLE_TIMEOUT": "7200",
    "EG_CULL_INTERVAL": "1",
}


@pytest.fixture
def proxies(replica_set: ReplicaSet) -> Iterator[list[MongoProxy]]:
    with ExitStack() as stack:
        yield [stack.enter_context(MongoProxy(replica_set.port)) for _ in range(REPLICAS)]


@pytest.fixture
def trio(replica_set: ReplicaSet, proxies: list[MongoProxy]) -> Iterator[Cluster]:
    with Cluster(replica_set.uri, settings=SETTINGS) as cluster:
        for proxy in proxies:
            cluster.start(settings={"EG_MONGODB_URI": proxy.uri})
        yield cluster


@pytest.fixture
async def clients(trio: Cluster, history: History) -> AsyncIterator[list[Client]]:
    chance = random.Random(SEED)

    def urls() -> list[str]:
        return [replica.url for replica in trio.replicas]

    def reason_of(kernel_id: str) -> str:
        return str(trio.document(kernel_id).get("reason"))

    async with AsyncExitStack() as stack:
        made = [Client(urls, trio.token, history, reason_of, random.Random(chance.random())) for _ in range(CLIENTS)]
        for client in made:
            stack.push_async_callback(client.close)
        yield made


@pytest.fixture
def history() -> History:
    return History()


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 240)
async def test_what_was_acknowledged_is_true_whatever_goes_wrong(
    trio: Cluster, replica_set: ReplicaSet, proxies: list[MongoProxy], clients: list[Client], history: History
) -> None:
    print(f"MONKEY_SEED={SEED}")
    mischief = Mischief(trio, replica_set, proxies, history, random.Random(SEED))
    end = clock.Deadline(SECONDS)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(mischief.work(lambda: end.passed))
            for client in clients:
                group.create_task(client.work(lambda: end.passed))
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.settle())
    except* Violation as found:
        tell(trio, found.exceptions[0])
        raise
    print(f"{len(mischief.done)} faults: {mischief.done}")
    print(f"{sum(client.done for client in clients)} acts, {sum(client.lost for client in clients)} without an answer")
    await eventually(lambda: at_rest(trio), "every record is running or ended", seconds=90)
    await eventually(lambda: processes_fit(trio), "one process for each kernel that runs, and none besides", seconds=90)
    assert sum(client.done for client in clients) > CLIENTS * SECONDS / 10


def tell(trio: Cluster, violation: BaseException) -> None:
    """Print what the record and the logs say of the kernel that a violation names."""
    kernel_id = next((one["_id"] for one in trio.documents("kernels") if one["_id"] in str(violation)), None)
    if kernel_id is None:
        return
    shown = ("phase", "target", "generation", "reason", "act", "owner", "process", "former", "created_at", "ended_at")
    print({name: value for name, value in trio.document(kernel_id).items() if name in shown})
    for replica in trio.replicas:
        print(replica.name, *(line for line in replica.log.splitlines() if kernel_id in line), sep="\n")


def at_rest(trio: Cluster) -> bool:
    return all(record["phase"] in ("running", "ended") for record in trio.documents("kernels"))


def processes_fit(trio: Cluster) -> bool:
    running = {(one["_id"], one["generation"]) for one in trio.documents("kernels") if one["phase"] == "running"}
    found = [(process.kernel_id, process.generation) for process in trio.kernel_processes()]
    return len(found) == len(set(found)) and set(found) == running
