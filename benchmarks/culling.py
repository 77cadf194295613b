"""What the leader's work costs the database, at 10,000 running kernels and as many ended ones (`make bench`)."""

from __future__ import annotations

import asyncio
import itertools
import logging
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pymongo

from culling.culler import Culler
from culling.election import Election
from culling.janitor import Janitor
from culling.membership import Membership, MembershipTimings
from culling.policy import CullRules
from culling.vouching import Vouching
from persistence import clock
from persistence.documents import EventRecord, KernelCandidate, KernelNotice, KernelRecord
from persistence.driver import open_database
from persistence.indexes import ensure_indexes
from persistence.kernel_session_manager import KernelSessionManager
from persistence.kernels import ActivityEntry, KernelStore
from tests import requirements
from tests.records import HOST, NOW, ended_kernel, replica, running_kernel
from tests.replica_set import ReplicaSet

KERNELS = 10_000
REPLICAS = [f"r{n}" for n in range(10)]
DAYS = 60 * 365
KEY = "A" * 43 + "="
LOG = logging.getLogger("bench")
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
    await ensure_indexes(database, history_seconds=DAYS * 86_400)
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
    await passes(uri)


async def passes(uri: str) -> None:
    """Measure whole passes of a leader, in which nothing is culled: it would be another number of kernels each time."""
    store = KernelSessionManager(
        mongodb_uri=uri, database_name="bench", sealing_keys=[KEY], operation_timeout=30.0, history_days=DAYS
    )
    await store.open()
    timings = MembershipTimings(
        operation_timeout_seconds=30.0, renew_deadline_seconds=40.0, lease_duration_seconds=60.0
    )
    membership = Membership(store, url="http://x:1", host=HOST, version="1", timings=timings, log=LOG)
    await membership.register()
    for name in REPLICAS:
        await store.replicas.register(replica(name))
    told: list[EventRecord] = []
    janitor = Janitor(store, membership, Idle(), lost_host_timeout_seconds=86_400.0, tell=told.append, log=LOG)
    async with Election(store, holder=lambda: "me", timings=timings, log=LOG).leadership() as term:
        for what, idle in (("100 kernels are due", AN_HOUR), ("all 10,000 are", -AN_HOUR)):
            timeout = store.clock.earliest_now() - NOW + idle
            rules = CullRules(idle_timeout_seconds=timeout.total_seconds())
            culler = Culler(store, membership, Idle(), rules=rules, tell=told.append, vouching=Vouching(), log=LOG)
            print(await culler.cull(term))
            await measure(f"culler: a whole pass ({what})", lambda culler=culler: culler.cull(term))  # type: ignore[misc]
        await measure("janitor: a whole pass (nothing to do)", lambda: janitor.tidy(term))
    await store.close()


class Idle:
    """Has nothing to end and nothing to finish."""

    def reaches(self, kernel: KernelCandidate) -> bool:
        """Say that this replica can end it."""
        return True

    def stop_soon(self, claimed: KernelRecord) -> None:
        """End nothing."""
        return None

    async def met(self, notice: KernelNotice) -> None:
        """Finish nothing."""
        return None


def main() -> None:
    """Measure on a mongod of one's own."""
    with ReplicaSet(requirements.require("mongod"), Path(tempfile.mkdtemp(prefix="bench-")) / "db") as server:
        asyncio.run(run(server.uri))


if __name__ == "__main__":
    main()
