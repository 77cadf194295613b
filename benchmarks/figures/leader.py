"""What the leader's work costs the database, at 10,000 running kernels and as many ended ones. Of ours alone."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pymongo

from benchmarks.figures.figure import Figure, Line, Values
from benchmarks.figures.leader_passes import LINES, passes
from benchmarks.figures.repeating import median_ms
from benchmarks.subjects.subject import Gateway, Running
from persistence.documents import KernelRecord
from persistence.driver import open_database
from persistence.indexes import ensure_indexes
from persistence.kernels import ActivityEntry, KernelStore
from tests.records import NOW, ended_kernel, running_kernel

DATABASE = "bench_leader"
KERNELS = 10_000
REPLICAS = [f"r{n}" for n in range(10)]
HISTORY_DAYS = 60 * 365
AN_HOUR = timedelta(hours=1)


def leader(subject: Running) -> Values:
    """Do each of a leader's works some times, in a database beside the gateway's own."""
    if not isinstance(subject, Gateway) or subject.database is None:
        return {}
    with pymongo.MongoClient[dict[str, Any]](subject.database) as client:
        client[DATABASE]["kernels"].insert_many(records())
        try:
            return asyncio.run(_measured(subject.database))
        finally:
            client.drop_database(DATABASE)


def records() -> list[dict[str, Any]]:
    """One in a hundred running kernels was not used for long."""

    def running(n: int) -> KernelRecord:
        at = NOW - 24 * AN_HOUR if n % 100 == 0 else NOW
        return running_kernel(f"k{n}", owner=REPLICAS[n % len(REPLICAS)], last_activity=at)

    kernels = itertools.chain(map(running, range(KERNELS)), (ended_kernel(f"e{n}") for n in range(KERNELS)))
    return [kernel.to_document() for kernel in kernels]


async def _measured(uri: str) -> Values:
    database = await open_database(uri, DATABASE, operation_timeout_seconds=30.0)
    await ensure_indexes(database, history_seconds=HISTORY_DAYS * 86_400)
    kernels = KernelStore(database)
    entries = [ActivityEntry(kernel_id=f"k{n}", generation=1, last_activity=NOW) for n in range(1000)]
    flushes = itertools.count()
    found = {
        "leader_idle": await median_ms(lambda: kernels.idle_since(NOW - AN_HOUR, limit=500)),
        "leader_unattended": await median_ms(lambda: kernels.unattended(REPLICAS, limit=1000)),
        "leader_orphans": await median_ms(lambda: kernels.unattended(REPLICAS[1:], limit=1000)),
        "leader_owned": await median_ms(kernels.owned),
        "leader_connections": await median_ms(lambda: kernels.drop_connections("r0", now=NOW)),
        "leader_outdate": await median_ms(kernels.outdate_reads),
        "leader_flush": await median_ms(lambda: kernels.flush("r1", str(next(flushes)), entries)),
    }
    await database.close()
    return {**found, **await passes(uri, DATABASE, REPLICAS, history_days=HISTORY_DAYS)}


FIGURES = (
    Figure(
        "leader",
        (
            Line("leader_idle", "10,000 kernels: those not used for long (100)", "ms", "≤ 50 ms"),
            Line("leader_unattended", "the same: those without a live owner (none)", "ms", "≤ 50 ms"),
            Line("leader_orphans", "the same, one replica dead (1,000)", "ms", "-"),
            Line("leader_owned", "the same: how many each owner has", "ms", "≤ 50 ms"),
            Line("leader_connections", "the same: dropping a replica's connections", "ms", "-"),
            Line("leader_outdate", "the same: outdating all reads, at a takeover of the lead", "ms", "-"),
            Line("leader_flush", "the same: a replica's flush of 1,000", "ms", "-"),
            *LINES,
        ),
        leader,
    ),
)
