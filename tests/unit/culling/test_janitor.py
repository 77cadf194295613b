"""The janitor over mongomock: the leader's own replica lives, others are as the test has them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from culling.election import Election, Term
from culling.janitor import Janitor, Tidied
from culling.membership import Membership
from culling.timings import MembershipTimings
from persistence.documents import (
    Act,
    ConnectionCount,
    EventRecord,
    HostDoc,
    KernelNotice,
    KernelRecord,
    ReplicaRecord,
    ReplicaState,
)
from persistence.errors import StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.testing import away, mock_store
from tests.cluster.waiting import eventually
from tests.records import HOST, queued_kernel, running_kernel

LOG = logging.getLogger("test")
TIMINGS = MembershipTimings(
    operation_timeout_seconds=0.5, renew_interval_seconds=0.5, renew_deadline_seconds=1.2, lease_duration_seconds=2.0
)
ELSEWHERE = HostDoc(id="host-2", machine="machine-2", boot="boot-2", name="node-b")
LOST_HOST_SECONDS = 3600.0


class Finisher:
    def __init__(self) -> None:
        self.met_ids: list[str] = []

    async def met(self, notice: KernelNotice) -> None:
        self.met_ids.append(notice.kernel_id)


class World:
    """A leader, and what it sees."""

    def __init__(self, store: KernelSessionManager, term: Term) -> None:
        self.store = store
        self.term = term
        self.now = 1000.0
        self.finisher = Finisher()
        self.membership = Membership(
            store, url="http://x:1", host=HOST, version="1", timings=TIMINGS, log=LOG, monotonic=lambda: self.now
        )
        self.told: list[EventRecord] = []
        self.janitor = Janitor(
            store,
            self.membership,
            self.finisher,
            lost_host_timeout_seconds=LOST_HOST_SECONDS,
            tell=self.told.append,
            log=LOG,
        )

    async def other(self, replica_id: str, host: HostDoc = HOST) -> None:
        record = ReplicaRecord(replica_id=replica_id, url="http://y:1", host=host, version="1")
        await self.store.replicas.register(record)

    async def beats(self, replica_id: str) -> None:
        found = await self.store.replicas.get(replica_id)
        assert found is not None
        await self.store.replicas.beat(replica_id, found.beat, state=found.state, load=0)

    async def passes(self, seconds: float, *beating: str) -> None:
        """Let time pass in which this replica, and those, beat."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.5
            for replica_id in beating:
                await self.beats(replica_id)
            await self.membership.beat_once(_nothing)

    async def tidy(self) -> Tidied:
        return await self.janitor.tidy(self.term)

    async def kernel(self, kernel_id: str = "k1") -> KernelRecord:
        record = await self.store.kernels.get(kernel_id)
        assert record is not None
        return record

    async def state(self, replica_id: str) -> str:
        found = await self.store.replicas.get(replica_id)
        assert found is not None
        return found.state

    async def dies(self, replica_id: str) -> None:
        await self.passes(3)
        await self.tidy()
        assert await self.state(replica_id) == ReplicaState.DEAD


async def _nothing() -> None:
    return None


