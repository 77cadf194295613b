"""Sessions are forgotten with their kernels, over mongomock."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from enterprise_gateway.lifecycle import Background
from enterprise_gateway.sessions.tidying import SessionTidying
from persistence import steps
from persistence.documents import KernelRecord, Step
from persistence.kernel_session_manager import KernelSessionManager
from persistence.testing import away, mock_store
from tests.cluster.waiting import eventually
from tests.records import queued_kernel, session


class World:
    """One replica, with two kernels and a session of each."""

    def __init__(self, store: KernelSessionManager) -> None:
        self.store = store
        self.background = Background(logging.getLogger("test"))
        self.tidying = SessionTidying(store, self.background)
        store.kernels.on_step(self.tidying.made)

    async def set_up(self) -> None:
        for number in (1, 2):
            await self.store.kernels.insert(queued_kernel(f"k{number}"))
            await self.store.sessions.insert(session(f"s{number}", path=f"{number}", kernel_id=f"k{number}"))

    async def end(self, kernel_id: str) -> KernelRecord:
        return await self.store.kernels.apply(self.step(queued_kernel(kernel_id)))

    def step(self, record: KernelRecord) -> Step:
        return steps.end_act(record, reason="shut down", now=self.store.clock.latest_now())

    async def sessions(self) -> list[str]:
        return sorted(record.session_id for record in await self.store.sessions.list_all())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with mock_store() as store:
        made = World(store)
        await made.set_up()
        yield made
        await made.background.stop()


async def until_sessions(world: World, *left: str) -> None:
    await eventually(lambda: left_are(world, left), f"{left} are left")


async def left_are(world: World, left: tuple[str, ...]) -> bool:
    return await world.sessions() == list(left)


async def test_with_a_kernel_go_its_sessions(world: World) -> None:
    await world.end("k1")
    await until_sessions(world, "s2")


async def test_a_session_that_has_another_kernel_by_now_stays(world: World) -> None:
    await world.store.sessions.update("s1", {"kernel_id": "k2"})
    await world.end("k1")
    await world.end("k2")
    await until_sessions(world)


async def test_a_session_whose_kernel_was_started_anew_stays(world: World) -> None:
    ended = queued_kernel("k1", phase="ended")
    world.tidying.made(world.step(ended), ended)  # while the record says that it lives
    await world.end("k2")
    await until_sessions(world, "s1")


async def test_they_go_when_the_database_is_back(world: World) -> None:
    ended = await world.end("k1")
    with away(world.store.database):
        world.tidying.made(world.step(ended), ended)
    await until_sessions(world, "s2")


async def test_for_a_kernel_without_a_session_its_record_is_not_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.store.sessions.update("s1", {"kernel_id": "k2"})
    read: list[str] = []
    surely = world.store.kernels.get_surely

    async def noted(kernel_id: str) -> KernelRecord | None:
        read.append(kernel_id)
        return await surely(kernel_id)

    monkeypatch.setattr(world.store.kernels, "get_surely", noted)
    await world.end("k1")
    await world.end("k2")
    await until_sessions(world)
    await world.background.stop()
    assert read == ["k2"]
