"""What the verbs promise, over mongomock and over a real server by both drivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from persistence.driver import Collection, Database, Index
from persistence.errors import DuplicateKey, PersistenceError, StoreUnavailable
from tests.contract.conftest import Backend

NOW = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)


@pytest.fixture
async def plain(backend: Backend) -> AsyncIterator[Database]:
    """A database without indexes of the stores."""
    database = await backend.open()
    yield database
    await database.close()


@pytest.fixture
def things(plain: Database) -> Collection:
    return plain.collection("things")


async def test_a_document_comes_back_as_it_was_inserted(things: Collection) -> None:
    document = {"_id": "a", "n": 2**40, "b": b"\x00\xff", "deep": {"list": [1, None, "x"]}, "t": NOW}
    await things.insert(document)
    assert await things.find_one({"_id": "a"}) == document


async def test_inserting_leaves_the_callers_dict_alone(things: Collection) -> None:
    document: dict[str, Any] = {"a": 1}
    await things.insert(document)
    assert document == {"a": 1}


async def test_times_are_aware_utc_in_milliseconds_whatever_their_zone_was(things: Collection) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=-5)))
    await things.insert({"_id": "a", "t": there})
    found = await things.find_one({"_id": "a"})
    assert found is not None
    assert found["t"] == NOW
    assert found["t"].utcoffset() == timedelta(0)


async def test_what_is_not_there_is_none(things: Collection) -> None:
    assert await things.find_one({"_id": "a"}) is None
    assert await things.find_one({"_id": "a"}, linearizable=True) is None


async def test_only_the_fields_asked_for_and_the_id_are_read(things: Collection) -> None:
    await things.insert({"_id": "a", "x": 1, "y": {"z": 2, "w": 3}})
    assert await things.find_one({}, ("y.z",)) == {"_id": "a", "y": {"z": 2}}
    assert await things.find({}, ("x",)) == [{"_id": "a", "x": 1}]


async def test_a_linearizable_read_sees_what_was_acknowledged(backend: Backend, things: Collection) -> None:
    await things.insert({"_id": "a"})
    other = await backend.open()
    try:
        assert await other.collection("things").find({}, linearizable=True) == [{"_id": "a"}]
    finally:
        await other.close()


@pytest.mark.parametrize("linearizable", [False, True])
@pytest.mark.parametrize("number", [0, 1, 250])
async def test_lists_are_whole(things: Collection, number: int, linearizable: bool) -> None:
    await asyncio.gather(*(things.insert({"_id": i}) for i in range(number)))
    found = await things.find({}, linearizable=linearizable)
    assert sorted(document["_id"] for document in found) == list(range(number))


async def test_lists_are_sorted_and_cut(things: Collection) -> None:
    for i, x in enumerate([3, 1, 2]):
        await things.insert({"_id": i, "x": x})
    found = await things.find({}, ("x",), sort=[("x", -1)], limit=2)
    assert [document["x"] for document in found] == [3, 2]


async def test_a_compare_and_set_gives_the_document_after_it(things: Collection) -> None:
    await things.insert({"_id": "a", "n": 1, "gone": 1})
    after = await things.find_one_and_update({"_id": "a", "n": 1}, {"$inc": {"n": 1}, "$unset": {"gone": 1}})
    assert after == {"_id": "a", "n": 2}


async def test_a_compare_and_set_that_matches_nothing_changes_nothing(things: Collection) -> None:
    await things.insert({"_id": "a", "n": 1})
    assert await things.find_one_and_update({"_id": "a", "n": 2}, {"$set": {"n": 9}}) is None
    assert await things.find({}) == [{"_id": "a", "n": 1}]


async def test_an_upsert_makes_the_document_and_keeps_it_the_second_time(things: Collection) -> None:
    for x in (1, 2):
        after = await things.find_one_and_update({"_id": "a"}, {"$setOnInsert": {"x": x}}, upsert=True)
        assert after == {"_id": "a", "x": 1}


async def test_max_keeps_the_later_time(things: Collection) -> None:
    await things.insert({"_id": "a", "t": NOW})
    earlier, later = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    for time, expected in ((earlier, NOW), (later, later)):
        after = await things.find_one_and_update({"_id": "a"}, {"$max": {"t": time}})
        assert after is not None
        assert after["t"] == expected


async def test_current_date_is_the_servers_clock(plain: Database, things: Collection) -> None:
    before = await plain.server_time()
    after = await things.find_one_and_update({"_id": "a"}, {"$currentDate": {"t": True}}, upsert=True)
    assert after is not None
    assert before - timedelta(milliseconds=1) <= after["t"] <= await plain.server_time()


async def test_many_updates_by_id_tell_how_many_filters_matched(things: Collection) -> None:
    for i in range(3):
        await things.insert({"_id": i, "g": i})
    matched = await things.update_many_by_id([({"_id": i, "g": min(i, 1)}, {"$set": {"hit": 1}}) for i in range(4)])
    assert matched == 2
    assert len(await things.find({"hit": 1})) == 2


async def test_two_updates_of_one_batch_may_change_one_document(things: Collection) -> None:
    await things.insert({"_id": "a", "n": 0})
    assert await things.update_many_by_id([({"_id": "a"}, {"$inc": {"n": 1}})] * 2) == 2
    assert await things.find_one({}) == {"_id": "a", "n": 2}


async def test_an_empty_batch_asks_nothing(things: Collection) -> None:
    assert await things.update_many_by_id([]) == 0


async def test_all_that_match_are_updated_and_deleted(things: Collection) -> None:
    for i in range(4):
        await things.insert({"_id": i, "even": i % 2 == 0})
    assert await things.update_many({"even": True}, {"$set": {"x": 1}}) == 2
    assert await things.delete_many({"x": 1}) == 2
    assert await things.delete_many({"x": 1}) == 0


async def test_an_id_that_is_taken_is_named(things: Collection) -> None:
    await things.insert({"_id": "a"})
    with pytest.raises(DuplicateKey) as refused:
        await things.insert({"_id": "a"})
    assert refused.value.index == "_id_"


STRING = {"$type": "string"}
UNIQUE = [
    Index(name="first", keys=("a",), unique=True, partial={"a": STRING}),
    Index(name="second", keys=("b", "c.d"), unique=True, partial={"c.d": STRING}),
]


async def test_a_violated_unique_index_is_named_on_insert_and_update(things: Collection) -> None:
    await things.ensure_indexes(UNIQUE)
    await things.insert({"_id": 1, "a": "x", "b": 1, "c": {"d": "y"}})
    with pytest.raises(DuplicateKey) as first:
        await things.insert({"_id": 2, "a": "x"})
    await things.insert({"_id": 2, "b": 1})
    with pytest.raises(DuplicateKey) as second:
        await things.find_one_and_update({"_id": 2}, {"$set": {"c.d": "y"}})
    assert (first.value.index, second.value.index) == ("first", "second")
    assert await things.find_one({"_id": 2}) == {"_id": 2, "b": 1}


async def test_a_partial_index_refuses_only_what_is_in_it(things: Collection) -> None:
    await things.ensure_indexes(UNIQUE)
    for i in range(3):
        await things.insert({"_id": i, "b": 1})


async def test_indexes_can_be_made_again_and_by_many_at_once(backend: Backend) -> None:
    clients = [await backend.open() for _ in range(4)]
    try:
        await asyncio.gather(*(client.collection("things").ensure_indexes(UNIQUE) for client in clients * 2))
    finally:
        for client in clients:
            await client.close()


async def test_what_can_not_be_stored_is_refused_and_no_outage(plain: Database, things: Collection) -> None:
    for value in (2**70, object()):
        with pytest.raises(PersistenceError) as refused:
            await things.insert({"_id": "a", "value": value})
        assert not isinstance(refused.value, StoreUnavailable)
    assert plain.available


async def test_a_ping_is_answered(plain: Database) -> None:
    await plain.ping()


async def test_a_closed_database_refuses(plain: Database, things: Collection) -> None:
    await plain.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await things.find_one({})


async def test_of_many_who_compare_and_set_at_once_one_wins(backend: Backend) -> None:
    clients = [await backend.open() for _ in range(3)]
    try:
        await clients[0].collection("things").insert({"_id": "a", "n": 0})
        claims = [
            client.collection("things").find_one_and_update({"_id": "a", "n": 0}, {"$inc": {"n": 1}})
            for client in clients * 5
        ]
        won = [after for after in await asyncio.gather(*claims) if after is not None]
        assert won == [{"_id": "a", "n": 1}]
    finally:
        for client in clients:
            await client.close()


async def test_only_a_replica_set_has_change_streams(backend: Backend, plain: Database, things: Collection) -> None:
    assert plain.is_replica_set is not backend.is_mock
    changes = things.watch()
    if backend.is_mock:
        with pytest.raises(PersistenceError, match="no change streams"):
            await anext(changes)
        return
    assert await anext(changes) is None
    await things.insert({"_id": "a"})
    change = await anext(changes)
    assert change is not None
    assert change["documentKey"] == {"_id": "a"}
    await changes.aclose()


async def test_a_watch_can_be_cancelled(backend: Backend, plain: Database, things: Collection) -> None:
    if backend.is_mock:
        pytest.skip("mongomock has no change streams")
    stands = asyncio.Event()

    async def watch() -> None:
        async for _ in things.watch():
            stands.set()

    watching = asyncio.create_task(watch())
    await stands.wait()
    watching.cancel()
    await asyncio.wait({watching})
    assert watching.cancelled()
    await plain.ping()
    assert plain.available
