"""Opened WebSockets of a session on two replicas that share a database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from culling.membership import Membership, MembershipTimings
from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels import openings as module
from enterprise_gateway.kernels.activity import Activity
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.openings import OpenedChannels, Openings
from enterprise_gateway.kernels.reconnects import KernelReconnects
from enterprise_gateway.relay.claims import Former, session_key
from enterprise_gateway.relay.codec import V1
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.handover import Handover
from enterprise_gateway.relay.relay import Relay
from persistence import steps
from persistence.documents import Act, ClientHold, KernelRecord
from persistence.kernel_session_manager import KernelSessionManager
from persistence.sealing import generate_key
from persistence.testing import Gate, away, mock_store
from tests.fakes.client import FakeSink, request_parts
from tests.fakes.database_clock import SetClock
from tests.records import HOST, NOW, running_kernel
from tests.unit.handlers.server import soon

LOG = logging.getLogger("test")
KEY = session_key("one")


class Replica:
    """A replica that holds the kernel `k1`, and notes whom it asked and from whom it fetched."""

    def __init__(self, store: KernelSessionManager, membership: Membership) -> None:
        self.store = store
        self.membership = membership
        self.id = membership.replica_id
        self.fetched: list[Former] = []
        self.asked: list[Former] = []
        self.admitted = True
        self.openings = Openings(store, membership, LOG)
        activity = Activity("k1", clock=SetClock(NOW), turned=lambda: None)
        self.held = HeldKernel("k1", activity=activity, new_relay=self._new_relay)

    def _new_relay(self, held: HeldKernel) -> Relay:
        reconnects = KernelReconnects(held, self.openings, self)
        return Relay("k1", listener=held, log=LOG, reconnects=reconnects)

    async def admits(self, kernel_id: str, key: str, former: Former) -> bool:
        self.asked.append(former)
        return self.admitted

    async def supersede(self, kernel_id: str, key: str, former: Former, seconds: float) -> bool:
        return True

    async def fetch(self, kernel_id: str, key: str, former: Former, seconds: float) -> Handover | None:
        self.fetched.append(former)
        return Handover()

    async def record(self) -> KernelRecord:
        record = await self.store.kernels.get("k1")
        assert record is not None
        return record

    async def open(self, session_id: str | None = "one", *, record: KernelRecord | None = None) -> OpenedChannels:
        return await self.openings.open(self.held, record, session_id)

    async def connect(self, session_id: str | None = "one") -> ClientConnection:
        return (await self.open(session_id)).attach(FakeSink(), V1)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Replica, Replica]]:
    server, keys = uuid4().hex, [generate_key()]
    async with AsyncExitStack() as stack:
        replicas = []
        for _ in range(2):
            store = await stack.enter_async_context(mock_store(server, sealing_keys=keys, operation_timeout=1.0))
            timings = MembershipTimings()
            membership = Membership(store, url="http://x:1", host=HOST, version="1", timings=timings, log=LOG)
            await membership.register()
            replicas.append(Replica(store, membership))
        await replicas[0].store.kernels.insert(running_kernel())
        yield replicas[0], replicas[1]
        for replica in replicas:
            replica.held.relay.close()


async def recorded(replica: Replica) -> ClientConnection:
    """A WebSocket, once it is its session's newest."""
    connection = await replica.connect()
    await soon(lambda: connection.session.n is not None)
    return connection


async def claim_stop(replica: Replica) -> None:
    act = Act(id="a1", replica=replica.id, since=NOW)
    await replica.store.kernels.apply(steps.claim_stop("k1", 1, act=act))


async def test_an_opening_is_counted_and_recorded_as_its_sessions_newest(pair: tuple[Replica, Replica]) -> None:
    first, _ = pair
    await first.connect()
    record = await first.record()
    assert record.connections[first.id].count == 1
    assert dict(record.clients) == {KEY: ClientHold(replica=first.id, n=1)}


async def test_an_opening_that_comes_after_the_claim_on_its_kernels_end_is_refused(
    pair: tuple[Replica, Replica],
) -> None:
    first, second = pair
    read = await first.record()
    await claim_stop(second)
    with pytest.raises(GatewayError) as refused:
        await first.open(record=read)
    assert (refused.value.status, refused.value.reason) == (409, "Kernel is being shut down")
    assert first.held.activity.connections == 0


