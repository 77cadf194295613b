"""What the store of leases promises, over mongomock and over a real server by both drivers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from persistence.documents import ClockStep, LeaseRecord
from persistence.driver import Database
from persistence.errors import StaleWrite
from persistence.leases import LeaseStore
from tests.contract.conftest import Backend

FREE = LeaseRecord(name="leader")


@pytest.fixture
def leases(database: Database) -> LeaseStore:
    return LeaseStore(database)


async def test_the_first_holder_has_the_first_term(leases: LeaseStore) -> None:
    taken = await leases.take_over(FREE, "r1")
    assert (taken.holder, taken.term) == ("r1", 1)
    assert await leases.get("leader") == taken
    assert await leases.get_surely("leader") == taken


async def test_nobody_has_a_lease_that_was_never_taken(leases: LeaseStore) -> None:
    assert await leases.get("leader") is None


async def test_a_takeover_raises_the_term(leases: LeaseStore) -> None:
    first = await leases.take_over(FREE, "r1")
    second = await leases.take_over(first, "r2")
    assert (second.holder, second.term) == ("r2", 2)


async def test_of_ten_who_take_it_at_once_one_has_it(backend: Backend, database: Database) -> None:
    databases = await asyncio.gather(*(backend.open() for _ in range(10)))
    try:
        tries = (LeaseStore(each).take_over(FREE, f"r{n}") for n, each in enumerate(databases))
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
    finally:
        await asyncio.gather(*(each.close() for each in databases))
    (taken,) = (outcome for outcome in outcomes if isinstance(outcome, LeaseRecord))
    assert sum(isinstance(outcome, StaleWrite) for outcome in outcomes) == 9
    assert await LeaseStore(database).get("leader") == taken


async def test_a_renewal_raises_the_beat_alone(leases: LeaseStore) -> None:
    taken = await leases.take_over(FREE, "r1")
    renewed = await leases.renew(taken)
    assert (renewed.holder, renewed.term, renewed.beat) == ("r1", 1, taken.beat + 1)


async def test_a_renewal_of_what_was_renewed_since_is_stale(leases: LeaseStore) -> None:
    taken = await leases.take_over(FREE, "r1")
    await leases.renew(taken)
    with pytest.raises(StaleWrite):
        await leases.renew(taken)


async def test_a_takeover_of_what_was_renewed_since_is_stale(leases: LeaseStore) -> None:
    taken = await leases.take_over(FREE, "r1")
    await leases.renew(taken)
    with pytest.raises(StaleWrite):
        await leases.take_over(taken, "r2")


async def test_a_renewal_after_a_takeover_is_stale(leases: LeaseStore) -> None:
    taken = await leases.take_over(FREE, "r1")
    await leases.take_over(taken, "r2")
    with pytest.raises(StaleWrite):
        await leases.renew(taken)


async def test_given_back_nobody_holds_it_and_the_term_goes_on_counting(leases: LeaseStore) -> None:
    taken = await leases.take_over(FREE, "r1")
    await leases.renew(taken)
    await leases.release(taken)  # by whoever does not know its last beat
    free = await leases.get("leader")
    assert free is not None
    assert (free.holder, free.term) == (None, 1)
    assert (await leases.take_over(free, "r2")).term == 2


async def test_what_another_has_can_not_be_given_back(leases: LeaseStore) -> None:
    taken = await leases.take_over(FREE, "r1")
    await leases.take_over(taken, "r2")
    with pytest.raises(StaleWrite):
        await leases.release(taken)


async def test_steps_of_the_clock_are_left_to_the_next_holder(leases: LeaseStore) -> None:
    taken = await leases.take_over(FREE, "r1")
    steps = (ClockStep(seconds=3.5, at=datetime(2026, 3, 4, tzinfo=UTC), within_seconds=7.0),)
    await leases.note_clock_steps(taken, steps)
    assert (await leases.take_over(taken, "r2")).clock_steps == steps
    with pytest.raises(StaleWrite):
        await leases.note_clock_steps(taken, steps)


async def test_what_a_newer_replica_keeps_in_a_lease_survives(database: Database, leases: LeaseStore) -> None:
    taken = await leases.take_over(FREE, "r1")
    raw = database.collection("leases")
    await raw.find_one_and_update({"_id": "leader"}, {"$set": {"newer": 1, "schema": 99}})
    held = await leases.take_over(await leases.renew(taken), "r2")
    await leases.note_clock_steps(held, [])
    await leases.release(held)
    document = await raw.find_one({"_id": "leader"})
    assert document is not None
    assert (document["newer"], document["schema"], held.schema) == (1, 99, 99)


async def test_a_lease_of_a_version_that_wrote_no_schema_is_read_and_taken(
    database: Database, leases: LeaseStore
) -> None:
    former = {"_id": "leader", "holder": "r1", "term": 3, "beat": 8, "clock_steps": []}
    await database.collection("leases").insert(former)
    seen = await leases.get("leader")
    assert seen == LeaseRecord(name="leader", holder="r1", term=3, beat=8, schema=1)
    assert (await leases.take_over(seen, "r2")).term == 4
