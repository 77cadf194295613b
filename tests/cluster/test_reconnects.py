"""A client that comes back, to whichever replica, gets what its kernel sent meanwhile: once, and in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import httpx
import pytest

from tests.cluster.conftest import MakeCluster
from tests.cluster.kernel_socket import Closed, KernelSocket, Message
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

LINES = 300
NUMBERED = f"""
import time
for number in range({LINES}):
    print(number, flush=True)
    time.sleep(0.005)
"""
UNTIL_TOLD = """
import os, time
number = 0
while not os.path.exists({path!r}):
    print(number, flush=True)
    number += 1
    time.sleep(0.02)
"""
PER_STAY = 12  # messages that a client reads before it goes on
NORMAL, SERVICE_RESTART = 1000, 1012


class Traveller:
    """A client of one session that goes from replica to replica, and remembers all that it was sent for its cell."""

    def __init__(self, rest: Rest, kernel_id: str, *, v1: bool = True) -> None:
        self.rest = rest
        self.kernel_id = kernel_id
        self.session_id = uuid4().hex
        self.socket: KernelSocket | None = None
        self.cell = ""
        self.got: list[Message] = []
        self._v1 = v1

    async def come(self, on: int) -> KernelSocket:
        self.socket = await self.rest.open(self.kernel_id, on=on, v1=self._v1, session_id=self.session_id)
        return self.socket

    async def begin(self, code: str, *, on: int, allow_stdin: bool = False) -> None:
        socket = await self.come(on)
        self.cell = await socket.begin(code, allow_stdin=allow_stdin)

    async def read(self, most: int | None = None, until: Callable[[Message], bool] = lambda _: False) -> None:
        """Read so many messages of the cell, or up to one, or to its end."""
        assert self.socket is not None
        count = 0
        while not self.done and count != most:
            message = await self.socket.receive()
            if message.answers(self.cell):
                count += 1
                self.got.append(message)
                if until(message):
                    return

    async def leave(self) -> None:
        """Close, and read what still comes."""
        assert self.socket is not None
        self.got += [message for message in await self.socket.leave() if message.answers(self.cell)]

    async def sent_away(self) -> int | None:
        """Read until the replica closes the connection; returns the code."""
        with pytest.raises(Closed) as closed:
            await self.read()
        return closed.value.code

    @property
    def replies(self) -> list[Message]:
        return [message for message in self.got if message.type == "execute_reply"]

    @property
    def done(self) -> bool:
        return bool(self.replies) and any(message.state == "idle" for message in self.got)

    @property
    def lines(self) -> list[int]:
        text = "".join(message.content["text"] for message in self.got if message.type == "stream")
        return [int(line) for line in text.split()]


@pytest.fixture
async def traveller(rest: Rest) -> AsyncIterator[Traveller]:
    made = Traveller(rest, await rest.start(on=0))
    yield made
    if made.socket is not None:
        await made.socket.close()


def assert_once_and_whole(traveller: Traveller) -> None:
    assert traveller.lines == list(range(LINES))
    assert [reply.content["status"] for reply in traveller.replies] == ["ok"]
    assert [message.state for message in traveller.got if message.state] == ["busy", "idle"]


def assert_once_to_the_end(traveller: Traveller) -> None:
    """Some lines may be missing, for a socket that was gone swallowed them."""
    assert traveller.lines == sorted(set(traveller.lines))
    assert traveller.lines[-1] == LINES - 1
    assert len(traveller.replies) == 1


@pytest.mark.parametrize("v1", [True, False])
async def test_a_client_that_hops_between_replicas_gets_each_line_once_and_in_order(rest: Rest, v1: bool) -> None:
    traveller = Traveller(rest, await rest.start(on=0), v1=v1)
    await traveller.begin(NUMBERED, on=0)
    stays = 0
    while not traveller.done:
        await traveller.read(PER_STAY)
        await traveller.leave()
        stays += 1
        await traveller.come(stays % 3)
    assert_once_and_whole(traveller)
    assert stays > 3
    await traveller.leave()


async def test_a_client_that_comes_back_to_the_same_replica_gets_each_line_once_and_in_order(
    traveller: Traveller,
) -> None:
    await traveller.begin(NUMBERED, on=1)
    while not traveller.done:
        await traveller.read(PER_STAY)
        await traveller.leave()
        await traveller.come(1)
    assert_once_and_whole(traveller)


async def test_a_client_that_stays_away_until_its_cell_has_ended_finds_all_of_it(
    traveller: Traveller, trio: Cluster
) -> None:
    await traveller.begin(NUMBERED + "open('over', 'w').close()", on=0)
    await traveller.read(PER_STAY)
    await traveller.leave()
    await eventually(lambda: list(trio.folder.glob("**/over")), "the cell has ended")
    await traveller.come(2)
    await traveller.read()
    assert_once_and_whole(traveller)


async def test_a_client_that_is_cut_off_misses_at_most_what_was_on_its_way(traveller: Traveller) -> None:
    await traveller.begin(NUMBERED, on=0)
    for on in (1, 2, 0, 1):
        await traveller.read(PER_STAY)
        assert traveller.socket is not None
        traveller.socket.abort()
        await traveller.come(on)
    await traveller.read()
    assert_once_to_the_end(traveller)


async def test_input_is_asked_again_and_answered_after_a_reconnect(traveller: Traveller) -> None:
    await traveller.begin("import time; time.sleep(0.5); print('Hello,', input('Who? '))", on=0, allow_stdin=True)
    await traveller.read(until=lambda message: message.state == "busy")
    await traveller.leave()
    for on in (1, 2):  # nobody takes it at the second: the third gets it from there
        await traveller.come(on)
        await traveller.leave()
    socket = await traveller.come(0)
    if not any(message.type == "input_request" for message in traveller.got):
        await traveller.read(until=lambda message: message.type == "input_request")
    (asked,) = [message for message in traveller.got if message.type == "input_request"]
    await socket.send("input_reply", {"value": "Ada"}, channel="stdin", parent=asked.header)
    await traveller.read()
    text = "".join(message.content["text"] for message in traveller.got if message.type == "stream")
    assert text == "Hello, Ada\n"


async def test_a_restart_while_the_client_is_away_aborts_its_cell(traveller: Traveller) -> None:
    await traveller.begin("import time; print('begun', flush=True); time.sleep(600)", on=0)
    await traveller.read(until=lambda message: message.type == "stream")
    await traveller.leave()
    await traveller.rest.post(f"/api/kernels/{traveller.kernel_id}/restart", on=1, expect=200)
    socket = await traveller.come(2)
    await traveller.read(until=lambda message: message.type == "execute_reply")
    assert traveller.replies[0].content["status"] == "aborted"
    assert (await socket.execute("print(6 * 7)")).printed() == "42"


async def test_a_client_that_is_away_is_no_connection(traveller: Traveller) -> None:
    await traveller.begin("import time; time.sleep(600)", on=0)
    await traveller.read(until=lambda message: message.state == "busy")

    async def counted(count: int) -> bool:
        model = await traveller.rest.get(f"/api/kernels/{traveller.kernel_id}", on=1)
        return bool(model["connections"] == count)

    await eventually(lambda: counted(1), "one connection is counted")
    await traveller.leave()
    await eventually(lambda: counted(0), "no connection is counted")


@pytest.fixture
async def small(make_cluster: MakeCluster) -> AsyncIterator[tuple[Cluster, Rest]]:
    """Three replicas of the test's own, to be stopped and killed."""
    cluster = make_cluster()
    cluster.start(3)
    async with Rest(cluster.urls, cluster.token) as rest:
        yield cluster, rest


