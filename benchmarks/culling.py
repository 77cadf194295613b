"""What the leader's work costs the database, at 10,000 running kernels and as many ended ones (`make bench`)."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pymongo

from persistence import clock
from persistence.documents import KernelRecord
from persistence.driver import open_database
from persistence.indexes import ensure_indexes
from persistence.kernels import ActivityEntry, KernelStore
from tests import requirements
from tests.records import NOW, ended_kernel, running_kernel
from tests.replica_set import ReplicaSet

KERNELS = 10_000
REPLICAS = [f"r{n}" for n in range(10)]
SIXTY_YEARS = 60 * 365 * 86_400
AN_HOUR = timedelta(hours=1)
TIMES = 10


def records() -> list[dict[str, Any]]:
    """One in a hundred running kernels was not used for long."""

    def running(n: int) -> KernelRecord:
        at = NOW - 24 * AN_HOUR if n % 100 == 0 else NOW
        return running_kernel(f"k{n}", owner=REPLICAS[n % len(REPLICAS)], last_activity=at)

    kernels = itertools.chain(map(running, range(KERNELS)), (ended_kernel(f"e{n}") for n in range(KERNELS)))
    return [kernel.to_document() for kernel in kernels]


async def measure(what: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do it some times, and print how long it took."""
    took = []
    for _ in range(TIMES):
        began = clock.monotonic()
        await work()
        took.append((clock.monotonic() - began) * 1000)
    print(f"{what:58} median {statistics.median(took):7.1f} ms   worst {max(took):7.1f} ms")


async def run(uri: str) -> None:
    """Measure all."""
    database = await open_database(uri, "bench", operation_timeout_seconds=30.0)
    await ensure_indexes(database, history_seconds=SIXTY_YEARS)
    with pymongo.MongoClient[dict[str, Any]](uri) as client:
        client["bench"]["kernels"].insert_many(records())
    kernels = KernelStore(database)
    entries = [ActivityEntry(kernel_id=f"k{n}", generation=1, last_activity=NOW) for n in range(1000)]
    flushes = itertools.count()
    await measure("culler: kernels not used for long (100)", lambda: kernels.idle_since(NOW - AN_HOUR, limit=500))
    await measure("janitor: kernels without a live owner (none)", lambda: kernels.unattended(REPLICAS, limit=1000))
    await measure("janitor: the same, one replica dead (1,000)", lambda: kernels.unattended(REPLICAS[1:], limit=1000))
    await measure("janitor: kernels of each owner", kernels.owned)
    await measure("janitor: dropping a replica's connections", lambda: kernels.drop_connections("r0", now=NOW))
    await measure("takeover of the lead: outdating all reads", kernels.outdate_reads)
    await measure("a replica's flush of 1,000 kernels", lambda: kernels.flush("r1", str(next(flushes)), entries))
    await database.close()


def main() -> None:
    """Measure on a mongod of one's own."""
    with ReplicaSet(requirements.require("mongod"), Path(tempfile.mkdtemp(prefix="bench-")) / "db") as server:
        asyncio.run(run(server.uri))


if __name__ == "__main__":
    main()
