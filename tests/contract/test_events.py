"""What the store of events promises, over mongomock and over a real server by both drivers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from persistence.documents import EventKind, EventRecord
from persistence.driver import Database
from persistence.events import EventStore
from tests.records import NOW

CULLED = EventRecord(
    event_id="k1 1 culled",
    kind=EventKind.CULLED.value,
    at=NOW,
    replica="r1",
    kernel_id="k1",
    username="ann",
    reason="idle",
    details={"idle_seconds": 61.5, "term": 3},
)


@pytest.fixture
def events(database: Database) -> EventStore:
    return EventStore(database)


async def test_what_was_told_is_read_as_it_was_told(events: EventStore) -> None:
    await events.tell([CULLED])
    assert await events.newest() == [CULLED]


async def test_what_is_told_again_is_there_once_and_as_it_was_first(events: EventStore) -> None:
    later = replace(CULLED, event_id="later", at=NOW + timedelta(seconds=1))
    await events.tell([CULLED])
    await events.tell([replace(CULLED, replica="r2"), later])
    assert await events.newest() == [later, CULLED]


async def test_what_a_newer_replica_keeps_in_an_event_survives(database: Database, events: EventStore) -> None:
    newer = replace(CULLED, schema=99)
    raw = database.collection("events")
    await raw.insert({**newer.to_document(), "novelty": 1})
    await events.tell([CULLED])
    assert await events.newest() == [newer]
    assert await raw.find_one({}) == {**newer.to_document(), "novelty": 1}


async def test_an_event_of_a_version_that_wrote_no_schema_is_read(database: Database, events: EventStore) -> None:
    former = CULLED.to_document()
    del former["schema"]
    await database.collection("events").insert(former)
    assert await events.newest() == [replace(CULLED, schema=1)]


async def test_the_newest_come_first_and_at_most_as_many_as_wanted(events: EventStore) -> None:
    await events.tell([replace(CULLED, event_id=f"e{n}", at=NOW + timedelta(seconds=n)) for n in range(5)])
    assert [event.event_id for event in await events.newest(limit=2)] == ["e4", "e3"]


async def test_those_of_one_kernel_are_found(events: EventStore) -> None:
    await events.tell([CULLED, replace(CULLED, event_id="other", kernel_id="k2")])
    assert [event.event_id for event in await events.newest("k2")] == ["other"]