async def test_a_replica_that_is_stopped_under_a_client_costs_no_line(small: tuple[Cluster, Rest]) -> None:
    cluster, rest = small
    traveller = Traveller(rest, await rest.start(on=0))
    await traveller.begin(NUMBERED, on=0)
    for stopped, on in ((0, 1), (1, 2)):
        await traveller.read(PER_STAY)
        cluster.replicas[stopped].signal(signal.SIGTERM)
        assert await traveller.sent_away() == SERVICE_RESTART
        await traveller.come(on)
    await traveller.read()
    assert_once_and_whole(traveller)
    assert [cluster.replicas[number].stop() for number in (0, 1)] == [0, 0]
    await traveller.leave()


async def test_a_cluster_that_is_rolled_under_a_client_costs_no_line_and_no_kernel(
    small: tuple[Cluster, Rest],
) -> None:
    cluster, rest = small
    traveller = Traveller(rest, await rest.start(on=0))
    await traveller.begin(UNTIL_TOLD.format(path=str(cluster.folder / "go")), on=0)
    for index in range(3):
        await traveller.read(PER_STAY)
        cluster.replicas[index].signal(signal.SIGTERM)
        assert await traveller.sent_away() == SERVICE_RESTART
        await traveller.come((index + 1) % 3)
        await asyncio.to_thread(roll, cluster, index)
    (cluster.folder / "go").touch()
    await traveller.read()
    assert traveller.lines == list(range(len(traveller.lines)))
    assert [reply.content["status"] for reply in traveller.replies] == ["ok"]
    (process,) = cluster.kernel_processes()
    assert process.generation == 1
    await traveller.leave()


