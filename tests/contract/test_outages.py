"""Outages of a real server, as PyMongo's client meets them. mongomock has none, and Motor is PyMongo underneath."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from persistence import clock
from persistence.driver import Collection, Database, open_database
from persistence.errors import StoreUnavailable
from tests.cluster.waiting import eventually
from tests.replica_set import ReplicaSet

OPERATION_TIMEOUT = 1.5
UNBOUNDED = 25.0  # PyMongo's own patience is longer; a busy machine's slowness is not

OPERATIONS: dict[str, Callable[[Collection], Coroutine[Any, Any, object]]] = {
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


async def ends_unavailable(operation: Awaitable[object]) -> None:
    """The operation ends by itself, whatever the server does, and says that the database is away."""
    async with asyncio.timeout(UNBOUNDED):
        with pytest.raises(StoreUnavailable):
            await operation


def is_refused_at_once(operation: Coroutine[Any, Any, object]) -> None:
    """The operation says so without ever giving the loop its turn: it asks nobody."""
    with pytest.raises(StoreUnavailable):
        operation.send(None)


async def test_on_a_server_that_went_silent_every_operation_ends_in_time_and_the_next_at_once(
    replica_set: ReplicaSet, database: Database
) -> None:
    things = database.collection("things")
    await things.insert({"_id": 1, "n": 0})
    for operation in OPERATIONS.values():
        replica_set.pause()
        await ends_unavailable(operation(things))
        assert not database.available
        is_refused_at_once(operation(things))
        replica_set.resume()
        await eventually(lambda: database.available, "the database is found back")


async def test_a_server_that_answers_no_goodbye_does_not_keep_a_client_open(
    replica_set: ReplicaSet, database: Database
) -> None:
    await database.ping()
    # That command alone: were all of the server silent, the client would find that out and go.
    goodbyes = {"appName": "enterprise-gateway", "blockConnection": True, "blockTimeMS": 1_000_000}
    replica_set.fail(["endSessions"], times=None, **goodbyes)
    async with asyncio.timeout(UNBOUNDED):
        await database.close()


async def test_a_client_that_is_closed_leaves_nothing_at_work(replica_set: ReplicaSet) -> None:
    before = asyncio.all_tasks()
    database = await open_database(replica_set.uri, "test", operation_timeout_seconds=OPERATION_TIMEOUT)
    things = database.collection("things")
    replica_set.kill()
    asking = [asyncio.create_task(things.find_one({})) for _ in range(50)]
    await clock.sleep(0)
    for one in asking:
        one.cancel()
    await asyncio.wait(asking)
    await database.close()
    assert asyncio.all_tasks() == before


async def test_a_silent_server_is_named_to_who_would_open_it(
    replica_set: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.driver.opening.CONNECT_SECONDS", OPERATION_TIMEOUT)
    replica_set.pause()
    named = rf"the database at mongodb://{replica_set.host} can't be reached: it has given no answer"
    with pytest.raises(StoreUnavailable, match=named):
        await open_database(replica_set.uri, "test", operation_timeout_seconds=OPERATION_TIMEOUT)
    replica_set.resume()


async def test_many_operations_on_a_silent_server_end_together(replica_set: ReplicaSet, database: Database) -> None:
    things = database.collection("things")
    await things.insert({"_id": 1})
    replica_set.pause()
    one_after_the_other = range(int(2 * UNBOUNDED / OPERATION_TIMEOUT))  # would take longer than is waited
    await asyncio.gather(*(ends_unavailable(things.find_one({})) for _ in one_after_the_other))
    replica_set.resume()


async def test_operations_that_time_out_while_they_wait_for_each_other_leave_the_client_whole(
    replica_set: ReplicaSet,
) -> None:
    # So many, and so little time, that the bound comes while they give up their turns at the pool, one by one.
    database = await open_database(replica_set.uri, "test", operation_timeout_seconds=0.1)
    things = database.collection("things")
    replica_set.pause()
    await asyncio.gather(*(ends_unavailable(things.find_one({})) for _ in range(300)))
    replica_set.resume()

    async def found() -> bool:  # each has as little time as before
        with suppress(StoreUnavailable):
            return await things.find_one({}) is None
        return False

    await eventually(found, "the client answers again")
    await database.close()


async def test_a_server_that_was_killed_is_found_back_and_has_all_that_was_acknowledged(
    replica_set: ReplicaSet, database: Database
) -> None:
    things = database.collection("things")
    for i in range(20):
        await things.insert({"_id": i})
    replica_set.kill()
    await ends_unavailable(things.find_one({}))
    replica_set.start()
    await eventually(lambda: database.available, "the database is found back")
    assert len(await things.find({}, linearizable=True)) == 20


async def test_a_write_that_timed_out_may_have_been_made(replica_set: ReplicaSet, database: Database) -> None:
    things = database.collection("things")
    await things.insert({"_id": 1, "n": 0})
    replica_set.pause()
    await ends_unavailable(things.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}))
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
