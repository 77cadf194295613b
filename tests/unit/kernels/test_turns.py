from __future__ import annotations

import asyncio

from enterprise_gateway.kernels.turns import Turns
from persistence import clock
from tests.cluster.waiting import eventually

LONG_SECONDS = 600.0


def turns_of(at_once: int, *, seconds: float = LONG_SECONDS, patience_seconds: float = LONG_SECONDS) -> Turns:
    return Turns(at_once, seconds=seconds, patience_seconds=patience_seconds)


class Crowd:
    """Tasks that each take a turn, and have it until they are told to go on."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._go = [asyncio.Event() for _ in range(5)]
        self.inside: list[int] = []
        self.tasks = [asyncio.create_task(self._take(number)) for number in range(5)]

    async def _take(self, number: int) -> None:
        async with self._turns.taken():
            self.inside.append(number)
            try:
                await self._go[number].wait()
            finally:
                self.inside.remove(number)

    async def end(self, number: int) -> None:
        self._go[number].set()
        await self.tasks[number]

    async def settle(self) -> list[int]:
        """Let whoever can go on do so."""
        for _ in range(20):
            await clock.sleep(0)
        return self.inside


async def test_no_more_than_so_many_have_a_turn_in_the_order_in_which_they_came() -> None:
    crowd = Crowd(turns_of(2))
    assert await crowd.settle() == [0, 1]
    await crowd.end(0)
    assert await crowd.settle() == [1, 2]
    await crowd.end(1)
    await crowd.end(2)
    assert await crowd.settle() == [3, 4]


async def test_who_takes_longer_than_a_turn_holds_nobody_up_and_gives_back_one_turn_only() -> None:
    turns = turns_of(1, seconds=0.001)
    crowd = Crowd(turns)
    await eventually(lambda: crowd.inside == [0, 1, 2, 3, 4], "all are inside")
    turns.seconds = LONG_SECONDS
    for number in range(5):
        await crowd.end(number)
    assert await Crowd(turns).settle() == [0]


async def test_who_is_cancelled_while_he_waits_or_inside_leaves_the_others_their_turns() -> None:
    crowd = Crowd(turns_of(1))
    await crowd.settle()
    crowd.tasks[1].cancel()
    crowd.tasks[0].cancel()
    await asyncio.gather(*crowd.tasks[:2], return_exceptions=True)
    assert await crowd.settle() == [2]


async def test_who_has_waited_too_long_goes_on_without_a_turn_and_gives_none_back() -> None:
    turns = turns_of(1, patience_seconds=0.001)
    crowd = Crowd(turns)
    await eventually(lambda: len(crowd.inside) == 5, "all are inside")
    for number in range(1, 5):
        await crowd.end(number)
    turns.patience_seconds = LONG_SECONDS
    late = Crowd(turns)
    assert await late.settle() == []
    await crowd.end(0)
    assert await late.settle() == [0]