def roll(cluster: Cluster, index: int) -> None:
    """Wait for a replica that was told to stop, and start it again."""
    assert cluster.replicas[index].stop() == 0
    cluster.start_again(index)


async def test_a_replica_that_is_killed_costs_the_gap_and_nothing_else(small: tuple[Cluster, Rest]) -> None:
    cluster, rest = small
    traveller = Traveller(rest, await rest.start(on=0))
    await traveller.begin(NUMBERED, on=0)
    await traveller.read(PER_STAY)
    cluster.replicas[0].kill()
    await traveller.sent_away()
    await traveller.come(1)
    await traveller.read()
    assert_once_to_the_end(traveller)
    await traveller.leave()


GiveUp = Callable[[int], Awaitable[KernelSocket]]


@pytest.fixture
async def given_up(traveller: Traveller) -> AsyncIterator[GiveUp]:
    """Opens WebSockets of the traveller's session, on which nothing is ever said and which stay open."""
    opened: list[KernelSocket] = []

    async def open_on(replica: int) -> KernelSocket:
        socket = await traveller.rest.open(traveller.kernel_id, on=replica, session_id=traveller.session_id)
        opened.append(socket)
        return socket

    yield open_on
    for socket in opened:
        await socket.close()


@pytest.mark.parametrize("first", ["the client", "the one that is given up"])
async def test_no_request_is_lost_where_a_client_gives_up_a_websocket_on_another_replica(
    traveller: Traveller, given_up: GiveUp, first: str
) -> None:
    for _ in range(10):
        if first == "the client":
            await traveller.come(0)
            await given_up(1)
        else:
            await given_up(1)
            await traveller.come(0)
        assert traveller.socket is not None
        assert (await traveller.socket.execute("print(1)")).printed() == "1"
        await traveller.leave()


async def test_no_request_is_lost_where_a_client_opens_two_websockets_at_once_and_gives_one_up(
    traveller: Traveller, given_up: GiveUp
) -> None:
    for number in range(20):
        await asyncio.gather(traveller.come(number % 3), given_up((number + 1) % 3))
        assert traveller.socket is not None
        assert (await traveller.socket.execute("print(1)")).printed() == "1"
        await traveller.leave()


async def test_a_websocket_that_is_given_up_while_a_cell_runs_takes_no_output_away_and_is_closed(
    traveller: Traveller, given_up: GiveUp
) -> None:
    await traveller.begin(NUMBERED, on=0)
    await traveller.read(PER_STAY)
    sockets = [await given_up(1), await given_up(2)]
    await traveller.read()
    assert_once_and_whole(traveller)
    for socket in sockets:
        with pytest.raises(Closed) as closed:
            await socket.until(lambda _: False)
        assert closed.value.code == NORMAL
    await traveller.leave()


async def test_a_silent_client_whose_former_websocket_hangs_gets_the_rest_elsewhere(traveller: Traveller) -> None:
    await traveller.begin(NUMBERED, on=0)
    await traveller.read(PER_STAY)
    assert traveller.socket is not None
    traveller.socket.hang()
    await traveller.come(1)
    await traveller.read()
    assert_once_to_the_end(traveller)
    await traveller.leave()


@pytest.mark.parametrize("what", ["handover", "admission", "succession"])
async def test_nobody_but_a_replica_can_ask_about_a_client(traveller: Traveller, trio: Cluster, what: str) -> None:
    await traveller.begin("print('kept')", on=0)
    await traveller.read()
    await traveller.leave()
    address = f"{trio.urls[0]}/peer/kernels/{traveller.kernel_id}/{what}"
    for given in ("", f"token {trio.token}", "Sealed gAAAAA"):
        async with httpx.AsyncClient() as client:
            answer = await client.post(address, headers={"Authorization": given})
        assert answer.status_code == 403
        assert set(answer.json()) == {"reason", "message"}
    swagger = await traveller.rest.get("/api/swagger.json", on=0)
    assert not [path for path in swagger["paths"] if "peer" in path]
