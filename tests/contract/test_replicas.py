"""What the store of replicas promises, over mongomock and over a real server by both drivers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from persistence.documents import HostDoc, ReplicaRecord, ReplicaState
from persistence.driver import Database
from persistence.errors import StaleWrite
from persistence.replicas import COLLECTION, ReplicaStore

RECORD = ReplicaRecord(
    replica_id="r1",
    url="http://node-a:8888",
    host=HostDoc(id="h", machine="m", boot="b", name="node-a"),
    version="1.0",
    key_ids=("k1", "k2"),
)


@pytest.fixture
def replicas(database: Database) -> ReplicaStore:
    return ReplicaStore(database)


async def test_registered_it_is_listed_with_the_databases_time(database: Database, replicas: ReplicaStore) -> None:
    registered = await replicas.register(RECORD)
    assert registered == replace(RECORD, beat_at=registered.beat_at)
    assert registered.beat_at is not None
    assert abs(registered.beat_at - await database.server_time()) < timedelta(seconds=60)
    assert await replicas.list_all() == [registered]
    assert await replicas.get("r1") == registered


async def test_registering_again_after_a_lost_answer_keeps_what_is_there(replicas: ReplicaStore) -> None:
    await replicas.register(RECORD)
    await replicas.beat("r1", 0, state=ReplicaState.READY, load=3)
    again = await replicas.register(RECORD)
    assert (again.beat, again.load) == (1, 3)


async def test_registering_again_does_not_raise_the_dead(replicas: ReplicaStore) -> None:
    await replicas.register(RECORD)
    await replicas.mark("r1", ReplicaState.DEAD)
    assert (await replicas.register(RECORD)).state == ReplicaState.DEAD


async def test_a_time_of_the_replicas_own_is_never_stored(replicas: ReplicaStore) -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    registered = await replicas.register(replace(RECORD, beat_at=long_ago))
    assert registered.beat_at is not None
    assert registered.beat_at > long_ago


async def test_a_beat_brings_back_its_number_and_the_databases_time(replicas: ReplicaStore) -> None:
    registered = await replicas.register(RECORD)
    first = await replicas.beat("r1", 0, state=ReplicaState.READY, load=7)
    second = await replicas.beat("r1", first.beat, state=ReplicaState.DRAINING, load=0)
    assert (first.beat, first.load, first.state) == (1, 7, ReplicaState.READY)
    assert (second.beat, second.load, second.state) == (2, 0, ReplicaState.DRAINING)
    assert registered.beat_at is not None
    assert first.beat_at is not None
    assert second.beat_at is not None
    assert registered.beat_at <= first.beat_at <= second.beat_at


async def test_a_beat_on_another_than_the_last_one_is_refused(replicas: ReplicaStore) -> None:
    await replicas.register(RECORD)
    await replicas.beat("r1", 0, state=ReplicaState.READY, load=0)
    with pytest.raises(StaleWrite):
        await replicas.beat("r1", 0, state=ReplicaState.READY, load=0)
    found = await replicas.get("r1")
    assert found is not None
    assert found.beat == 1


async def test_of_beats_at_once_on_one_last_beat_one_is_acknowledged(replicas: ReplicaStore) -> None:
    await replicas.register(RECORD)
    beats = [replicas.beat("r1", 0, state=ReplicaState.READY, load=0) for _ in range(5)]
    results = await asyncio.gather(*beats, return_exceptions=True)
    assert [type(result) for result in results].count(ReplicaRecord) == 1
    assert [type(result) for result in results].count(StaleWrite) == 4


async def test_the_dead_beat_no_more(replicas: ReplicaStore) -> None:
    await replicas.register(RECORD)
    await replicas.mark("r1", ReplicaState.DEAD)
    with pytest.raises(StaleWrite):
        await replicas.beat("r1", 0, state=ReplicaState.READY, load=0)


async def test_who_has_no_document_does_not_beat(replicas: ReplicaStore) -> None:
    with pytest.raises(StaleWrite):
        await replicas.beat("r1", 0, state=ReplicaState.READY, load=0)
    assert await replicas.get("r1") is None


async def test_a_mark_is_no_beat(replicas: ReplicaStore) -> None:
    registered = await replicas.register(RECORD)
    await replicas.mark("r1", ReplicaState.DRAINING)
    assert await replicas.get("r1") == replace(registered, state=ReplicaState.DRAINING)


async def test_the_dead_stay_dead(replicas: ReplicaStore) -> None:
    await replicas.register(RECORD)
    await replicas.mark("r1", ReplicaState.DEAD)
    with pytest.raises(StaleWrite):
        await replicas.mark("r1", ReplicaState.DRAINING)


async def test_a_newer_replicas_fields_survive_a_beat(database: Database, replicas: ReplicaStore) -> None:
    await replicas.register(RECORD)
    collection = database.collection(COLLECTION)
    await collection.find_one_and_update({"_id": "r1"}, {"$set": {"mood": "good", "schema": 99}})
    await replicas.beat("r1", 0, state=ReplicaState.READY, load=0)
    stored = await collection.find_one({"_id": "r1"})
    assert stored is not None
    assert (stored["mood"], stored["schema"]) == ("good", 99)


async def test_declared_dead_by_its_unchanged_beat_it_beats_no_more(replicas: ReplicaStore) -> None:
    await replicas.register(RECORD)
    await replicas.declare_dead("r1", 0)
    with pytest.raises(StaleWrite):
        await replicas.beat("r1", 0, state=ReplicaState.READY, load=0)


async def test_who_has_beaten_since_is_not_declared_dead(replicas: ReplicaStore) -> None:
    await replicas.register(RECORD)
    await replicas.beat("r1", 0, state=ReplicaState.READY, load=0)
    with pytest.raises(StaleWrite):
        await replicas.declare_dead("r1", 0)


async def test_only_the_dead_that_are_cleared_and_long_gone_are_forgotten(replicas: ReplicaStore) -> None:
    for replica_id in ("live", "dead", "cleared"):
        registered = await replicas.register(replace(RECORD, replica_id=replica_id))
        await replicas.clear(replica_id)  # means nothing while it lives
    for replica_id in ("dead", "cleared"):
        await replicas.declare_dead(replica_id, 0)
    await replicas.clear("cleared")
    assert registered.beat_at is not None
    assert await replicas.forget(before=registered.beat_at - timedelta(hours=1)) == 0
    assert await replicas.forget(before=registered.beat_at + timedelta(hours=1)) == 1
    assert {record.replica_id for record in await replicas.list_all()} == {"live", "dead"}
