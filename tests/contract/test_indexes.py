from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pymongo
import pytest

from persistence.driver import Database, Index
from persistence.errors import DuplicateKey, PersistenceError
from persistence.indexes import ensure_indexes
from persistence.kernels import KernelStore
from persistence.phases import AT_WORK, LIVE_FILTER
from tests.cluster.waiting import eventually
from tests.contract.conftest import Backend
from tests.records import NOW, ended_kernel, queued_kernel, request, running_kernel, session

A_DAY = 86_400
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

NAMES = {
    "kernels": {
        "_id_",
        "slot",
        "user_slot",
        "idempotency",
        "history",
        "idle",
        "lived",
        "owner_phase",
        "host",
        "machine",
    },
    "sessions": {"_id_", "user_path_type", "kernel"},
    "events": {"_id_", "history", "kernel_at"},
}


@pytest.fixture
def server(backend: Backend) -> Iterator[pymongo.database.Database[dict[str, Any]]]:
    """The test's database on the server itself, to look at what is only to be seen there."""
    if backend.is_mock:
        pytest.skip("mongomock has no plans and no other clients")
    with pymongo.MongoClient[dict[str, Any]](backend.uri, tz_aware=True) as client:
        yield client[backend.name]


def names(server: pymongo.database.Database[dict[str, Any]]) -> dict[str, set[str]]:
    return {name: set(server[name].index_information()) for name in NAMES}


async def test_indexes_are_made_by_their_names(
    database: Database, server: pymongo.database.Database[dict[str, Any]]
) -> None:
    assert names(server) == NAMES


async def test_making_them_again_over_records_is_harmless(database: Database, kernels: KernelStore) -> None:
    for kernel_id in ("k1", "k2"):
        await kernels.insert(queued_kernel(kernel_id))
    await kernels.insert(queued_kernel("k3", slot="0"))
    await ensure_indexes(database, history_seconds=A_DAY)
    with pytest.raises(DuplicateKey):
        await kernels.insert(queued_kernel("k4", slot="0"))


async def test_ten_replicas_that_start_at_once_all_find_them_made(
    backend: Backend, server: pymongo.database.Database[dict[str, Any]]
) -> None:
    databases = await asyncio.gather(*(backend.open() for _ in range(10)))
    try:
        await asyncio.gather(*(ensure_indexes(database, history_seconds=A_DAY) for database in databases))
        assert names(server) == NAMES
    finally:
        await asyncio.gather(*(database.close() for database in databases))


async def test_replicas_that_disagree_on_the_history_still_all_start(
    backend: Backend, server: pymongo.database.Database[dict[str, Any]]
) -> None:
    databases = await asyncio.gather(*(backend.open() for _ in range(10)))
    days = range(1, 11)
    try:
        await asyncio.gather(
            *(ensure_indexes(database, history_seconds=A_DAY * n) for n, database in zip(days, databases, strict=True))
        )
        assert names(server) == NAMES
        assert server.kernels.index_information()["history"]["expireAfterSeconds"] in {A_DAY * n for n in days}
    finally:
        await asyncio.gather(*(database.close() for database in databases))


async def test_another_history_is_taken_over_by_the_next_start(database: Database, kernels: KernelStore) -> None:
    await kernels.insert(ended_kernel(ended_at=LONG_AGO))
    assert await kernels.get("k1") is not None
    await ensure_indexes(database, history_seconds=A_DAY)

    async def gone() -> bool:
        return await kernels.get("k1") is None

    await eventually(gone, "the ended kernel is deleted")


async def test_what_is_live_is_never_deleted_with_the_history(database: Database, kernels: KernelStore) -> None:
    await kernels.insert(running_kernel("live", created_at=LONG_AGO, last_activity=LONG_AGO, started_at=LONG_AGO))
    await kernels.insert(ended_kernel("ended", ended_at=LONG_AGO))
    await ensure_indexes(database, history_seconds=A_DAY)

    async def gone() -> bool:
        return await kernels.get("ended") is None

    await eventually(gone, "the ended kernel is deleted")
    assert await kernels.get("live") is not None


