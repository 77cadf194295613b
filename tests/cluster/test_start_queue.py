"""Starts that wait for their turn: fair between users, seen to wait, and refused where the turn would come too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.cluster import light_kernels
from tests.cluster.conftest import MakeCluster
from tests.cluster.light_kernels import LIGHT, SILENT
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually


@pytest.fixture
async def one_at_a_time(make_cluster: MakeCluster) -> AsyncIterator[Rest]:
    cluster = make_cluster(**light_kernels.SETTINGS, EG_MAX_CONCURRENT_LAUNCHES="1")
    light_kernels.install(cluster)
    cluster.start()
    async with Rest(cluster.urls, cluster.token) as rest:
        yield rest


async def models(rest: Rest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await rest.get("/api/kernels")
    return found


class Queue:
    """Starts of several users behind one that does not end by itself."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.starts: list[asyncio.Task[str]] = []
        self.finished: list[str] = []

    async def start(self, user: str, name: str) -> None:
        """Begin a start, and see it recorded."""
        known = len(await self.rest.listed())
        self.starts.append(asyncio.create_task(self._started(user, name)))

        async def recorded() -> bool:
            return len(await self.rest.listed()) > known

        await eventually(recorded, "the start is recorded")

    async def _started(self, user: str, name: str) -> str:
        kernel_id = await self.rest.start(name=name, env={"KERNEL_USERNAME": user, "KERNEL_LAUNCH_TIMEOUT": "80"})
        self.finished.append(user)
        return kernel_id


async def hold_up(queue: Queue) -> str:
    """Begin a start that stays at work; returns its kernel."""
    await queue.start("ann", SILENT)
    (silent,) = [model for model in await models(queue.rest) if model["name"] == SILENT]
    return str(silent["id"])


async def test_one_users_starts_do_not_hold_up_anothers(one_at_a_time: Rest) -> None:
    queue = Queue(one_at_a_time)
    silent = await hold_up(queue)
    for user in ("ann", "ann", "ann", "bob"):
        await queue.start(user, LIGHT)
    await one_at_a_time.delete(f"/api/kernels/{silent}")
    await asyncio.gather(*queue.starts, return_exceptions=True)
    assert queue.finished == ["bob", "ann", "ann", "ann"]


async def test_a_kernel_that_waits_for_its_turn_says_so(one_at_a_time: Rest) -> None:
    queue = Queue(one_at_a_time)
    silent = await hold_up(queue)
    await queue.start("bob", LIGHT)
    (waiting,) = [model for model in await models(one_at_a_time) if model["id"] != silent]
    assert waiting["execution_state"] == "starting"
    assert "waits for its turn" in waiting["reason"]
    await one_at_a_time.delete(f"/api/kernels/{silent}")
    await asyncio.gather(*queue.starts, return_exceptions=True)
    (running,) = await models(one_at_a_time)
    assert "reason" not in running


async def test_a_start_whose_turn_would_come_too_late_is_refused_at_once(one_at_a_time: Rest) -> None:
    queue = Queue(one_at_a_time)
    for _ in range(3):  # by which it is known how long one takes
        await one_at_a_time.start(name=LIGHT)
    silent = await hold_up(queue)
    body = {"name": LIGHT, "env": {"KERNEL_LAUNCH_TIMEOUT": "0.01"}}
    refused = await one_at_a_time.request("POST", "/api/kernels", body=body)
    assert (refused.status_code, refused.json()["reason"]) == (503, "Too many kernels are starting")
    assert int(refused.headers["Retry-After"]) >= 1
    assert len(await one_at_a_time.listed()) == 4
    await one_at_a_time.delete(f"/api/kernels/{silent}")
    await asyncio.gather(*queue.starts, return_exceptions=True)
