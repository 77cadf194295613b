from __future__ import annotations

import asyncio

import pytest

from persistence.clock import sleep
from persistence.coalesce import SharedQuery
from persistence.errors import StoreUnavailable


class Query:
    """Answers with its number, when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.answers: list[asyncio.Future[int]] = []

    async def __call__(self) -> int:
        self.begun += 1
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return await answer

    def answer(self) -> None:
        self.answers[-1].set_result(self.begun)


async def settle() -> None:
    for _ in range(5):
        await sleep(0)


@pytest.fixture
def query() -> Query:
    return Query()


async def test_callers_who_come_together_share_one_query(query: Query) -> None:
    shared = SharedQuery(query)
    callers = [asyncio.create_task(shared()) for _ in range(5)]
    await settle()
    query.answer()
    assert await asyncio.gather(*callers) == [1] * 5


async def test_a_caller_never_gets_a_query_that_began_before_he_came(query: Query) -> None:
    shared = SharedQuery(query)
    first = asyncio.create_task(shared())
    await settle()
    second = asyncio.create_task(shared())
    await settle()
    assert query.begun == 1
    query.answer()
    assert await first == 1
    await settle()
    query.answer()
    assert await second == 2


async def test_all_who_wait_during_a_query_share_the_next(query: Query) -> None:
    shared = SharedQuery(query)
    first = asyncio.create_task(shared())
    await settle()
    late = [asyncio.create_task(shared()) for _ in range(10)]
    await settle()
    query.answer()
    await first
    await settle()
    query.answer()
    assert await asyncio.gather(*late) == [2] * 10
    assert query.begun == 2


async def test_a_query_after_a_quiet_time_is_a_new_one(query: Query) -> None:
    shared = SharedQuery(query)
    for expected in (1, 2):
        caller = asyncio.create_task(shared())
        await settle()
        query.answer()
        assert await caller == expected


async def test_a_caller_who_leaves_takes_the_answer_from_nobody(query: Query) -> None:
    shared = SharedQuery(query)
    leaving, staying = asyncio.create_task(shared()), asyncio.create_task(shared())
    await settle()
    leaving.cancel()
    await asyncio.wait({leaving})
    assert leaving.cancelled()
    query.answer()
    assert await staying == 1


async def test_all_who_wait_get_the_error(query: Query) -> None:
    shared = SharedQuery(query)
    callers = [asyncio.create_task(shared()) for _ in range(3)]
    await settle()
    query.answers[-1].set_exception(StoreUnavailable("away"))
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 3


async def test_a_failed_query_does_not_fail_the_next(query: Query) -> None:
    shared = SharedQuery(query)
    first = asyncio.create_task(shared())
    await settle()
    second = asyncio.create_task(shared())
    await settle()
    query.answers[-1].set_exception(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await first
    await settle()
    query.answer()
    assert await second == 2


async def test_an_error_that_nobody_waits_for_any_more_is_not_lost_noisily(query: Query) -> None:
    # Warnings are errors here: "Task exception was never retrieved" would fail this test.
    shared = SharedQuery(query)
    caller = asyncio.create_task(shared())
    await settle()
    caller.cancel()
    await asyncio.wait({caller})
    query.answers[-1].set_exception(StoreUnavailable("away"))
    await settle()
    again = asyncio.create_task(shared())
    await settle()
    query.answer()
    assert await again == 2
