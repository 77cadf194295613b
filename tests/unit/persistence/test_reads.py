from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from typing import Any, cast

import pytest

from persistence import clock
from persistence.driver import Collection
from persistence.errors import StoreUnavailable
from persistence.reads import SureReads


class SlowCollection:
    """Answers only when it is let, with what is there by then."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.let = asyncio.Event()
        self.away = False

    async def find_one(self, where: Mapping[str, Any], *, linearizable: bool) -> dict[str, Any] | None:
        assert linearizable
        self.asked.append(where["_id"])
        await self.let.wait()
        if self.away:
            raise StoreUnavailable("no answer")
        return self.documents.get(where["_id"])


@pytest.fixture
def collection() -> SlowCollection:
    return SlowCollection()


@pytest.fixture
def reads(collection: SlowCollection) -> SureReads:
    return SureReads(cast(Collection, collection))


async def test_those_who_wait_for_one_id_share_one_query(collection: SlowCollection, reads: SureReads) -> None:
    collection.documents["a"] = {"_id": "a"}
    collection.let.set()
    assert await asyncio.gather(*(reads.get("a") for _ in range(20))) == [{"_id": "a"}] * 20
    assert collection.asked == ["a"]


async def test_each_id_has_its_own_query(collection: SlowCollection, reads: SureReads) -> None:
    collection.documents["a"] = {"_id": "a"}
    collection.let.set()
    assert list(await asyncio.gather(reads.get("a"), reads.get("b"))) == [{"_id": "a"}, None]


async def test_who_comes_while_a_query_runs_gets_the_next_one(collection: SlowCollection, reads: SureReads) -> None:
    first = asyncio.create_task(reads.get("a"))
    while not collection.asked:
        await clock.sleep(0)
    late = asyncio.gather(*(reads.get("a") for _ in range(20)))
    collection.let.set()
    await asyncio.gather(first, late)
    assert collection.asked == ["a", "a"]


async def test_all_who_wait_get_the_error(collection: SlowCollection, reads: SureReads) -> None:
    collection.away = True
    collection.let.set()
    answers = await asyncio.gather(*(reads.get("a") for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3


async def test_nothing_is_kept_of_ids_that_nobody_waits_for(collection: SlowCollection, reads: SureReads) -> None:
    collection.let.set()
    await asyncio.gather(*(reads.get(str(n)) for n in range(50)))
    gc.collect()
    assert len(reads._by_id) == 0
