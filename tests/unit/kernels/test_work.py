"""Who is told that a kernel is not wanted any more."""

from __future__ import annotations

import asyncio

import pytest

from enterprise_gateway.kernels.work import Work, WorkAtHand


@pytest.mark.parametrize(("generation", "told"), [(1, False), (2, True), (3, True)])
async def test_an_act_on_a_later_generation_of_the_id_is_not_stopped(generation: int, told: bool) -> None:
    at_hand, work = WorkAtHand(), Work(kernel_id="k1", generation=2)
    task = asyncio.create_task(work.stop.wait())
    at_hand.add(work, task)
    at_hand.stop("k1", generation)
    at_hand.stop("k2", 9)
    assert work.stop.is_set() is told
    task.cancel()
