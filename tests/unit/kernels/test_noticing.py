"""Kernels that a replica is to watch are hydrated side by side, and none is left at work when a look is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import cast
from unittest.mock import AsyncMock, Mock

import pytest

from enterprise_gateway.errors import no_room
from enterprise_gateway.kernels.held import HeldKernels
from enterprise_gateway.kernels.hydrate import Hydrator
from enterprise_gateway.kernels.noticing import HYDRATED_AT_ONCE, Noticing
from enterprise_gateway.kernels.ownership import Ownership
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.sweep import Sweep
from enterprise_gateway.kernels.undone import Undone
from persistence.documents import KernelNotice, KernelRecord
from persistence.errors import StoreUnavailable
from tests.cluster.waiting import PATIENCE_SECONDS, eventually
from tests.records import running_kernel


class Hydrations:
    """Notes how many are at work, and does as it is told with each."""

    def __init__(self, work: Callable[[], Awaitable[object]]) -> None:
        self.at_work = self.most = self.done = 0
        self._work = work

    async def hydrate(self, record: KernelRecord) -> None:
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        try:
            await self._work()
            self.done += 1
        finally:
            self.at_work -= 1


def noticing(
    hydrations: Hydrations,
    *,
    orphans: int,
    owner: str | None = None,
    held: Sequence[str] = (),
    check: Callable[[], None] = lambda: None,
) -> Noticing:
    """Of a replica that meets so many kernels whose owner is gone, some of which it holds already."""
    records = {f"k{n}": running_kernel(f"k{n}", owner=owner) for n in range(orphans)}
    kernels = Mock(get=AsyncMock(side_effect=records.get))
    kernels.notices = AsyncMock(
        return_value=[KernelNotice.from_document(record.to_document()) for record in records.values()]
    )
    managers = Mock(headroom=Mock(check_for_client=check))
    parts = Mock(held=HeldKernels(), store=Mock(kernels=kernels), managers=managers, log=logging.getLogger("test"))
    for kernel_id in held:
        parts.held.add(Mock(kernel_id=kernel_id, generation=0, owned=False))
    return Noticing(
        cast(KernelParts, parts),
        cast(Hydrator, hydrations),
        cast(Ownership, Mock()),
        undone=cast(Undone, Mock(met=AsyncMock())),
        sweep=cast(Sweep, Mock(census=AsyncMock(return_value=None))),
        shutdown=AsyncMock(),
    )


async def test_many_are_hydrated_at_once_and_not_too_many() -> None:
    may_end = asyncio.Event()
    hydrations = Hydrations(may_end.wait)
    look = asyncio.create_task(noticing(hydrations, orphans=3 * HYDRATED_AT_ONCE).look())
    await eventually(lambda: hydrations.at_work == HYDRATED_AT_ONCE, "as many as may be are at work")
    may_end.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await look
    assert (hydrations.most, hydrations.done) == (HYDRATED_AT_ONCE, 3 * HYDRATED_AT_ONCE)


async def test_those_of_a_dead_replica_are_left_to_the_leader_who_spreads_them() -> None:
    hydrations = Hydrations(AsyncMock())
    await noticing(hydrations, orphans=3, owner="dead").look()
    assert hydrations.done == 0


async def test_a_look_that_finds_the_database_away_leaves_nothing_at_work() -> None:
    failed = asyncio.Event()

    async def work() -> None:
        if hydrations.most == 5:
            failed.set()
            raise StoreUnavailable("away")
        await failed.wait()

    hydrations = Hydrations(work)
    with pytest.raises(StoreUnavailable, match="away"):
        await noticing(hydrations, orphans=5).look()
    assert (hydrations.at_work, hydrations.done) == (0, 4)


async def test_where_few_files_may_be_opened_only_what_is_held_is_hydrated_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def check() -> None:
        raise no_room("too few files")

    async def work() -> None:
        """It has nothing to wait for."""

    hydrations = Hydrations(work)
    seen = noticing(hydrations, orphans=3, held=["k1"], check=check)
    await seen.look()
    await seen.look()
    assert hydrations.done == 2
    assert [record.getMessage() for record in caplog.records if "too few files" in record.getMessage()] == [
        "Not all kernels of this host can be watched from here: too few files"
    ]
