"""Waiting for what others do to a record."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from enterprise_gateway.kernels.waiting import Changes, wait_until
from persistence import clock, steps
from persistence.documents import Act, KernelRecord
from persistence.testing import mock_store
from tests.records import NOW, queued_kernel


def ended(record: KernelRecord | None) -> bool:
    return record is not None and not record.live


async def test_it_ends_when_the_condition_holds() -> None:
    async with mock_store(history_days=36_500) as store:
        record = queued_kernel(act=Act(id="a", replica="r1", since=NOW))
        await store.kernels.insert(record)
        changes = Changes()
        waiting = asyncio.create_task(wait_until(store, changes, "k1", ended, clock.Deadline(60)))
        await clock.sleep(0)
        await store.kernels.apply(steps.end_act(record, reason="test", now=NOW))
        changes.changed("k1")
        found, done = await waiting
    assert done
    assert found is not None
    assert found.reason == "test"


async def test_it_gives_up_at_the_deadline_with_what_it_saw_last() -> None:
    async with mock_store() as store:
        await store.kernels.insert(queued_kernel())
        found, done = await wait_until(store, Changes(), "k1", ended, clock.Deadline(0))
    assert not done
    assert found == replace(queued_kernel())


async def test_all_who_wait_hear_of_a_change_and_nothing_is_kept_of_them() -> None:
    changes = Changes()
    waiters = [asyncio.create_task(changes.wait("k1", 60)) for _ in range(3)]
    await clock.sleep(0)
    changes.changed("other")
    await clock.sleep(0)
    assert not any(waiter.done() for waiter in waiters)
    changes.changed("k1")
    await asyncio.gather(*waiters)
    assert not changes._events
    assert not changes._waiting


async def test_a_wait_without_a_change_ends_with_its_time() -> None:
    changes = Changes()
    await changes.wait("k1", 0.001)
    assert not changes._events
