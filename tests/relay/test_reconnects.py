"""Clients that go and come back, over real sockets: to the same relay, or to another one as on another replica."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest

from enterprise_gateway.relay import session
from enterprise_gateway.relay.claims import FRESH_SECONDS, Claim, Former, session_key
from enterprise_gateway.relay.codec import V1
from enterprise_gateway.relay.handover import Handover, pack, unpack
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.relay import Relay
from enterprise_gateway.relay.sessions import MOST_AWAITED
from persistence.clock import Deadline
from tests.cluster.waiting import eventually
from tests.fakes.client import FakeSink
from tests.fakes.kernel import FakeKernel, Request
from tests.relay.conftest import Client, Listener
from tests.unit.handlers.server import soon

KEY = session_key("one")


class Replica:
    """A relay of its own; the record and the other replicas are shared by all that a test makes."""

    def __init__(self, others: list[Replica], holds: list[Former], options: RelayOptions) -> None:
        self.name = f"r{len(others)}"
        self.tells = asyncio.Event()  # has it begun to tell the former connection?
        self.may_tell = asyncio.Event()
        self.may_tell.set()
        self.fetches = asyncio.Event()  # has it begun to fetch?
        self.may_fetch = asyncio.Event()
        self.may_fetch.set()
        self._others = others
        self._holds = holds
        self.relay = Relay(
            "a-kernel", listener=Listener(), log=logging.getLogger("relay"), options=options, reconnects=self
        )
        others.append(self)

    def connect(self) -> Client:
        sink = FakeSink()
        newest = self._newest()
        place = self._claimed() if newest is None or newest.here else newest
        return Client(sink, self.relay.attach(self.relay.open("one", place), sink, framing=V1))

    def _newest(self) -> Former | None:
        return self._holds[-1]._replace(here=self._holds[-1].replica == self.name) if self._holds else None

    def _claimed(self) -> Claim:
        former = self._newest()
        self._holds.append(Former(self.name, len(self._holds) + 1, here=False))
        return Claim(n=self._holds[-1].n, former=former, fresh=Deadline(FRESH_SECONDS))

    async def claim(self, key: str, *, after: Former | None = None) -> Claim | Former | None:
        newest = self._newest()
        return self._claimed() if newest is None or after in (None, newest) else newest

    async def admits(self, key: str, former: Former) -> bool:
        other = next(one for one in self._others if one.name == former.replica)
        return await other.relay.admit(key, former.n, 1.0) is not False

    async def supersede(self, key: str, former: Former, seconds: float) -> bool:
        self.tells.set()
        await self.may_tell.wait()
        other = next(one for one in self._others if one.name == former.replica)
        return await other.relay.supersede(key, former.n, seconds) is not False

    async def newest(self, key: str, n: int) -> bool | None:
        return self._holds[-1].n == n

    async def fetch(self, key: str, former: Former, seconds: float) -> Handover | None:
        self.fetches.set()
        await self.may_fetch.wait()
        other = next(one for one in self._others if one.name == former.replica)
        given = await other.relay.give(key, former.n, seconds)
        return None if given is None else unpack(pack(given))


NewReplica = Callable[[], Replica]


@pytest.fixture
async def new_replica() -> AsyncIterator[Callable[..., Replica]]:
    replicas: list[Replica] = []
    holds: list[Former] = []

    def make(**options: float) -> Replica:
        return Replica(replicas, holds, RelayOptions(**options))  # type: ignore[arg-type]

    yield make
    for replica in replicas:
        replica.relay.close()


@pytest.fixture
async def pair(new_replica: NewReplica, kernel: FakeKernel) -> tuple[Replica, Replica]:
    first, second = new_replica(), new_replica()
    for replica in (first, second):
        await replica.relay.bind(kernel.connection, 1)
    return first, second


async def begin(client: Client, kernel: FakeKernel) -> Request:
    """Have the client run a cell that goes on."""
    kernel.answers.pop("execute_request", None)
    client.send("execute_request", msg_id="cell")
    (request,) = await kernel.received("execute_request")
    return request


async def test_what_comes_while_a_client_is_away_is_there_when_it_comes_to_another_replica(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, second = pair
    client = first.connect()
    request = await begin(client, kernel)
    client.connection.detach()
    await kernel.publish("stream", {"name": "stdout", "text": "meanwhile"}, parent=request)
    await kernel.reply(request, {"status": "ok"})
    back = second.connect()
    (stream,) = await back.sink.until(lambda sink: sink.of_type("stream"))
    assert stream["content"]["text"] == "meanwhile"
    await back.sink.until(lambda sink: len(sink.of_type("execute_reply")) == 1)
    assert first.relay.client_count == 0
    assert not first.relay.in_use


async def test_a_reply_that_comes_after_the_reconnect_goes_to_the_new_connection(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, second = pair
    client = first.connect()
    request = await begin(client, kernel)
    client.connection.detach()
    back = second.connect()
    await soon(lambda: not first.relay.in_use)  # fetched
    await kernel.reply(request, {"status": "ok"})
    await back.sink.until(lambda sink: sink.of_type("execute_reply"))


async def test_a_question_that_came_while_the_client_was_away_can_be_answered(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, second = pair
    client = first.connect()
    request = await begin(client, kernel)
    client.connection.detach()
    await kernel.ask_input(request, "name? ")
    back = second.connect()
    await back.sink.until(lambda sink: sink.of_type("input_request"))
    back.send("input_reply", {"value": "Ada"}, channel="stdin")
    (answer,) = await kernel.received("input_reply")
    assert answer.message["content"] == {"value": "Ada"}


async def test_a_kernel_that_keeps_the_first_of_two_sockets_is_not_deaf_after_a_reconnect(
    new_replica: NewReplica,
) -> None:
    async with FakeKernel(handover=False) as kernel:
        first, second = new_replica(), new_replica()
        for replica in (first, second):
            await replica.relay.bind(kernel.connection, 1, hands_over=False)
        client = first.connect()
        request = await begin(client, kernel)
        client.connection.detach()
        back = first.connect()
        await kernel.reply(request, {"status": "ok"})
        await back.sink.until(lambda sink: sink.of_type("execute_reply"))
        for replica in (second, first):
            back.connection.detach()
            back = replica.connect()
            back.send("kernel_info_request")
            await back.sink.until(lambda sink: sink.of_type("kernel_info_reply"))


async def test_a_session_that_opens_and_closes_in_quick_succession_is_never_deaf(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    replica, _ = pair
    for number in range(40):
        client = replica.connect()
        client.connection.detach()
        client = replica.connect()
        client.send("kernel_info_request", msg_id=str(number))
        await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
        client.connection.detach()


async def test_a_session_that_hops_in_quick_succession_is_never_deaf(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    for number in range(20):
        pair[number % 2].connect().connection.detach()
        client = pair[(number + 1) % 2].connect()
        client.send("kernel_info_request")
        await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
        client.connection.detach()


async def test_of_a_client_that_is_away_and_owed_nothing_no_sockets_stay(
    pair: tuple[Replica, Replica], kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LINGER_SECONDS", 0.0)
    first, _ = pair
    client = first.connect()
    client.send("kernel_info_request")
    await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
    channels = client.connection.session._channels
    client.connection.detach()
    await soon(lambda: channels.begun_seconds == 0.0)
    await kernel.publish("stream", {"name": "stdout", "text": "meanwhile"})
    back = first.connect()
    await back.sink.until(lambda sink: sink.of_type("stream"))
    back.send("kernel_info_request")
    await back.sink.until(lambda sink: sink.of_type("kernel_info_reply"))


async def test_a_client_that_never_comes_back_is_forgotten(new_replica: Callable[..., Replica]) -> None:
    replica = new_replica(reconnect_seconds=0.02)
    replica.connect().connection.detach()
    assert replica.relay.in_use
    await soon(lambda: not replica.relay.in_use)


async def test_nothing_is_kept_where_that_is_not_wanted(new_replica: Callable[..., Replica]) -> None:
    replica = new_replica(reconnect_seconds=0)
    replica.connect().connection.detach()
    assert not replica.relay.in_use


async def test_a_client_that_is_away_is_told_of_a_restart_and_of_its_aborted_cell(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, _ = pair
    client = first.connect()
    await begin(client, kernel)
    client.connection.detach()
    first.relay.unbind("starting")
    back = first.connect()
    (reply,) = await back.sink.until(lambda sink: sink.of_type("execute_reply"))
    assert reply["content"] == {"status": "aborted"}
    assert "starting" in back.sink.states


async def test_what_a_former_generation_was_asked_elsewhere_is_aborted_here(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, second = pair
    client = first.connect()
    await begin(client, kernel)
    client.connection.detach()
    async with FakeKernel(key=b"another-key") as restarted:
        second.relay.unbind("starting")
        await second.relay.bind(restarted.connection, 2)  # which the first has yet to notice
        back = second.connect()
        (reply,) = await back.sink.until(lambda sink: sink.of_type("execute_reply"))
        assert reply["content"] == {"status": "aborted"}


async def test_a_restart_aborts_what_was_asked_on_another_replica(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, second = pair
    client = first.connect()
    await begin(client, kernel)
    client.connection.detach()
    back = second.connect()
    await soon(lambda: not first.relay.in_use)
    second.relay.unbind("starting")
    (reply,) = await back.sink.until(lambda sink: sink.of_type("execute_reply"))
    assert (reply["content"], reply["parent_header"]["msg_id"]) == ({"status": "aborted"}, "cell")


async def test_what_still_waits_for_a_kernel_where_the_client_was_is_aborted(new_replica: NewReplica) -> None:
    first, second = new_replica(), new_replica()
    client = first.connect()
    client.send("execute_request", msg_id="never sent")
    client.connection.detach()
    back = second.connect()
    (reply,) = await back.sink.until(lambda sink: sink.of_type("execute_reply"))
    assert (reply["content"], reply["parent_header"]["msg_id"]) == ({"status": "aborted"}, "never sent")


async def test_with_its_kernel_ends_what_is_kept_for_a_client_that_is_away(pair: tuple[Replica, Replica]) -> None:
    first, _ = pair
    first.connect().connection.detach()
    first.relay.end("dead", "It was deleted.")
    assert not first.relay.in_use


async def test_a_connection_is_given_once(pair: tuple[Replica, Replica]) -> None:
    first, _ = pair
    first.connect().connection.detach()
    assert await first.relay.give(KEY, 7, 1.0) is None
    assert await first.relay.give("another", 1, 1.0) is None
    given = await asyncio.gather(*(first.relay.give(KEY, 1, 1.0) for _ in range(2)))
    assert sorted(one is None for one in given) == [False, True]


async def test_a_connection_that_has_a_successor_makes_no_dealers_until_its_client_speaks(
    new_replica: NewReplica, kernel: FakeKernel
) -> None:
    replica = new_replica()
    client = replica.connect()
    assert await replica.relay.supersede(KEY, 1, 1.0)
    await replica.relay.bind(kernel.connection, 1)
    await soon(lambda: client.connection.session.gave_way)
    client.send("kernel_info_request")
    await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))


async def test_a_connection_gives_way_only_when_the_dealers_that_it_is_making_stand(
    new_replica: NewReplica, kernel: FakeKernel
) -> None:
    replica = new_replica()
    await replica.relay.bind(kernel.connection, 1)
    client = replica.connect()
    channels = client.connection.session._channels
    await soon(lambda: any(channel.connecting for channel in channels._channels.values()))  # type: ignore[attr-defined]
    assert channels.begun_seconds == 0.0
    assert await replica.relay.supersede(KEY, 1, 1.0)
    assert channels.begun_seconds > 0.0
    assert not client.connection.session.gave_way


async def test_no_dealers_are_made_before_the_former_connection_and_those_before_it_gave_way(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, second = pair
    first.connect()
    second.may_tell.clear()
    client = second.connect()
    client.send("kernel_info_request")
    await second.tells.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.connection.session.settled(), 0.1)
    assert not await second.relay.supersede(KEY, 2, 0.05)
    second.may_tell.set()
    assert await second.relay.supersede(KEY, 2, 1.0)


async def test_nothing_is_asked_of_the_kernel_before_the_former_connection_has_ended(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, second = pair
    first.connect()
    second.may_fetch.clear()
    client = second.connect()
    client.send("kernel_info_request", msg_id="early")
    await second.fetches.wait()
    assert "early" not in [request.msg_id for request in kernel.requests]
    second.may_fetch.set()
    (reply,) = await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
    assert reply["parent_header"]["msg_id"] == "early"


async def test_a_connection_to_the_kernel_that_breaks_is_made_anew_by_who_is_the_newest(
    new_replica: NewReplica, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("k")
    replica = new_replica()
    async with FakeKernel(folder=folder) as kernel:
        await replica.relay.bind(kernel.connection, 1)
        client = replica.connect()
        client.send("kernel_info_request")
        await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
        await kernel.die()
        async with FakeKernel(folder=folder):  # as after a failure of the network

            def answered() -> bool:
                client.send(
                    "kernel_info_request"
                )  # again: what is sent while the connection breaks may be gone with it
                return len(client.sink.of_type("kernel_info_reply")) > 1

            await eventually(answered, "it is answered")
    assert client.sink.closed is None


async def test_what_the_gateway_says_in_the_kernels_name_bears_the_kernels_session(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    # JupyterLab drops what it has received and not yet handled when a message of another session comes.
    first, _ = pair
    client = first.connect()
    await begin(client, kernel)
    first.relay.unbind("starting")
    await client.sink.until(lambda sink: sink.states[-1] == "starting")
    sessions = {message["header"]["session"] for message in client.sink.messages}
    assert sessions == {kernel.session.session}


async def test_a_client_that_goes_during_the_handover_loses_nothing(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, second = pair
    client = first.connect()
    request = await begin(client, kernel)
    client.connection.detach()
    for number in range(31):
        await kernel.publish("stream", {"name": "stdout", "text": str(number)}, parent=request)
        if number % 5 == 0:
            pair[number % 2].connect().connection.detach()
    back = second.connect()
    texts = await back.sink.until(lambda sink: len(sink.of_type("stream")) == 31 and sink.of_type("stream"))
    assert [int(message["content"]["text"]) for message in texts] == list(range(31))


async def test_a_client_that_takes_its_session_back_hears_again_and_can_be_sent_away(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, second = pair
    client = first.connect()
    client.send("kernel_info_request")
    await client.sink.until(lambda sink: len(sink.of_type("kernel_info_reply")) == 1)
    client.sink.answering = False
    second.connect()
    await soon(lambda: client.connection.session.over)  # taken over by one that its client never speaks on
    for number in (2, 3):
        client.send("kernel_info_request")
        await soon(lambda: len(client.sink.of_type("kernel_info_reply")) == number)  # noqa: B023
    first.relay.send_away()
    assert client.sink.closed is not None
    assert client.sink.closed[0] == session.CLOSE_RESTARTING


async def test_what_a_client_said_where_it_was_superseded_is_answered_though_it_goes_at_once(
    pair: tuple[Replica, Replica], kernel: FakeKernel
) -> None:
    first, second = pair
    client = first.connect()
    client.send("kernel_info_request")
    await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
    client.sink.answering = False
    second.connect()
    await soon(lambda: client.connection.session.over)
    client.send("kernel_info_request", msg_id="last")
    client.connection.detach()
    back = first.connect()
    (reply,) = await back.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
    assert reply["parent_header"]["msg_id"] == "last"


async def test_of_too_many_clients_that_are_awaited_the_one_that_went_first_is_forgotten(
    new_replica: NewReplica,
) -> None:
    replica = new_replica()
    gone = []
    for number in range(MOST_AWAITED + 3):
        opened = replica.relay.open(f"session {number}", None)
        replica.relay.attach(opened, FakeSink(), framing=V1).detach()
        gone.append(opened)
    assert [one.over for one in gone] == [True] * 3 + [False] * MOST_AWAITED
