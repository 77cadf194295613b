from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import zmq

from enterprise_gateway.relay.pieces import LARGE_BYTES, Piece
from enterprise_gateway.relay.sockets import MAX_SOCKETS, Socket, SocketReader, address, relay_context
from tests.cluster.waiting import PATIENCE_SECONDS


class Pair:
    """A socket under a reader, and its other end."""

    def __init__(self, *, budget: int = 256) -> None:
        self.far: Socket = relay_context().socket(zmq.PAIR)
        near: Socket = relay_context().socket(zmq.PAIR)
        endpoint = f"inproc://{uuid4().hex}"
        self.far.bind(endpoint)
        near.connect(endpoint)
        self.batches: list[list[Piece]] = []
        self.news = asyncio.Event()
        self.reader = SocketReader(near, self.read, budget=budget)

    def read(self, batch: list[list[Piece]]) -> None:
        self.batches.append([message[0] for message in batch])
        self.news.set()

    async def until(self, count: int) -> list[Piece]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(map(len, self.batches)) < count:
                self.news.clear()
                await self.news.wait()
        return [message for batch in self.batches for message in batch]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    yield made
    made.reader.close()
    made.far.close(0)


async def test_what_came_before_the_reader_is_read() -> None:
    far, near = relay_context().socket(zmq.PAIR), relay_context().socket(zmq.PAIR)
    far.bind("inproc://early")
    near.connect("inproc://early")
    far.send(b"early")
    near.poll(1_000)  # the edge is spent
    got = asyncio.Event()
    reader = SocketReader(near, lambda _: got.set(), budget=8)
    await asyncio.wait_for(got.wait(), PATIENCE_SECONDS)
    reader.close()
    far.close(0)


async def test_an_edge_that_a_send_has_swallowed_is_made_up_for(pair: Pair) -> None:
    await pair.until(0)
    for number in range(200):
        pair.far.send(b"%d" % number)
        pair.reader.send([b"x"])  # reads libzmq's mailbox, and with it the wake-up for what has just come
        got = await pair.until(number + 1)
    assert got == [b"%d" % number for number in range(200)]


async def test_a_long_queue_is_read_in_goes_and_to_its_end() -> None:
    pair = Pair(budget=10)
    for number in range(95):
        pair.far.send(b"%d" % number)
    got = await pair.until(95)
    assert got == [b"%d" % number for number in range(95)]
    assert max(map(len, pair.batches)) <= 10
    pair.reader.close()
    pair.far.close(0)


async def test_large_messages_end_a_go_early(pair: Pair) -> None:
    for _ in range(5):
        pair.far.send(b"x" * 3_000_000)
    await pair.until(5)
    assert [len(batch) for batch in pair.batches] == [1] * 5


async def test_large_parts_are_not_copied_and_small_ones_are(pair: Pair) -> None:
    for size in (LARGE_BYTES - 1, LARGE_BYTES):
        pair.far.send(b"x" * size)
    small, large = await pair.until(2)
    assert (type(small), small) == (bytes, b"x" * (LARGE_BYTES - 1))
    assert (type(large), large) == (memoryview, b"x" * LARGE_BYTES)


async def test_a_closed_reader_reads_no_more(pair: Pair) -> None:
    pair.far.send(b"x")
    pair.reader.close()
    pair.reader.close()
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_later(0.05, turn.set_result, None)
    await turn
    assert pair.batches == []
    assert pair.reader.closed


async def test_the_rest_is_read_on_demand(pair: Pair) -> None:
    pair.far.send(b"x")
    pair.reader.read_rest()
    assert pair.batches == [[b"x"]]


def test_the_context_has_room_for_many_kernels() -> None:
    assert relay_context() is relay_context()
    assert relay_context().get(zmq.MAX_SOCKETS) == MAX_SOCKETS


@pytest.mark.parametrize(
    ("transport", "ip", "expected"),
    [("tcp", "10.0.0.1", "tcp://10.0.0.1:7"), ("ipc", "/run/k", "ipc:///run/k-7")],
)
def test_an_address_is_spelt_as_jupyter_client_spells_it(transport: str, ip: str, expected: str) -> None:
    assert address({"transport": transport, "ip": ip, "shell_port": 7}, "shell") == expected
