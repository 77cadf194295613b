"""Who is told that a kernel is not wanted any more, and how long an act is waited for."""

from __future__ import annotations

import asyncio

import pytest

from enterprise_gateway.kernels.work import Work, WorkAtHand, outcome
from persistence.errors import StoreUnavailable


@pytest.mark.parametrize(("generation", "told"), [(1, False), (2, True), (3, True)])
async def test_an_act_on_a_later_generation_of_the_id_is_not_stopped(generation: int, told: bool) -> None:
    at_hand, work = WorkAtHand(), Work(kernel_id="k1", generation=2)
    task = asyncio.create_task(work.stop.wait())
    at_hand.add(work, task)
    at_hand.stop("k1", generation)
    at_hand.stop("k2", 9)
    assert work.stop.is_set() is told
    task.cancel()


async def test_an_act_in_doubt_is_not_waited_for_and_goes_on() -> None:
    doubt, back = asyncio.Event(), asyncio.Event()
    act = asyncio.create_task(back.wait())
    waiting = asyncio.create_task(outcome(act, doubt))
    doubt.set()
    with pytest.raises(StoreUnavailable):
        await waiting
    back.set()
    assert await act


async def test_an_act_that_is_over_has_its_outcome_whatever_was_in_doubt_before() -> None:
    doubt = asyncio.Event()
    doubt.set()
    act = asyncio.create_task(doubt.wait())
    await act
    assert await outcome(act, doubt)


async def test_who_stops_to_wait_for_an_act_leaves_it_at_work() -> None:
    act = asyncio.create_task(asyncio.Event().wait())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await outcome(act, asyncio.Event())
    assert not act.cancelling()
    act.cancel()
