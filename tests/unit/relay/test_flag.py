"""What waits for a flag."""

from __future__ import annotations

import asyncio

from enterprise_gateway.relay.flag import Flag
from persistence import clock


async def waiting(flag: Flag) -> asyncio.Task[None]:
    task = asyncio.create_task(flag.wait())
    await clock.sleep(0)
    return task


async def test_who_comes_to_a_set_flag_does_not_wait() -> None:
    flag = Flag()
    flag.set()
    await flag.wait()
    assert flag.is_set()


async def test_all_who_wait_go_on_when_it_is_set_though_it_is_cleared_at_once() -> None:
    flag = Flag()
    waiters = [await waiting(flag) for _ in range(2)]
    assert not any(waiter.done() for waiter in waiters)
    flag.set()
    flag.clear()
    await asyncio.gather(*waiters)
    assert not (await waiting(flag)).done()


async def test_one_who_gives_up_keeps_none_of_the_others_waiting() -> None:
    flag = Flag()
    first, second = [await waiting(flag) for _ in range(2)]
    first.cancel()
    flag.set()
    await second
    await asyncio.wait({first})
    assert first.cancelled()
