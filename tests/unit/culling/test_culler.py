"""The culler over mongomock: what is claimed, what is not, and what is told of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest

from culling.culler import Culled, Culler
from culling.election import Election, Term
from culling.membership import Membership
from culling.policy import CullRules
from culling.timings import MembershipTimings
from culling.vouching import Vouching
from persistence import steps
from persistence.documents import Act, ConnectionCount, EventRecord, HostDoc, KernelCandidate, KernelRecord
from persistence.errors import StaleWrite, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.kernels import ActivityEntry
from persistence.testing import away, mock_store
from tests.records import HOST, NOW, running_kernel

LOG = logging.getLogger("test")
TIMINGS = MembershipTimings(
    operation_timeout_seconds=0.5, renew_interval_seconds=0.5, renew_deadline_seconds=1.2, lease_duration_seconds=2.0
)
ELSEWHERE = HostDoc(id="host-2", machine="machine-2", boot="boot-2", name="node-b")
TIMEOUT = 600.0


class Stopper:
    def __init__(self) -> None:
        self.stopped: list[KernelRecord] = []

    def reaches(self, kernel: KernelCandidate) -> bool:
        return kernel.host is None or kernel.host.id == HOST.id

    def stop_soon(self, claimed: KernelRecord) -> None:
        self.stopped.append(claimed)


class World:
    def __init__(self, store: KernelSessionManager, term: Term) -> None:
        self.store = store
        self.term = term
        self.stopper = Stopper()
        self.vouching = Vouching()
        self.told: list[EventRecord] = []
        self.membership = Membership(store, url="http://x:1", host=HOST, version="1", timings=TIMINGS, log=LOG)

    @property
    def id(self) -> str:
        return self.membership.replica_id

    def idle_for(self, seconds: float) -> datetime:
        return self.store.clock.earliest_now() - timedelta(seconds=seconds)

    async def kernel(self, kernel_id: str = "k1", *, idle: float = TIMEOUT + 60, **changes: Any) -> KernelRecord:
        plain = {"owner": self.id, "last_activity": self.idle_for(idle)}
        record = running_kernel(kernel_id, **{**plain, **changes})
        await self.store.kernels.insert(record)
        return record

    async def cull(self, **rules: Any) -> Culled:
        """Make a pass, let all beat twice, and make another."""
        await self.make_pass(**rules)
        await self.beat(2)
        return await self.make_pass(**rules)

    async def beat(self, times: int) -> None:
        for _ in range(times):
            await self.membership.beat_once(_nothing)

    async def make_pass(self, **rules: Any) -> Culled:
        culler = Culler(
            self.store,
            self.membership,
            self.stopper,
            rules=CullRules(**{"idle_timeout_seconds": TIMEOUT, **rules}),
            tell=self.told.append,
            vouching=self.vouching,
            log=LOG,
        )
        return await culler.cull(self.term)

    async def stored(self, kernel_id: str = "k1") -> KernelRecord:
        found = await self.store.kernels.get(kernel_id)
        assert found is not None
        return found


async def _nothing() -> None:
    return None


@pytest.fixture
async def world(database_name: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(mock_store(database_name))
        election = Election(store, holder=lambda: "me", timings=TIMINGS, log=LOG)
        made = World(store, await stack.enter_async_context(election.leadership()))
        await made.membership.register()
        yield made


async def test_an_idle_kernel_is_claimed_and_ended(world: World) -> None:
    await world.kernel()
    done = await world.cull()
    assert done.culled == 1
    record = await world.stored()
    assert (record.phase, record.target) == ("stopping", "stopped")
    assert record.act is not None
    assert record.act.replica == world.id
    assert [stopped.kernel_id for stopped in world.stopper.stopped] == ["k1"]


async def test_it_is_told_why_when_and_by_whom(world: World) -> None:
    await world.kernel()
    await world.cull()
    (event,) = world.told
    assert (event.kind, event.kernel_id, event.username, event.replica) == ("culled", "k1", "ann", world.id)
    assert event.details["term"] == 1
    assert event.details["idle_seconds"] >= TIMEOUT + 60
    assert (await world.stored()).reason == event.reason


async def test_what_is_kept_is_counted_by_why(world: World) -> None:
    await world.kernel("busy", execution_state="busy")
    await world.kernel("connected", connections={world.id: ConnectionCount(count=1, n=1)})
    await world.kernel("young", idle=10)
    done = await world.cull()
    assert str(done) == "culling: 2 not used for long, 0 culled, 1 busy, 1 connected"
    assert world.stopper.stopped == []


async def test_before_all_have_beaten_twice_since_it_was_due_a_kernel_is_not_culled(world: World) -> None:
    await world.kernel()
    for _ in range(2):
        assert str(await world.make_pass()).endswith("0 culled, 1 due when all replicas have beaten twice")
        await world.beat(1)
    assert (await world.make_pass()).culled == 1


async def test_a_replica_that_does_not_beat_keeps_all_kernels_until_it_is_dead(world: World) -> None:
    await world.kernel()
    other = Membership(world.store, url="http://x:2", host=HOST, version="1", timings=TIMINGS, log=LOG)
    await other.register()
    assert (await world.cull()).waiting == 1
    await world.store.replicas.declare_dead(other.replica_id, other.record.beat)
    assert (await world.make_pass()).culled == 1


async def test_what_was_written_meanwhile_counts_anew(world: World) -> None:
    await world.kernel()
    await world.make_pass()
    await world.beat(2)
    await world.store.kernels.flush(world.id, "f", [ActivityEntry(kernel_id="k1", generation=1, last_activity=NOW)])
    assert (await world.make_pass()).waiting == 1


async def test_without_the_right_to_lead_nothing_is_culled(world: World) -> None:
    await world.kernel()
    world.term.end()
    assert (await world.cull()).culled == 0
    assert (await world.stored()).phase == "running"


@pytest.mark.parametrize("what", ["activity", "socket", "restart", "takeover"])
async def test_what_was_acknowledged_since_it_was_read_voids_the_claim(world: World, what: str) -> None:
    record = await world.kernel()
    (candidate,) = await world.store.kernels.idle_since(world.idle_for(TIMEOUT), limit=1)
    kernels, now = world.store.kernels, world.store.clock.latest_now()
    if what == "activity":
        await kernels.flush(world.id, "f", [ActivityEntry(kernel_id="k1", generation=1, last_activity=NOW)])
    elif what == "socket":
        await kernels.apply(steps.open_connection("k1", replica=world.id, count=1, n=1, now=now))
    elif what == "restart":
        await kernels.apply(steps.claim_restart(record, act=Act(id="a", replica="r", since=now), now=now))
    else:
        await kernels.outdate_reads()
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.claim_cull(candidate, act=None, reason="idle"))


async def test_a_kernel_of_another_host_is_marked_for_its_owner(world: World) -> None:
    await world.kernel(host=ELSEWHERE)
    assert (await world.cull()).culled == 1
    record = await world.stored()
    assert (record.phase, record.target, record.act) == ("running", "stopped", None)
    assert world.stopper.stopped == []
    assert (await world.cull()).seen == 0  # it is culled once


async def test_a_dry_run_tells_and_ends_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "test")
    await world.kernel()
    done = await world.cull(dry_run=True)
    assert "1 would be culled (dry run)" in str(done)
    assert (await world.stored()).phase == "running"
    assert any("k1 of ann would be culled" in record.getMessage() for record in caplog.records)


async def test_all_pages_are_seen_with_equal_times_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("culling.culler.PAGE", 3)
    at = world.idle_for(TIMEOUT + 60)
    for n in range(10):
        await world.kernel(f"k{n}", last_activity=at, execution_state="busy")
    assert (await world.cull()).seen == 10


async def test_a_kernel_past_its_lifetime_is_culled_though_it_is_used(world: World) -> None:
    await world.kernel(idle=0, created_at=world.idle_for(100), execution_state="busy")
    assert (await world.cull(idle_timeout_seconds=0.0, max_lifetime_seconds=50.0)).culled == 1


async def test_a_claim_whose_answer_was_lost_is_won_by_what_the_record_shows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.kernel()
    apply = world.store.kernels.apply

    async def lose_the_answer(step: Any) -> KernelRecord:
        await apply(step)
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(world.store.kernels, "apply", lose_the_answer)
    assert (await world.cull()).culled == 1
    assert len(world.stopper.stopped) == 1


async def test_an_outage_cuts_a_pass_short(world: World) -> None:
    await world.kernel()
    with away(world.store.database), pytest.raises(StoreUnavailable):
        await world.cull()
