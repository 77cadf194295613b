from __future__ import annotations

import asyncio

import pytest

from persistence.driver.closing import to_the_end


async def test_a_client_is_closed_to_the_end_though_its_closer_is_cancelled() -> None:
    began, may_end, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def close() -> None:
        began.set()
        await may_end.wait()
        closed.set()

    closing = asyncio.create_task(to_the_end(close()))
    await began.wait()
    closing.cancel()
    asyncio.get_running_loop().call_soon(may_end.set)
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert closed.is_set()


async def test_what_closing_raises_is_raised() -> None:
    async def close() -> None:
        raise OSError

    with pytest.raises(OSError):
        await to_the_end(close())
