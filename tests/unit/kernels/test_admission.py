"""A bounded number at work, the rest in order."""

from __future__ import annotations

import asyncio

import pytest

from enterprise_gateway.kernels.admission import Admission, Withdrawn
from persistence import clock


async def enter(admission: Admission, order: list[int], number: int, leave: asyncio.Event) -> None:
    async with admission.admitted(clock.Deadline(10), asyncio.Event()):
        order.append(number)
        await leave.wait()


async def settled() -> None:
    for _ in range(10):
        await clock.sleep(0)


async def test_no_more_than_so_many_are_at_work() -> None:
    admission, order, leave = Admission(2), list[int](), asyncio.Event()
    tasks = [asyncio.ensure_future(enter(admission, order, number, leave)) for number in range(5)]
    await settled()
    assert order == [0, 1]
    assert admission.waiting == 3
    leave.set()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_one_that_waits_beyond_its_deadline_gives_up_and_holds_nothing() -> None:
    admission, leave = Admission(1), asyncio.Event()
    holder = asyncio.ensure_future(enter(admission, [], 0, leave))
    await settled()
    with pytest.raises(TimeoutError):
        async with admission.admitted(clock.Deadline(0.01), asyncio.Event()):
            pass
    leave.set()
    await holder
    async with admission.admitted(clock.Deadline(1), asyncio.Event()):
        assert admission.waiting == 0


async def test_one_that_is_withdrawn_while_it_waits_holds_nothing() -> None:
    admission, leave, stop = Admission(1), asyncio.Event(), asyncio.Event()
    holder = asyncio.ensure_future(enter(admission, [], 0, leave))
    await settled()

    async def wait() -> None:
        async with admission.admitted(clock.Deadline(10), stop):
            pass

    waiter = asyncio.ensure_future(wait())
    await settled()
    stop.set()
    with pytest.raises(Withdrawn):
        await waiter
    leave.set()
    await holder
    async with admission.admitted(clock.Deadline(1), asyncio.Event()):
        pass


async def test_one_that_is_cancelled_as_its_turn_comes_passes_it_on() -> None:
    admission, leave = Admission(1), asyncio.Event()
    holder = asyncio.ensure_future(enter(admission, [], 0, leave))
    await settled()
    waiter = asyncio.ensure_future(enter(admission, [], 1, asyncio.Event()))
    await settled()
    leave.set()
    await clock.sleep(0)
    waiter.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    async with admission.admitted(clock.Deadline(1), asyncio.Event()):
        pass


async def test_a_stop_that_was_set_before_is_seen_at_once() -> None:
    admission, stop = Admission(1), asyncio.Event()
    stop.set()
    with pytest.raises(Withdrawn):
        async with admission.admitted(clock.Deadline(1), stop):
            pass