async def test_an_index_of_that_name_with_other_keys_is_an_error(backend: Backend) -> None:
    database = await backend.open()
    try:
        await database.collection("kernels").ensure_indexes([Index(name="slot", keys=("other",), unique=True)])
        with pytest.raises(PersistenceError):
            await ensure_indexes(database, history_seconds=A_DAY)
    finally:
        await database.close()


QUERIES = [
    ("kernels", {"phase": dict(LIVE_FILTER)}, {"idle"}),
    ("kernels", {"phase": dict(LIVE_FILTER), "username": "ann"}, {"idle"}),
    ("kernels", {"username": "ann", "request.key": {"$eq": "x", "$type": "string"}}, {"idempotency"}),
    (
        "kernels",
        {
            "$or": [
                {"_id": {"$in": ["k1"]}},
                {"owner.replica": "r1", "phase": dict(LIVE_FILTER)},
                {"phase": {"$in": list(AT_WORK)}, "host": None},
                {"host.id": "h1", "phase": dict(LIVE_FILTER)},
                {"host.machine": "m", "host.name": "n", "host.boot": {"$ne": "b"}, "phase": dict(LIVE_FILTER)},
            ]
        },
        {"_id_", "owner_phase", "idle", "host", "machine"},
    ),
    ("events", {"kernel_id": "k1"}, {"kernel_at"}),
    ("sessions", {"username": "ann", "path": "a", "type": "notebook"}, {"user_path_type"}),
    ("sessions", {"kernel_id": "k1"}, {"kernel"}),
]


@pytest.mark.parametrize(("collection", "where", "used"), QUERIES, ids=[str(n) for n in range(len(QUERIES))])
async def test_no_query_reads_a_whole_collection(
    database: Database,
    server: pymongo.database.Database[dict[str, Any]],
    collection: str,
    where: dict[str, Any],
    used: set[str],
) -> None:
    for n in range(20):
        await database.collection("kernels").insert(
            queued_kernel(f"k{n}", slot=str(n), user_slot=f"ann:{n}", request=request(key=f"key-{n}")).to_document()
        )
        await database.collection("sessions").insert(session(f"s{n}", path=f"{n}.ipynb").to_document())
    plan = server[collection].find(where).explain()["queryPlanner"]["winningPlan"]
    assert set(stages(plan, "indexName")) == used
    assert "COLLSCAN" not in stages(plan, "stage")


def stages(plan: Any, field: str) -> list[str]:
    """Give a field of all stages of a plan."""
    if isinstance(plan, list):
        return [found for part in plan for found in stages(part, field)]
    if not isinstance(plan, dict):
        return []
    own = [plan[field]] if field in plan else []
    return own + [found for part in plan.values() for found in stages(part, field)]


async def test_the_culler_reads_only_kernels_that_were_idle_for_long_and_the_janitor_only_orphans(
    kernels: KernelStore, server: pymongo.database.Database[dict[str, Any]]
) -> None:
    """10,000 records: half of them are history; of those that run few are idle, or without an owner."""
    plain = {phase: make("k").to_document() for phase, make in (("running", running_kernel), ("ended", ended_kernel))}
    documents = []
    for n in range(10_000):
        document = dict(
            plain["running" if n % 2 else "ended"], _id=f"k{n}", last_activity=NOW if n % 1_999 else LONG_AGO
        )
        if n % 2:
            document["owner"] = {"replica": "dead" if n % 1_999 == 0 else f"r{n % 7}"}
        documents.append(document)
    server.kernels.insert_many(documents)
    with profiled(server) as found:
        assert len(await kernels.idle_since(LONG_AGO, limit=500)) == 3
        idle = found()
        await kernels.unattended([f"r{n}" for n in range(7)], limit=500)
    assert examined(idle) <= 10
    assert examined(found()) <= 20


@contextmanager
def profiled(server: pymongo.database.Database[dict[str, Any]]) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Give what becomes of each query, as the server itself tells."""
    server.command("profile", 2)
    try:
        yield lambda: list(server.system.profile.find({"op": "query", "ns": f"{server.name}.kernels"}))
    finally:
        server.command("profile", 0)


def examined(queries: Sequence[dict[str, Any]]) -> int:
    """How many documents they have read, by an index all of them."""
    assert queries
    assert all(query["planSummary"].startswith("IXSCAN") for query in queries)
    return sum(query["docsExamined"] for query in queries)
