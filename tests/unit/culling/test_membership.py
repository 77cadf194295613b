"""Membership over mongomock: several replicas in one process, on one shared database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from culling.membership import Membership, MembershipTimings
from persistence.documents import HostDoc, ReplicaRecord, ReplicaState
from persistence.errors import PersistenceError, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.sealing import Sealer, generate_key
from persistence.testing import Gate, away, mock_store
from tests.cluster.waiting import eventually

HOST = HostDoc(id="h", machine="m", boot="b", name="n")
TIMINGS = MembershipTimings(
    operation_timeout_seconds=0.5, renew_interval_seconds=0.5, renew_deadline_seconds=1.2, lease_duration_seconds=2.0
)
LOG = logging.getLogger("test")


class Replica:
    """A replica's membership, its own client, and a flush that can fail."""

    def __init__(self, store: KernelSessionManager, monotonic: Callable[[], float], host: HostDoc) -> None:
        self.store = store
        self.membership = Membership(
            store, url="http://x:1", host=host, version="1", timings=TIMINGS, log=LOG, monotonic=monotonic
        )
        self.flushes: list[str] = []
        self.flush_error: Exception | None = None

    @property
    def id(self) -> str:
        return self.membership.replica_id

    async def flush(self) -> None:
        if self.flush_error is not None:
            raise self.flush_error
        self.flushes.append(self.id)

    async def beat(self) -> bool:
        return await self.membership.beat_once(self.flush)

    async def stored(self) -> ReplicaRecord:
        record = await self.store.replicas.get(self.id)
        assert record is not None
        return record

    async def declare_dead(self) -> None:
        await self.store.replicas.mark(self.id, ReplicaState.DEAD)

    async def forget(self) -> None:
        await self.store.database.collection("replicas").delete_many({"_id": self.id})


class Cluster:
    def __init__(self, stack: AsyncExitStack, server: str) -> None:
        self.now = 1000.0
        self._stack = stack
        self._server = server
        self._keys = [generate_key()]

    async def replica(self, *keys: str, host: HostDoc = HOST) -> Replica:
        store = await self._stack.enter_async_context(
            mock_store(self._server, sealing_keys=list(keys) or self._keys, operation_timeout=0.5)
        )
        replica = Replica(store, lambda: self.now, host)
        await replica.membership.register()
        return replica


@pytest.fixture
async def cluster(database_name: str) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        yield Cluster(stack, database_name)


@pytest.fixture
async def replica(cluster: Cluster) -> Replica:
    return await cluster.replica()


async def test_ids_are_new_for_each_process_and_name_a_field(cluster: Cluster) -> None:
    ids = {(await cluster.replica()).id for _ in range(3)}
    assert len(ids) == 3
    assert all("." not in replica_id for replica_id in ids)


async def test_registering_writes_the_document_and_reads_the_clock(replica: Replica) -> None:
    stored = await replica.stored()
    assert (stored.beat, stored.state, stored.url) == (0, ReplicaState.READY, "http://x:1")
    assert stored.key_ids == replica.store.sealer.key_ids
    assert stored.beat_at is not None
    assert replica.store.clock.set


async def test_each_beat_follows_a_flush(replica: Replica) -> None:
    assert await replica.beat()
    assert await replica.beat()
    assert len(replica.flushes) == 2
    assert (await replica.stored()).beat == 2


@pytest.mark.parametrize("error", [StoreUnavailable("away"), PersistenceError("refused")])
async def test_without_an_acknowledged_flush_there_is_no_beat(replica: Replica, error: Exception) -> None:
    replica.flush_error = error
    assert not await replica.beat()
    assert (await replica.stored()).beat == 0


async def test_an_outage_is_told_once_and_its_end_too(replica: Replica, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "test")
    replica.flush_error = StoreUnavailable("away")
    for _ in range(3):
        await replica.beat()
    replica.flush_error = None
    await replica.beat()
    told = [record.getMessage() for record in caplog.records if "beat" in record.getMessage()]
    assert told == [f"Replica {replica.id} could not beat: away", f"Replica {replica.id} beats again"]


