"""What an owner does about a death, beside what others do meanwhile: over mongomock, with restarts only noted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from culling.membership import Membership, MembershipTimings
from enterprise_gateway.kernels import deaths
from enterprise_gateway.kernels.acts import Acts
from enterprise_gateway.kernels.admission import Admission
from enterprise_gateway.kernels.deaths import Deaths, restarts_in_a_row
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.kernels.managers import Managers
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.settings import KernelSettings
from enterprise_gateway.kernels.starting import StartActs
from enterprise_gateway.kernels.work import Work
from enterprise_gateway.lifecycle import Background
from persistence import clock, steps
from persistence.documents import KernelRecord, Step
from persistence.errors import StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.testing import Gate, away, mock_store
from tests.cluster.waiting import eventually
from tests.records import HOST, NOW, running_kernel

LOG = logging.getLogger("test")
WHY = "The kernel's process was ended by SIGKILL"


class FakeManagers:
    """Knows how every kernel died; notes whose files were removed."""

    def __init__(self) -> None:
        self.discarded: list[GatewayKernelManager] = []

    async def obituary(self, manager: GatewayKernelManager) -> str:
        return WHY

    async def discard(self, manager: GatewayKernelManager) -> None:
        self.discarded.append(manager)


class FakeActs:
    """Notes what is to be restarted."""

    def __init__(self) -> None:
        self.restarted: list[KernelRecord] = []

    async def restart(
        self, record: KernelRecord, work: Work, deadline: clock.Deadline, *, dead: GatewayKernelManager
    ) -> KernelRecord:
        self.restarted.append(record)
        return record


class FakeHeld:
    """Notes what its clients are told."""

    kernel_id = "k1"

    def __init__(self) -> None:
        self.ended: list[str | None] = []

    def end(self, reason: str | None) -> None:
        self.ended.append(reason)


class FakeManager:
    """A dead process without a provisioner."""

    provisioner = None


class Owner:
    """A replica that sees deaths."""

    def __init__(self, store: KernelSessionManager, settings: KernelSettings) -> None:
        self.store = store
        self.membership = Membership(
            store, url="http://x:1", host=HOST, version="1", timings=MembershipTimings(), log=LOG
        )
        self.managers, self.acts, self.held, self.manager = FakeManagers(), FakeActs(), FakeHeld(), FakeManager()
        self.parts = KernelParts(
            store=store,
            membership=self.membership,
            acts=Acts(store, self.membership, LOG),
            managers=cast(Managers, self.managers),
            admission=Admission(1),
            settings=settings,
            background=Background(LOG),
            log=LOG,
        )
        self.deaths = Deaths(self.parts, cast(StartActs, self.acts))

    async def own(self, **changes: Any) -> KernelRecord:
        """Put the record of a kernel that this replica owns and that has just come up."""
        fresh = {"owner": self.membership.replica_id, "started_at": self.store.clock.latest_now()}
        record = running_kernel(**{**fresh, **changes})
        await self.store.kernels.insert(record)
        return record

    async def sees_dead(self, record: KernelRecord) -> None:
        held, manager = cast(HeldKernel, self.held), cast(GatewayKernelManager, self.manager)
        await self.deaths.died(held, record, manager)
        await asyncio.gather(*self.parts.work.tasks)

    async def stored(self) -> KernelRecord:
        record = await self.store.kernels.get("k1")
        assert record is not None
        return record

    @property
    def restarted(self) -> list[int]:
        """The generations that were to be brought up."""
        return [record.generation for record in self.acts.restarted]


class Deployment:
    def __init__(self, stack: AsyncExitStack, server: str) -> None:
        self._stack = stack
        self._server = server

    async def replica(self, **settings: Any) -> Owner:
        store = await self._stack.enter_async_context(mock_store(self._server, operation_timeout=0.5))
        owner = Owner(store, KernelSettings(**settings))
        await owner.membership.register()
        return owner


@pytest.fixture
async def deployment(database_name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Deployment]:
    monkeypatch.setattr(deaths, "RETRY_SECONDS", 0.01)
    async with AsyncExitStack() as stack:
        yield Deployment(stack, database_name)


@pytest.fixture
async def owner(deployment: Deployment) -> Owner:
    return await deployment.replica()


async def test_a_death_is_followed_by_the_restart_of_the_next_generation(owner: Owner) -> None:
    record = await owner.own()
    await owner.sees_dead(record)
    assert owner.restarted == [record.generation + 1]
    (claimed,) = owner.acts.restarted
    assert (claimed.phase, claimed.execution_state, claimed.restarts) == ("restarting", "autorestarting", 1)
    assert (claimed.former, claimed.process, claimed.reason) == (record.process, None, WHY)


async def test_a_second_notice_of_the_same_death_does_nothing(owner: Owner) -> None:
    record = await owner.own()
    await owner.sees_dead(record)
    await owner.sees_dead(record)
    assert owner.restarted == [2]


async def test_of_two_notices_at_once_one_restarts(owner: Owner) -> None:
    record = await owner.own()
    gate = Gate(owner.store.database)
    notices = [asyncio.ensure_future(owner.sees_dead(record)) for _ in range(2)]
    assert [await gate.step() for _ in range(2)] == ["find_one_and_update", "find_one_and_update"]
    gate.open()
    await asyncio.gather(*notices)
    assert owner.restarted == [2]


async def test_who_loses_to_a_delete_restarts_nothing(owner: Owner, deployment: Deployment) -> None:
    record = await owner.own()
    other = await deployment.replica()
    gate = Gate(owner.store.database)
    notice = asyncio.ensure_future(owner.sees_dead(record))
    await eventually(lambda: not gate.idle, "the claim is on its way")
    await other.store.kernels.apply(steps.claim_stop("k1", 1, act=other.parts.acts.new_act()))
    gate.open()
    await notice
    assert owner.restarted == []
    assert (await owner.stored()).phase == "stopping"


async def test_who_loses_to_a_requested_restart_restarts_nothing(owner: Owner, deployment: Deployment) -> None:
    record = await owner.own()
    other = await deployment.replica()
    gate = Gate(owner.store.database)
    notice = asyncio.ensure_future(owner.sees_dead(record))
    await eventually(lambda: not gate.idle, "the claim is on its way")
    act = other.parts.acts.new_act()
    await other.store.kernels.apply(steps.claim_restart(record, act=act, now=NOW))
    gate.open()
    await notice
    assert owner.restarted == []
    assert (await owner.stored()).act == act


async def test_who_is_not_the_owner_any_more_restarts_nothing(owner: Owner, deployment: Deployment) -> None:
    record = await owner.own()
    other = await deployment.replica()
    await other.store.kernels.apply(steps.adopt(record, replica=other.membership.replica_id, now=record.last_activity))
    await owner.sees_dead(record)
    assert owner.restarted == []
    assert (await owner.stored()).phase == "running"


async def test_a_death_during_an_outage_is_followed_by_one_restart_after_it(owner: Owner) -> None:
    record = await owner.own()
    with away(owner.store.database):
        notice = asyncio.ensure_future(owner.sees_dead(record))
        await eventually(lambda: not owner.store.available, "the outage was met")
    await notice
    assert owner.restarted == [2]


async def test_a_claim_whose_answer_was_lost_is_won_once(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await owner.own()
    apply, lost = owner.store.kernels.apply, [True]

    async def lose_the_first_answer(step: Step) -> KernelRecord:
        after = await apply(step)
        if lost:
            lost.clear()
            raise StoreUnavailable("lost")
        return after

    monkeypatch.setattr(owner.store.kernels, "apply", lose_the_first_answer)
    await owner.sees_dead(record)
    assert owner.restarted == [2]
    assert (await owner.stored()).restarts == 1


async def test_past_the_limit_the_record_is_ended_and_clients_are_told_why(owner: Owner) -> None:
    record = await owner.own(restarts=5)
    await owner.sees_dead(record)
    ended = await owner.stored()
    assert owner.restarted == []
    assert (ended.phase, ended.execution_state) == ("ended", "dead")
    assert ended.reason == f"The kernel died again after 5 restarts in a row. {WHY}"
    assert owner.held.ended == [ended.reason]
    assert len(owner.managers.discarded) == 1


@pytest.mark.parametrize("settings", [{"autorestart": False}, {"restart_limit": 0}])
async def test_a_kernel_that_must_not_be_restarted_is_ended_with_its_reason(
    deployment: Deployment, settings: dict[str, Any]
) -> None:
    owner = await deployment.replica(**settings)
    await owner.sees_dead(await owner.own())
    assert owner.restarted == []
    assert (await owner.stored()).reason == WHY


async def test_a_replica_that_leaves_leaves_the_death_to_the_next_owner(owner: Owner) -> None:
    record = await owner.own()
    owner.parts.work.closed = True
    await owner.sees_dead(record)
    assert owner.restarted == []
    assert await owner.stored() == record


@pytest.mark.parametrize(
    ("restarts", "lived_seconds", "number"),
    [(0, 1.0, 1), (1, 9.9, 2), (5, 9.9, 6), (5, 10.0, 1), (0, 1000.0, 1), (3, -5.0, 4)],
)
def test_restarts_are_counted_until_a_generation_has_lived_a_stable_time(
    restarts: int, lived_seconds: float, number: int
) -> None:
    died = NOW + timedelta(seconds=lived_seconds)
    assert restarts_in_a_row(running_kernel(restarts=restarts), died, 10.0) == number


def test_a_start_that_no_record_tells_is_taken_for_a_fresh_one() -> None:
    record = replace(running_kernel(restarts=2), started_at=None)
    assert restarts_in_a_row(record, NOW, 10.0) == 3
