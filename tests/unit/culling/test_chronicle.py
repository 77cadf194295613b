from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from unittest.mock import AsyncMock, patch

import pytest

from culling.chronicle import MOST_WAITING, TOLD_AT_ONCE, Chronicle
from persistence import clock, steps
from persistence.documents import Act, EventRecord
from persistence.errors import StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.testing import away, mock_store
from tests.cluster.waiting import eventually
from tests.records import NOW, running_kernel

LOG = logging.getLogger("test")
ACT = Act(id="a", replica="r1", since=NOW)


@pytest.fixture
async def store(database_name: str) -> AsyncIterator[KernelSessionManager]:
    async with mock_store(database_name) as opened:
        await opened.kernels.insert(running_kernel())
        yield opened


@pytest.fixture
def chronicle(store: KernelSessionManager) -> Chronicle:
    made = Chronicle(store, replica_id=lambda: "me", log=LOG)
    store.kernels.on_step(made.made)
    return made


async def kinds(store: KernelSessionManager) -> set[str]:
    return {event.kind for event in await store.events.newest("k1")}


async def test_what_becomes_of_a_kernel_is_told(store: KernelSessionManager, chronicle: Chronicle) -> None:
    record = await store.kernels.apply(steps.adopt(running_kernel(), replica="r2", now=NOW))
    record = await store.kernels.apply(
        steps.restart_dead(record, owner="r2", act=ACT, restarts=1, reason="killed by signal 9", now=NOW)
    )
    record = await store.kernels.apply(steps.mark_running(record, now=NOW, kernel_info={}, replica="r1"))
    assert record.owner == "r1"
    await store.kernels.apply(steps.end_dead(record, owner="r1", reason="it died", now=store.clock.latest_now()))
    await chronicle.tell()
    assert await kinds(store) == {"adopted", "restarted", "started", "ended"}
    told: dict[str, EventRecord] = {event.kind: event for event in await store.events.newest()}
    assert told["restarted"].reason == "killed by signal 9"
    assert (told["ended"].reason, told["ended"].replica) == ("it died", "me")


async def test_steps_between_are_not_told(store: KernelSessionManager, chronicle: Chronicle) -> None:
    await store.kernels.apply(steps.want_stopped("k1"))
    await chronicle.tell()
    assert await kinds(store) == set()


async def test_what_is_told_of_twice_is_there_once(store: KernelSessionManager, chronicle: Chronicle) -> None:
    step = steps.adopt(running_kernel(), replica="r2", now=NOW)
    after = await store.kernels.apply(step)
    chronicle.made(step, after)
    await chronicle.tell()
    assert len(await store.events.newest("k1")) == 1


async def test_what_others_hand_in_is_told_too(store: KernelSessionManager, chronicle: Chronicle) -> None:
    event = EventRecord(
        event_id="k1 1 culled", kind="culled", at=store.clock.latest_now(), replica="me", kernel_id="k1", reason="idle"
    )
    chronicle.add(event)
    await chronicle.tell()
    assert await kinds(store) == {"culled"}


async def test_many_are_told_in_few_writes_and_none_twice(store: KernelSessionManager, chronicle: Chronicle) -> None:
    writes = AsyncMock(wraps=store.events.tell)
    count = 2 * TOLD_AT_ONCE + 1
    at = store.clock.latest_now()
    with patch.object(store.events, "tell", writes):
        for n in range(count):
            chronicle.add(EventRecord(event_id=f"e{n}", kind="culled", at=at, replica="me", kernel_id="k1"))
        await chronicle.tell()
    told = [event.event_id for call in writes.await_args_list for event in call.args[0]]
    assert told == [f"e{n}" for n in range(count)]
    assert writes.await_count == 3


async def test_what_happens_within_a_moment_is_told_in_one_write(
    store: KernelSessionManager, chronicle: Chronicle
) -> None:
    writes = AsyncMock(wraps=store.events.tell)
    at = store.clock.latest_now()
    with patch.object(store.events, "tell", writes):
        telling = asyncio.create_task(chronicle.tell_for_ever())
        for n in range(3):
            chronicle.add(EventRecord(event_id=f"e{n}", kind="culled", at=at, replica="me", kernel_id=f"k{n}"))
            await clock.sleep(0)
        await eventually(lambda: writes.await_count > 0, "they are told")
        telling.cancel()
        await asyncio.wait({telling})
    assert [[event.event_id for event in call.args[0]] for call in writes.await_args_list] == [["e0", "e1", "e2"]]


async def test_what_had_to_make_room_meanwhile_takes_no_other_along(
    store: KernelSessionManager, chronicle: Chronicle
) -> None:
    at = store.clock.latest_now()

    def event(name: str) -> EventRecord:
        return EventRecord(event_id=name, kind="culled", at=at, replica="me", kernel_id="k1")

    async def overrun(_: object) -> None:
        writes.side_effect = None
        for n in range(MOST_WAITING - 1):
            chronicle.add(event(f"later-{n}"))

    writes = AsyncMock(side_effect=overrun)
    with patch.object(store.events, "tell", writes):
        for name in ("first", "second", "third"):
            chronicle.add(event(name))
        await chronicle.tell()
    told = [event.event_id for call in writes.await_args_list for event in call.args[0]]
    assert told == ["first", "second", "third", *(f"later-{n}" for n in range(MOST_WAITING - 1))]


async def test_what_can_not_be_told_waits_for_the_database(store: KernelSessionManager, chronicle: Chronicle) -> None:
    await store.kernels.apply(steps.adopt(running_kernel(), replica="r2", now=NOW))
    with away(store.database), pytest.raises(StoreUnavailable):
        await chronicle.tell()
    telling = asyncio.create_task(chronicle.tell_for_ever())
    try:

        async def told() -> bool:
            return store.available and await kinds(store) == {"adopted"}

        await eventually(told, "it is told")
    finally:
        telling.cancel()
        await asyncio.wait({telling})
