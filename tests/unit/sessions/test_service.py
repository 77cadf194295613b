"""Sessions over mongomock, with kernels that are only numbers: which of them are left, whatever happens at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from enterprise_gateway.errors import GatewayError, not_found
from enterprise_gateway.kernels.requests import StartRequest
from enterprise_gateway.lifecycle import Background
from enterprise_gateway.sessions.requests import SessionChanges, SessionRequest
from enterprise_gateway.sessions.service import SessionService
from persistence.errors import StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.testing import Gate, away, mock_store
from tests.cluster.waiting import eventually
from tests.records import session

LOG = logging.getLogger("test")
START = StartRequest(name="python3", username="ann", arrived_boottime=0.0)
OPEN = SessionRequest(path="a.ipynb", name="", type="notebook", start=START)
ANOTHER_KERNEL = SessionChanges(start=START)


class Numbered:
    """Kernels without processes: k1, k2, … in the order in which they are started."""

    def __init__(self) -> None:
        self.live: set[str] = set()
        self._started = 0
        self.starting = 0
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.away = False
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        """What others do while the next question about a kernel is answered."""

    async def start(self, request: StartRequest) -> dict[str, Any]:
        self.starting += 1
        await self.may_start.wait()
        self._started += 1
        self.live.add(f"k{self._started}")
        return {"id": f"k{self._started}"}

    async def model(self, kernel_id: str) -> dict[str, Any]:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        if kernel_id not in self.live:
            raise not_found(kernel_id)
        return {"id": kernel_id}

    async def list_models(self) -> list[dict[str, Any]]:
        return [{"id": kernel_id} for kernel_id in sorted(self.live)]

    async def shutdown(self, kernel_id: str) -> None:
        if self.away:
            raise StoreUnavailable("away")
        await self.model(kernel_id)
        self.live.remove(kernel_id)


class World:
    """One replica's sessions."""

    def __init__(self, store: KernelSessionManager) -> None:
        self.store = store
        self.kernels = Numbered()
        self.background = Background(LOG)
        self.sessions = SessionService(store, self.kernels, self.background, LOG)

    async def used(self) -> set[str]:
        """The kernels that sessions name."""
        return {record.kernel_id for record in await self.store.sessions.list_all()}

    async def is_whole(self, live: set[str]) -> None:
        """Wait until these kernels are left, and see that they are what sessions name."""
        await eventually(lambda: self.kernels.live == live, f"{live} are left, of {self.kernels.live}")
        assert await self.used() == live

    def begin_change(self, session_id: str, changes: SessionChanges) -> asyncio.Task[dict[str, Any]]:
        return asyncio.ensure_future(self.sessions.update(session_id, changes))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with mock_store() as store:
        made = World(store)
        yield made
        await made.background.stop()


async def test_a_session_that_gets_another_kernel_leaves_no_other(world: World) -> None:
    opened = await world.sessions.create(OPEN)
    changed = await world.sessions.update(opened["id"], ANOTHER_KERNEL)
    assert changed["kernel"]["id"] == "k2"
    await world.is_whole({"k2"})


async def test_of_two_who_start_a_kernel_for_one_session_one_wins_and_both_answer_with_it(world: World) -> None:
    opened = await world.sessions.create(OPEN)
    world.kernels.may_start.clear()
    changes = [world.begin_change(opened["id"], ANOTHER_KERNEL) for _ in range(2)]
    await eventually(lambda: world.kernels.starting == 3, "both start a kernel")
    world.kernels.may_start.set()
    answers = await asyncio.gather(*changes)
    (kernel_id,) = {answer["kernel"]["id"] for answer in answers}
    await world.is_whole({kernel_id})