async def test_attempts_count_also_when_they_fail(cluster: Cluster, replica: Replica) -> None:
    assert replica.membership.seconds_since_attempt is None
    with away(replica.store.database):
        assert not await replica.beat()
        cluster.now += 3.0
        assert replica.membership.seconds_since_attempt == 3.0
        assert not await replica.beat()
    assert replica.membership.seconds_since_attempt == 0.0


async def test_a_beat_whose_answer_was_lost_goes_on_from_the_beat_that_is_there(replica: Replica) -> None:
    before = replica.id
    await replica.store.replicas.beat(replica.id, 0, state="ready", load=0)
    assert await replica.beat()
    assert replica.id == before
    assert (await replica.stored()).beat == 2


async def test_declared_dead_it_registers_a_new_id_and_tells(replica: Replica) -> None:
    former = replica.id
    told: list[str] = []
    replica.membership.on_new_identity(lambda: told.append(replica.id))
    await replica.declare_dead()
    await replica.beat()
    assert replica.id != former
    assert told == [replica.id]
    assert (await replica.stored()).state == ReplicaState.READY
    former_record = await replica.store.replicas.get(former)
    assert former_record is not None
    assert former_record.state == ReplicaState.DEAD


async def test_without_a_document_it_registers_a_new_id(replica: Replica) -> None:
    former = replica.id
    await replica.forget()
    await replica.beat()
    assert replica.id != former
    assert await replica.store.replicas.get(former) is None


async def test_after_a_new_id_the_next_flush_is_made_under_it_before_its_first_beat(replica: Replica) -> None:
    former = replica.id
    await replica.declare_dead()
    await replica.beat()
    assert (await replica.stored()).beat == 0
    await replica.beat()
    assert replica.flushes == [former, replica.id]
    assert (await replica.stored()).beat == 1


async def test_until_its_new_id_is_registered_it_keeps_the_old_one(replica: Replica) -> None:
    former = replica.id
    await replica.declare_dead()
    gate = Gate(replica.store.database)
    beating = asyncio.create_task(replica.beat())
    assert await gate.step() == "find_one_and_update"  # the beat, which is refused
    assert await gate.step() == "find_one"  # the read-back
    await eventually(lambda: not gate.idle, "the registration")
    assert replica.id == former
    gate.open()
    await beating
    assert replica.id != former


async def test_a_registration_without_an_answer_is_tried_again_with_the_same_id(replica: Replica) -> None:
    await replica.declare_dead()
    gate = Gate(replica.store.database)
    beating = asyncio.create_task(replica.beat())
    await gate.step()
    await gate.step()
    assert not await beating  # the registration is held until it has timed out
    gate.open()
    await eventually(lambda: replica.store.available, "the database is found back")
    assert await replica.beat()
    listed = await replica.store.replicas.list_all()
    assert len(listed) == 2
    assert (await replica.stored()).beat == 1


async def test_a_beat_that_times_out_is_no_death(replica: Replica) -> None:
    before = replica.id
    gate = Gate(replica.store.database)
    assert not await replica.beat()
    gate.open()
    await eventually(lambda: replica.store.available, "the database is found back")
    assert await replica.beat()
    assert replica.id == before


async def test_others_are_seen_by_their_beats(cluster: Cluster) -> None:
    first, second = await cluster.replica(), await cluster.replica()
    await first.beat()
    assert first.membership.live(second.id) is True  # it came while the first one looked
    for _ in range(3):
        cluster.now += 0.8
        await first.beat()
    assert first.membership.live(second.id) is False
    assert not first.membership.gone(second.id)
    await second.beat()
    await first.beat()
    assert first.membership.live(second.id) is True


async def test_an_outage_makes_everybody_unknown(cluster: Cluster) -> None:
    first, second = await cluster.replica(), await cluster.replica()
    await first.beat()
    with away(first.store.database):
        await first.beat()
    assert first.membership.live(second.id) is None


