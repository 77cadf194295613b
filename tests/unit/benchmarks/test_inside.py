"""Commands are counted for the duty that sends them, whatever is sent beside it."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

from pymongo.monitoring import CommandStartedEvent

from benchmarks.inside import Commands, cost


def send() -> None:
    Commands().started(Mock(spec=CommandStartedEvent, command_name="find"))


async def test_what_a_duty_and_its_tasks_send_is_counted() -> None:
    async def duty() -> None:
        send()
        await asyncio.gather(*(asyncio.to_thread(send) for _ in range(2)))

    assert (await cost(duty)).round_trips == 3


async def test_what_others_send_meanwhile_is_not() -> None:
    begun, done = asyncio.Event(), asyncio.Event()

    async def duty() -> None:
        begun.set()
        await done.wait()

    costing = asyncio.create_task(cost(duty))
    await begun.wait()
    send()
    done.set()
    assert (await costing).round_trips == 0