async def test_who_loses_the_race_for_the_kernel_renames_all_the_same(world: World) -> None:
    opened = await world.sessions.create(OPEN)
    renaming = SessionChanges(path="b.ipynb", start=START)
    answers = await asyncio.gather(
        *(world.sessions.update(opened["id"], changes) for changes in (ANOTHER_KERNEL, renaming))
    )
    assert answers[0]["kernel"] == answers[1]["kernel"]
    assert (await world.sessions.model(opened["id"]))["path"] == "b.ipynb"


async def test_a_session_that_is_deleted_while_its_next_kernel_starts_leaves_none(world: World) -> None:
    opened = await world.sessions.create(OPEN)
    world.kernels.may_start.clear()
    change = world.begin_change(opened["id"], ANOTHER_KERNEL)
    await eventually(lambda: world.kernels.starting == 2, "it starts a kernel")
    await world.sessions.delete(opened["id"])
    world.kernels.may_start.set()
    with pytest.raises(GatewayError, match="does not exist"):
        await change
    await world.is_whole(set())


async def test_a_delete_ends_the_kernel_that_the_session_got_meanwhile(world: World) -> None:
    opened = await world.sessions.create(OPEN)
    await world.kernels.start(START)
    world.kernels.meanwhile = lambda: world.store.sessions.update(opened["id"], {"kernel_id": "k2"})
    await world.sessions.delete(opened["id"])
    await world.is_whole(set())


async def test_a_session_whose_kernel_is_gone_is_gone_for_a_delete_too(world: World) -> None:
    opened = await world.sessions.create(OPEN)
    await world.kernels.shutdown("k1")
    with pytest.raises(GatewayError, match="404 Session does not exist"):
        await world.sessions.delete(opened["id"])
    assert await world.used() == set()


async def test_a_session_that_got_another_kernel_is_not_deleted_for_the_death_of_the_former(world: World) -> None:
    await world.store.sessions.insert(session(kernel_id="dead"))
    await world.kernels.start(START)
    world.kernels.meanwhile = lambda: world.store.sessions.update("s1", {"kernel_id": "k1"})
    assert (await world.sessions.model("s1"))["kernel"]["id"] == "k1"


async def test_a_path_that_another_session_has_is_409_and_leaves_no_kernel(world: World) -> None:
    opened = await world.sessions.create(OPEN)
    await world.store.sessions.insert(session("s2", path="b.ipynb", kernel_id="k1"))
    with pytest.raises(GatewayError, match="Another session"):
        await world.sessions.update(opened["id"], SessionChanges(path="b.ipynb", start=START))
    await world.is_whole({"k1"})


async def test_a_database_that_is_away_when_the_kernel_has_started_costs_no_kernel(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await world.sessions.create(OPEN)
    monkeypatch.setattr("enterprise_gateway.sessions.service.OUTAGE_SECONDS", 0.0)
    world.kernels.may_start.clear()
    change = world.begin_change(opened["id"], ANOTHER_KERNEL)
    await eventually(lambda: world.kernels.starting == 2, "it starts a kernel")
    with away(world.store.database):
        world.kernels.may_start.set()
        with pytest.raises(StoreUnavailable):
            await change
        assert world.kernels.live == {"k1", "k2"}
    await world.is_whole({"k2"})


async def test_a_kernel_that_lost_is_stopped_when_the_database_is_back(world: World) -> None:
    opened = await world.sessions.create(OPEN)
    world.kernels.away = True
    await world.sessions.update(opened["id"], ANOTHER_KERNEL)
    assert world.kernels.live == {"k1", "k2"}
    world.kernels.away = False
    await world.is_whole({"k2"})


async def test_an_opening_that_is_cancelled_while_it_is_written_leaves_neither_session_nor_kernel(world: World) -> None:
    world.kernels.may_start.clear()
    opening = asyncio.ensure_future(world.sessions.create(OPEN))
    await eventually(lambda: world.kernels.starting == 1, "it starts a kernel")
    gate = Gate(world.store.database)
    world.kernels.may_start.set()
    await eventually(lambda: not gate.idle, "the session is being written")
    opening.cancel()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await world.is_whole(set())