async def test_of_itself_a_replica_is_sure(replica: Replica) -> None:
    assert replica.membership.live(replica.id) is True
    assert not replica.membership.gone(replica.id)


async def test_its_own_former_id_is_gone(replica: Replica) -> None:
    former = replica.id
    await replica.declare_dead()
    await replica.beat()
    assert replica.membership.gone(former)


async def test_keys_are_usable_that_all_who_may_live_have(cluster: Cluster) -> None:
    old, new = generate_key(), generate_key()
    first, second = await cluster.replica(new, old), await cluster.replica(old)
    await first.beat()
    assert first.membership.usable_key_ids() == {Sealer([old]).key_ids[0]}
    await second.declare_dead()
    await first.beat()
    assert first.membership.usable_key_ids() == set(first.store.sealer.key_ids)


async def test_keys_of_the_suspected_do_not_count(cluster: Cluster) -> None:
    old, new = generate_key(), generate_key()
    first = await cluster.replica(new)
    await cluster.replica(old)
    for _ in range(4):
        await first.beat()
        cluster.now += 0.8
    await first.beat()
    assert first.membership.usable_key_ids() == set(first.store.sealer.key_ids)


async def test_a_draining_replica_says_so_without_a_beat_and_goes_on_beating(replica: Replica) -> None:
    await replica.membership.drain()
    stored = await replica.stored()
    assert (stored.state, stored.beat) == (ReplicaState.DRAINING, 0)
    await replica.beat()
    stored = await replica.stored()
    assert (stored.state, stored.beat) == (ReplicaState.DRAINING, 1)


async def test_the_last_beat_tells_the_others_at_once(cluster: Cluster) -> None:
    first, second = await cluster.replica(), await cluster.replica()
    await second.membership.drain()
    await second.membership.last_beat()
    await first.beat()
    assert first.membership.gone(second.id)
    assert first.membership.live(second.id) is False


async def test_the_last_beat_is_made_also_where_an_answer_was_lost(replica: Replica) -> None:
    await replica.store.replicas.beat(replica.id, 0, state="ready", load=0)
    await replica.membership.last_beat()
    assert (await replica.stored()).state == ReplicaState.DEAD


async def test_leaving_is_quiet_for_one_who_was_declared_dead(replica: Replica) -> None:
    await replica.declare_dead()
    await replica.membership.drain()
    await replica.membership.last_beat()
    assert (await replica.stored()).beat == 0


async def test_the_next_beat_comes_after_the_interval_and_some_jitter(replica: Replica) -> None:
    waits = [replica.membership.next_beat_seconds() for _ in range(50)]
    assert min(waits) >= TIMINGS.renew_interval_seconds
    assert max(waits) <= TIMINGS.longest_interval_seconds


async def test_two_beats_at_once_do_not_refuse_each_other(replica: Replica) -> None:
    assert all(await asyncio.gather(replica.beat(), replica.beat(), replica.beat()))
    assert (await replica.stored()).beat == 3


async def test_a_host_is_inhabited_until_its_replicas_are_seen_to_be_dead(cluster: Cluster, replica: Replica) -> None:
    other = await cluster.replica(host=replace(HOST, id="h2"))
    await replica.beat()
    assert replica.membership.inhabited("h2")
    for _ in range(4):
        cluster.now += 0.6
        await replica.beat()
    assert not replica.membership.inhabited("h2")
    await other.beat()
    await replica.beat()
    assert replica.membership.inhabited("h2")


async def test_a_host_whose_replicas_have_left_is_not_inhabited(cluster: Cluster, replica: Replica) -> None:
    other = await cluster.replica(host=replace(HOST, id="h2"))
    await other.membership.last_beat()
    await replica.beat()
    assert not replica.membership.inhabited("h2")
    assert not replica.membership.inhabited("h3")


async def test_ones_own_host_is_inhabited(replica: Replica) -> None:
    assert replica.membership.inhabited(HOST.id)