@pytest.fixture
async def world(database_name: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(mock_store(database_name))
        election = Election(store, holder=lambda: "me", timings=TIMINGS, log=LOG)
        term = await stack.enter_async_context(election.leadership())
        made = World(store, term)
        await made.membership.register()
        await made.passes(3)
        yield made


def orphan(kernel_id: str = "k1", **changes: Any) -> KernelRecord:
    return running_kernel(kernel_id, **{"owner": "r1", **changes})


async def test_who_beats_is_not_declared_dead(world: World) -> None:
    await world.other("r1")
    await world.passes(10, "r1")
    assert (await world.tidy()).dead == 0
    assert await world.state("r1") == ReplicaState.READY


async def test_who_was_seen_unchanged_for_a_lease_is_declared_dead_and_that_is_told(world: World) -> None:
    await world.other("r1")
    await world.passes(3)
    assert (await world.tidy()).dead == 1
    assert await world.state("r1") == ReplicaState.DEAD
    (event,) = world.told
    assert (event.kind, event.details["dead"]) == ("replica dead", "r1")


async def test_after_an_outage_nobody_is_declared_dead(world: World) -> None:
    await world.other("r1")
    await world.passes(1, "r1")
    with away(world.store.database):
        await world.passes(10)
    await eventually(lambda: world.store.available, "the database is found back")
    assert (await world.tidy()).dead == 0


async def test_without_the_right_to_lead_nothing_is_done(world: World) -> None:
    await world.other("r1")
    await world.passes(3)
    world.term.end()
    await world.tidy()
    assert await world.state("r1") == ReplicaState.READY


async def test_a_dead_ones_kernel_gets_a_live_owner_who_has_to_ask_it(world: World) -> None:
    await world.other("r1")
    await world.store.kernels.insert(orphan())
    await world.dies("r1")
    record = await world.kernel()
    assert record.owner == world.membership.replica_id
    assert record.execution_state == "unknown"


async def test_a_kernel_of_an_id_that_nobody_has_gets_one_too(world: World) -> None:
    await world.store.kernels.insert(orphan(owner="forgotten"))
    assert (await world.tidy()).handed_on == 1


async def test_a_kernel_that_was_released_gets_one_too(world: World) -> None:
    await world.store.kernels.insert(orphan(owner=None))
    assert (await world.tidy()).handed_on == 1


async def test_a_kernel_of_one_that_only_is_slow_is_left_to_it(world: World) -> None:
    await world.other("r1")
    await world.store.kernels.insert(orphan())
    await world.passes(1)
    assert (await world.tidy()).handed_on == 0


async def test_an_idle_kernel_keeps_its_time_of_activity_when_it_changes_hands(world: World) -> None:
    await world.store.kernels.insert(orphan(owner=None))
    await world.tidy()
    assert (await world.kernel()).last_activity == orphan().last_activity


async def test_one_that_was_busy_may_have_worked_until_now(world: World) -> None:
    await world.store.kernels.insert(orphan(owner=None, execution_state="busy"))
    before = world.store.clock.earliest_now()
    await world.tidy()
    assert (await world.kernel()).last_activity >= before


async def test_connections_to_a_dead_replica_are_dropped_once_and_count_as_activity(world: World) -> None:
    await world.other("r1")
    await world.store.kernels.insert(orphan(owner=None, connections={"r1": ConnectionCount(count=2, n=5)}))
    before = world.store.clock.earliest_now()
    await world.dies("r1")
    record = await world.kernel()
    assert record.connections == {}
    assert record.last_activity >= before
    dead = await world.store.replicas.get("r1")
    assert dead is not None
    assert dead.cleared


async def test_the_kernels_of_a_dead_one_are_spread_over_all_who_live(world: World) -> None:
    await world.other("r1")
    await world.other("r2")
    for n in range(20):
        await world.store.kernels.insert(orphan(f"k{n}"))
    await world.passes(3, "r2")
    assert (await world.tidy()).handed_on == 20
    owned = await world.store.kernels.owned()
    assert set(owned) == {"r2", world.membership.replica_id}
    assert max(owned.values()) <= 13


async def test_acts_are_shown_to_the_finisher(world: World) -> None:
    await world.store.kernels.insert(queued_kernel(act=Act(id="a", replica="r1", since=queued_kernel().created_at)))
    await world.tidy()
    assert world.finisher.met_ids == ["k1"]


async def test_a_kernel_of_a_host_without_replicas_is_left_alone(world: World) -> None:
    await world.other("r1", ELSEWHERE)
    await world.store.kernels.insert(orphan(host=ELSEWHERE, last_activity=world.store.clock.earliest_now()))
    await world.dies("r1")
    done = await world.tidy()
    assert (done.handed_on, done.lost, done.unattended) == (0, 0, 1)
    assert (await world.kernel()).owner == "r1"


async def test_a_host_that_is_away_for_too_long_is_lost_with_its_kernels(world: World) -> None:
    long_ago = world.store.clock.earliest_now() - timedelta(seconds=LOST_HOST_SECONDS + 60)
    await world.store.kernels.insert(orphan(host=ELSEWHERE, owner="forgotten", last_activity=long_ago, slot="0"))
    assert (await world.tidy()).lost == 1
    record = await world.kernel()
    assert (record.phase, record.slot) == ("ended", None)
    assert record.reason is not None
    assert "node-b" in record.reason


async def test_the_last_beat_of_its_replicas_counts_for_a_host(world: World) -> None:
    long_ago = world.store.clock.earliest_now() - timedelta(seconds=LOST_HOST_SECONDS + 60)
    await world.other("r1", ELSEWHERE)
    await world.store.kernels.insert(orphan(host=ELSEWHERE, last_activity=long_ago))
    await world.dies("r1")
    assert (await world.tidy()).lost == 0


async def test_an_outage_cuts_a_pass_short(world: World) -> None:
    with away(world.store.database), pytest.raises(StoreUnavailable):
        await world.tidy()


async def test_who_drains_still_attends_to_his_kernels(world: World) -> None:
    await world.store.replicas.register(
        replace(ReplicaRecord(replica_id="r1", url="u", host=HOST, version="1"), state=ReplicaState.DRAINING)
    )
    await world.store.kernels.insert(orphan())
    await world.passes(3, "r1")
    assert (await world.tidy()).handed_on == 0
