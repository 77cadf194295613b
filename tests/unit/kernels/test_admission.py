"""A bounded number at work, the rest in a queue that is fair between users; what can't be in time is refused."""

from __future__ import annotations

import asyncio

import pytest

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels.admission import Admission, Withdrawn
from persistence import clock


async def enter(admission: Admission, order: list[int], number: int, leave: asyncio.Event) -> None:
    async with admission.admitted("ada", clock.Deadline(10), asyncio.Event()):
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
        async with admission.admitted("ada", clock.Deadline(0.01), asyncio.Event()):
            pass
    leave.set()
    await holder
    async with admission.admitted("ada", clock.Deadline(1), asyncio.Event()):
        assert admission.waiting == 0


async def test_one_that_is_withdrawn_while_it_waits_holds_nothing() -> None:
    admission, leave, stop = Admission(1), asyncio.Event(), asyncio.Event()
    holder = asyncio.ensure_future(enter(admission, [], 0, leave))
    await settled()

    async def wait() -> None:
        async with admission.admitted("ada", clock.Deadline(10), stop):
            pass

    waiter = asyncio.ensure_future(wait())
    await settled()
    stop.set()
    with pytest.raises(Withdrawn):
        await waiter
    leave.set()
    await holder
    async with admission.admitted("ada", clock.Deadline(1), asyncio.Event()):
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
    async with admission.admitted("ada", clock.Deadline(1), asyncio.Event()):
        pass


async def test_a_stop_that_was_set_before_is_seen_at_once() -> None:
    admission, stop = Admission(1), asyncio.Event()
    stop.set()
    with pytest.raises(Withdrawn):
        async with admission.admitted("ada", clock.Deadline(1), stop):
            pass


async def test_another_users_launch_does_not_wait_for_all_of_one_users() -> None:
    admission, order = Admission(1), list[str]()

    async def launch(user: str) -> None:
        async with admission.admitted(user, clock.Deadline(10), asyncio.Event()):
            order.append(user)
            await clock.sleep(0)

    await asyncio.gather(*(launch(user) for user in ("ada", "ada", "ada", "bob")))
    assert order == ["ada", "bob", "ada", "ada"]


async def launches(admission: Admission, monkeypatch: pytest.MonkeyPatch, *, seconds: float, count: int = 3) -> None:
    """Have launches taken so long."""
    now = 0.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    for _ in range(count):
        async with admission.admitted("ada", clock.Deadline(10), asyncio.Event()):
            now += seconds
    monkeypatch.undo()


async def test_one_whose_turn_would_come_too_late_is_refused_at_once_and_told_when_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admission, leave = Admission(2), asyncio.Event()
    await launches(admission, monkeypatch, seconds=4.0)
    tasks = [asyncio.ensure_future(enter(admission, [], number, leave)) for number in range(4)]
    await settled()
    # Even if those at work end now: 4 s for the two ahead, and 4 s for itself.
    admission.check("ada", clock.Deadline(8.5))
    with pytest.raises(GatewayError) as refused:
        admission.check("ada", clock.Deadline(6.5))
    assert refused.value.status == 503
    assert refused.value.retry_after_seconds == 2
    admission.check("bob", clock.Deadline(6.5))  # he is next
    leave.set()
    await asyncio.gather(*tasks)


async def test_nothing_is_refused_where_there_is_room_or_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    admission, leave = Admission(1), asyncio.Event()
    holder = asyncio.ensure_future(enter(admission, [], 0, leave))
    await settled()
    admission.check("ada", clock.Deadline(0.1))
    leave.set()
    await holder
    await launches(admission, monkeypatch, seconds=60.0)
    admission.check("ada", clock.Deadline(0.1))


async def test_launches_that_failed_say_nothing_of_how_long_others_take(monkeypatch: pytest.MonkeyPatch) -> None:
    admission, leave = Admission(1), asyncio.Event()
    now = 0.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)

    async def failing() -> None:
        nonlocal now
        async with admission.admitted("ada", clock.Deadline(10), asyncio.Event()):
            now += 60.0
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await failing()
    monkeypatch.undo()
    holder = asyncio.ensure_future(enter(admission, [], 0, leave))
    await settled()
    admission.check("ada", clock.Deadline(5.0))
    leave.set()
    await holder
