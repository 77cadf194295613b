"""Outages of a real server, as PyMongo's client meets them. mongomock has none, and Motor is PyMongo underneath."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from persistence import clock
from persistence.driver import Collection, Database, open_database
from persistence.errors import StoreUnavailable
from tests.cluster.waiting import eventually
from tests.replica_set import ReplicaSet

OPERATION_TIMEOUT = 0.5
SLACK = 0.5  # for a busy machine

OPERATIONS: dict[str, Callable[[Collection], Awaitable[object]]] = {
    "insert": lambda things: things.insert({}),
    "find": lambda things: things.find({}),
    "linearizable find": lambda things: things.find({}, linearizable=True),
    "compare-and-set": lambda things: things.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}),
    "batch": lambda things: things.update_many_by_id([({"_id": 1}, {"$inc": {"n": 1}})]),
}


@pytest.fixture
async def database(replica_set: ReplicaSet) -> AsyncIterator[Database]:
    database = await open_database(replica_set.uri, "test", operation_timeout_seconds=OPERATION_TIMEOUT)
    yield database
    await database.close()


async def seconds_until_unavailable(operation: Awaitable[object]) -> float:
    began = clock.monotonic()
    with pytest.raises(StoreUnavailable):
        await operation
    return clock.monotonic() - began


async def test_on_a_server_that_went_silent_every_operation_ends_in_time_and_the_next_at_once(
    replica_set: ReplicaSet, database: Database
) -> None:
    things = database.collection("things")
    await things.insert({"_id": 1, "n": 0})
    for operation in OPERATIONS.values():
        replica_set.pause()
        first = await seconds_until_unavailable(operation(things))
        second = await seconds_until_unavailable(operation(things))
        assert not database.available
        replica_set.resume()
        await eventually(lambda: database.available, "the database is found back")
        assert first < OPERATION_TIMEOUT + SLACK
        assert second < 0.1


async def test_many_operations_on_a_silent_server_end_together(replica_set: ReplicaSet, database: Database) -> None:
    things = database.collection("things")
    await things.insert({"_id": 1})
    replica_set.pause()
    waits = await asyncio.gather(*(seconds_until_unavailable(things.find_one({})) for _ in range(50)))
    assert max(waits) < OPERATION_TIMEOUT + SLACK
    replica_set.resume()


async def test_a_server_that_was_killed_is_found_back_and_has_all_that_was_acknowledged(
    replica_set: ReplicaSet, database: Database
) -> None:
    things = database.collection("things")
    for i in range(20):
        await things.insert({"_id": i})
    replica_set.kill()
    assert await seconds_until_unavailable(things.find_one({})) < OPERATION_TIMEOUT + SLACK
    replica_set.start()
    await eventually(lambda: database.available, "the database is found back")
    assert len(await things.find({}, linearizable=True)) == 20


async def test_a_write_that_timed_out_may_have_been_made(replica_set: ReplicaSet, database: Database) -> None:
    things = database.collection("things")
    await things.insert({"_id": 1, "n": 0})
    replica_set.pause()
    await seconds_until_unavailable(things.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}))
    replica_set.resume()
    await eventually(lambda: database.available, "the database is found back")
    found = await things.find_one({"_id": 1}, linearizable=True)
    assert found is not None
    assert found["n"] in (0, 1)


async def test_an_answer_that_is_lost_does_not_make_a_write_twice(replica_set: ReplicaSet) -> None:
    # Longer: after a lost connection PyMongo asks again no sooner than half a second later.
    database = await open_database(replica_set.uri, "test", operation_timeout_seconds=5.0)
    try:
        things = database.collection("things")
        await things.insert({"_id": 1, "n": 0})
        replica_set.fail(["findAndModify"], closeConnection=True)
        after = await things.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}})
        assert after == {"_id": 1, "n": 1}
    finally:
        await database.close()


async def test_a_primary_without_a_majority_acknowledges_nothing(replica_set: ReplicaSet, database: Database) -> None:
    things = database.collection("things")
    await things.insert({"_id": 1})
    replica_set.fail(["insert"], writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"})
    with pytest.raises(StoreUnavailable):
        await things.insert({"_id": 2})