async def test_a_first_opening_is_recorded_without_its_record(
    pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = pair
    first.held.generation = 1
    with monkeypatch.context() as patch:
        patch.setattr(first.store.kernels, "get", None)
        patch.setattr(first.store.kernels, "get_surely", None)
        opened = await first.openings.open_first(first.held, "one")
    assert opened is not None
    connection = opened.attach(FakeSink(), V1)
    await soon(lambda: connection.session.n == 1)
    assert dict((await first.record()).clients) == {KEY: ClientHold(replica=first.id, n=1)}


async def test_a_first_opening_without_a_session_is_counted_and_nothing_else(pair: tuple[Replica, Replica]) -> None:
    first, _ = pair
    first.held.generation = 1
    opened = await first.openings.open_first(first.held, None)
    assert opened is not None
    opened.attach(FakeSink(), V1)
    record = await first.record()
    assert (record.connections[first.id].count, dict(record.clients)) == (1, {})


async def test_an_opening_that_is_not_the_first_is_left_to_who_reads_the_record(
    pair: tuple[Replica, Replica],
) -> None:
    first, second = pair
    await second.connect("another")
    first.held.generation = 1
    first.held.unvisited = True
    assert await first.openings.open_first(first.held, "one") is None
    assert (first.held.activity.connections, first.held.unvisited) == (0, False)
    assert KEY not in (await first.record()).clients


async def test_a_first_opening_waits_as_long_as_a_read_would(
    pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_WAIT_SECONDS", 0.0)
    first, second = pair
    first.held.generation = 1
    gate = Gate(first.store.database)
    opening = asyncio.create_task(first.openings.open_first(first.held, "one"))
    await soon(lambda: not gate.idle)
    await claim_stop(second)
    gate.open()
    assert await opening is None, "it is being shut down, which who reads the record says"


async def test_a_first_opening_is_of_the_generation_that_is_held(pair: tuple[Replica, Replica]) -> None:
    first, _ = pair
    first.held.generation = 2
    assert await first.openings.open_first(first.held, "one") is None


async def test_a_first_opening_that_the_database_does_not_answer_is_left_to_who_goes_on_without_it(
    pair: tuple[Replica, Replica],
) -> None:
    first, _ = pair
    first.held.generation = 1
    with away(first.store.database):
        assert await first.openings.open_first(first.held, "one") is None


async def test_without_a_session_an_opening_is_counted_and_nothing_else(pair: tuple[Replica, Replica]) -> None:
    first, _ = pair
    await first.connect(None)
    record = await first.record()
    assert (record.connections[first.id].count, dict(record.clients)) == (1, {})


async def test_a_session_that_comes_from_another_replica_is_fetched_there(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    await first.connect()
    await second.connect()
    await soon(lambda: bool(second.fetched))
    assert second.fetched == [Former(first.id, 1, here=False)]
    assert (await first.record()).clients[KEY] == ClientHold(replica=second.id, n=2)


async def test_a_silent_client_that_is_at_another_replica_is_closed_and_not_recorded(
    pair: tuple[Replica, Replica],
) -> None:
    first, second = pair
    await first.connect()
    second.admitted = False
    connection = await second.connect()
    await soon(lambda: connection.session.over)
    assert second.asked == [Former(first.id, 1, here=False)]
    record = await first.record()
    assert record.clients[KEY] == ClientHold(replica=first.id, n=1)
    assert second.held.relay.client_count == 0
    assert connection.closed


async def test_a_replica_that_is_known_to_be_dead_is_not_asked(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    await first.connect()
    await first.store.replicas.declare_dead(first.id, first.membership.record.beat)
    await second.membership.look()
    await second.connect()
    await soon(lambda: second.fetched == [Former(first.id, 1, here=False)])
    assert second.asked == []


async def test_who_was_let_in_after_one_that_is_not_the_newest_any_more_asks_again(
    pair: tuple[Replica, Replica],
) -> None:
    first, second = pair
    await first.connect()
    assert await second.openings.claim(second.held, KEY, after=Former(first.id, 0, here=False)) == Former(
        first.id, 1, here=False
    )


async def test_a_session_that_comes_again_goes_on_as_it_is(pair: tuple[Replica, Replica]) -> None:
    first, _ = pair
    former = await first.connect()
    newer = await first.connect()
    assert former.session is newer.session
    assert newer.session.n == 2
    assert first.fetched == []


async def test_of_two_openings_at_once_each_has_its_place(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    read_alike = await first.record()
    await asyncio.gather(first.open(record=read_alike), second.open(record=read_alike))
    await soon(lambda: bool(first.fetched or second.fetched))
    assert (await first.record()).clients[KEY].n == 2
    assert first.fetched + second.fetched == [Former((first if second.fetched else second).id, 1, here=False)]


async def test_sessions_of_one_replica_that_open_at_once_are_all_recorded(pair: tuple[Replica, Replica]) -> None:
    first, _ = pair
    await asyncio.gather(*(first.open(f"session {number}") for number in range(8)))
    assert {hold.n for hold in (await first.record()).clients.values()} == set(range(1, 9))


async def test_while_the_database_is_away_it_opens_all_the_same_and_is_recorded_when_its_client_speaks_afterwards(
    pair: tuple[Replica, Replica],
) -> None:
    first, _ = pair
    with away(first.store.database):
        connection = await first.connect()
        assert connection.session.n is None
    await soon(lambda: first.store.available)
    assert dict((await first.record()).clients) == {}
    connection.receive(V1.encode("shell", request_parts("execute_request")).payload)
    await soon(lambda: connection.session.n == 1)
    assert (await first.record()).clients[KEY] == ClientHold(replica=first.id, n=1)


async def test_what_was_kept_elsewhere_before_an_outage_is_ended_and_not_sent_late(
    pair: tuple[Replica, Replica],
) -> None:
    first, second = pair
    await second.connect()
    with away(first.store.database):
        connection = await first.connect()
    await soon(lambda: first.store.available)
    connection.receive(V1.encode("shell", request_parts("execute_request")).payload)
    await soon(lambda: first.fetched == [Former(second.id, 1, here=False)])
    assert connection.session.n == 2


async def late(replica: Replica) -> tuple[ClientConnection, Gate]:
    """A WebSocket that opened before its place was recorded."""
    read = await replica.record()
    gate = Gate(replica.store.database)
    connection = (await replica.open(record=read)).attach(FakeSink(), V1)
    assert connection.session.pending
    return connection, gate


async def test_an_opening_that_is_recorded_late_takes_over_then(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    await second.connect()
    connection, gate = await late(first)
    gate.open()
    await soon(lambda: first.fetched == [Former(second.id, 1, here=False)])
    assert connection.session.n == 2


async def test_who_asks_for_a_connection_that_is_being_recorded_gets_it(pair: tuple[Replica, Replica]) -> None:
    first, _ = pair
    _, gate = await late(first)
    giving = asyncio.create_task(first.held.relay.give(KEY, 1, 5.0))
    gate.open()
    assert await giving is not None


async def test_an_opening_that_is_recorded_late_takes_over_from_the_one_before_here_too(
    pair: tuple[Replica, Replica],
) -> None:
    first, _ = pair
    former = await first.connect()
    former.detach()
    connection, gate = await late(first)
    gate.open()
    await soon(lambda: former.session.over)
    assert connection.session.n == 2
    assert first.fetched == []


async def test_who_is_open_before_it_is_known_that_the_kernel_is_being_ended_gets_nothing_through(
    pair: tuple[Replica, Replica],
) -> None:
    first, second = pair
    read = await first.record()
    connection, gate = await late(first)
    await claim_stop(second)
    gate.open()
    with pytest.raises(GatewayError):
        await first.open(None, record=read)  # recorded after it
    assert connection.session.pending


async def test_newest_is_who_has_the_highest_number(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    await first.connect()
    assert await first.openings.newest("k1", KEY, 1) is True
    await recorded(second)
    assert await first.openings.newest("k1", KEY, 1) is False
    assert await second.openings.newest("k1", KEY, 2) is True
    assert await first.openings.newest("k1", "dropped", 1) is True
    with away(first.store.database):
        assert await first.openings.newest("k1", KEY, 1) is None


async def test_a_client_that_speaks_where_it_was_superseded_takes_its_session_back(
    pair: tuple[Replica, Replica],
) -> None:
    first, second = pair
    spoken = await first.connect()
    await recorded(second)  # which its client has given up
    assert await first.held.relay.give(KEY, 1, 1.0) is not None
    assert first.held.relay.client_count == 0
    spoken.receive(V1.encode("shell", request_parts("execute_request")).payload)
    await soon(lambda: first.fetched == [Former(second.id, 2, here=False)])
    assert spoken.session.n == 3
    assert first.held.relay.client_count == 1


async def test_an_opening_is_a_use_that_is_written_again_where_the_clock_has_jumped(
    pair: tuple[Replica, Replica],
) -> None:
    replica, _ = pair
    await replica.open()
    found = replica.held.activity.pending(1, owner=True)
    assert found is not None
    assert found[1].last_activity == NOW
