"""A DEALER knows how it stands, loses nothing and is bounded, whichever of the two it is."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zmq

from enterprise_gateway.relay.dealer import Dealer, connected_dealer
from enterprise_gateway.relay.interfaces import DealerEvents
from enterprise_gateway.relay.messages import own_request
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.sockets import KernelLink, relay_context
from enterprise_gateway.relay.unix_dealer import UnixDealer
from enterprise_gateway.relay.zmtp import GREETING, command, framed
from tests.cluster.waiting import eventually
from tests.fakes.kernel import FakeKernel

TRANSPORTS = pytest.mark.parametrize("transport", ["ipc", "tcp"])
LARGE = [b"{}", b"{}", b"{}", b"{}", bytes(20_000_000), b"small", bytes(300_000)]
MANY = 20_000
UNSIGNED = {"signature_scheme": "hmac-sha256", "key": ""}


@dataclass
class Heard:
    """What a DEALER told."""

    messages: list[list[Piece]] = field(default_factory=list)
    writable: int = 0
    changes: int = 0

    def read(self, batch: list[list[Piece]]) -> None:
        self.messages += batch

    def may_send(self) -> None:
        self.writable += 1

    def changed(self) -> None:
        self.changes += 1


def begun(connection: dict[str, Any], heard: Heard | None = None) -> Dealer:
    heard = heard or Heard()
    return connected_dealer(
        KernelLink.to(relay_context(), connection),
        "shell",
        identity=b"me",
        events=DealerEvents(read=heard.read, changed=heard.changed, writable=heard.may_send),
        options=RelayOptions(kernel_queue_messages=5),
    )


@asynccontextmanager
async def standing(kernel: FakeKernel, heard: Heard | None = None) -> AsyncIterator[Dealer]:
    dealer = begun(kernel.connection, heard)
    try:
        await eventually(lambda: dealer.stands, "the kernel has seen it")
        yield dealer
    finally:
        dealer.close()


def request() -> list[bytes]:
    return own_request("kernel_info_request", {})[1]


@TRANSPORTS
async def test_it_is_answered_under_its_identity(transport: str) -> None:
    heard = Heard()
    async with FakeKernel(transport=transport) as kernel, standing(kernel, heard) as dealer:
        assert isinstance(dealer, UnixDealer) is (transport == "ipc")
        assert dealer.send(request())
        (asked,) = await kernel.received("kernel_info_request")
        assert asked.idents[0] == b"me"
        await eventually(lambda: heard.messages, "the answer has come")


@TRANSPORTS
async def test_large_messages_pass_whole_both_ways(transport: str) -> None:
    heard = Heard()
    async with FakeKernel(transport=transport) as kernel, standing(kernel, heard) as dealer:
        assert dealer.send([*request(), *LARGE[4:]])
        (asked,) = await kernel.received("kernel_info_request")
        assert [bytes(buffer) for buffer in asked.message["buffers"]] == LARGE[4:]
        heard.messages.clear()
        await kernel.send_raw("shell", [b"me", *LARGE])
        await eventually(lambda: len(heard.messages) >= 2, "answer and message have come")
        assert [bytes(part) for part in heard.messages[-1]] == LARGE


@TRANSPORTS
async def test_many_messages_come_in_order(transport: str) -> None:
    heard = Heard()
    async with FakeKernel(transport=transport) as kernel, standing(kernel, heard):
        for number in range(MANY):
            await kernel.send_raw("shell", [b"me", str(number).encode()])
            if number % 500 == 0:  # a ROUTER drops what a peer does not take
                await eventually(lambda: len(heard.messages) > number, "it was read")  # noqa: B023
        await eventually(lambda: len(heard.messages) == MANY, "all have come")
        assert [int(message[0]) for message in heard.messages] == list(range(MANY))


@TRANSPORTS
async def test_what_a_kernel_does_not_take_is_refused_after_a_while_and_told_when_it_takes_more(transport: str) -> None:
    heard = Heard()
    async with FakeKernel(transport=transport) as kernel, standing(kernel, heard) as dealer:
        kernel.hold()
        large, sent = bytes(1_000_000), 0
        while dealer.send([*request(), large]):
            sent += 1
        heard.writable = 0
        kernel.resume()
        assert len(await kernel.received("kernel_info_request", count=sent)) == sent
        await eventually(lambda: heard.writable, "it is told")
        assert dealer.send([*request(), large])


@TRANSPORTS
async def test_it_knows_that_its_connection_is_gone(transport: str) -> None:
    async with FakeKernel(transport=transport) as kernel, standing(kernel) as dealer:
        await kernel.die()
        await eventually(lambda: dealer.lost, "it is lost")
        assert not dealer.send(request())


@TRANSPORTS
async def test_where_nobody_listens_it_is_lost_and_says_so(transport: str) -> None:
    async with FakeKernel(transport=transport) as kernel:
        connection = kernel.connection
    heard = Heard()
    dealer = begun(connection, heard)
    await eventually(lambda: dealer.lost and heard.changes, "it is lost, and has said so")
    assert not dealer.send(request())
    dealer.close()
    dealer.close()


@TRANSPORTS
async def test_what_has_arrived_is_read_before_it_is_closed(transport: str) -> None:
    heard = Heard()
    async with FakeKernel(transport=transport) as kernel, standing(kernel, heard) as dealer:
        assert dealer.send(request())
        await kernel.received("kernel_info_request")

        def rest() -> bool:
            dealer.read_rest()
            return bool(heard.messages)

        await eventually(rest, "the answer was read")


async def test_without_a_descriptor_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    async with FakeKernel() as kernel:
        monkeypatch.setattr(socket, "socket", none_left)
        with pytest.raises(zmq.ZMQError) as failed:
            begun(kernel.connection)
    assert failed.value.errno == errno.EMFILE


@dataclass
class Strange:
    """A peer that says what the test wants said."""

    dealer: Dealer
    socket: socket.socket
    told: Heard
    heard: bytearray = field(default_factory=bytearray)
    hung_up: bool = False

    def has_heard(self, last: bytes = b"") -> bool:
        with suppress(BlockingIOError):
            heard = self.socket.recv(65_536)
            self.hung_up = not heard
            self.heard.extend(heard)
        return self.heard.endswith(last)


@asynccontextmanager
async def strange(folder: Path, *said: bytes) -> AsyncIterator[Strange]:
    connection = {"transport": "ipc", "ip": f"{folder}/k", "shell_port": 1, **UNSIGNED}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/k-1")
        server.listen()
        told = Heard()
        dealer = begun(connection, told)
        peer, _ = server.accept()
        peer.setblocking(False)
        peer.sendall(b"".join(said))
        with peer:
            yield Strange(dealer, peer, told)
        dealer.close()


READY = GREETING + command(b"\x05READY")


async def test_a_peer_that_pings_is_answered(tmp_path: Path) -> None:
    async with strange(tmp_path, READY, command(b"\x04PING\x00\x00hello")) as peer:
        await eventually(lambda: peer.has_heard(command(b"\x04PONGhello")), "it answers")
        assert peer.dealer.stands


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n", GREETING + command(b"\x05ERROR\x03400")])
async def test_a_peer_that_is_no_kernel_or_refuses_loses_it(tmp_path: Path, said: bytes) -> None:
    async with strange(tmp_path, said) as peer:
        await eventually(lambda: peer.dealer.lost, "it is lost")
        assert not peer.dealer.stands


async def test_a_message_that_is_arriving_when_it_ends_arrives_whole_and_nothing_after_it(tmp_path: Path) -> None:
    message = b"".join(framed([b"large", bytes(100_000)]))
    async with strange(tmp_path, READY, message[:50_000]) as peer:
        await eventually(lambda: peer.dealer.stands, "it stands")
        peer.dealer.end()
        assert not peer.told.messages
        peer.socket.sendall(message[50_000:])
        await eventually(lambda: peer.told.messages == [[b"large", bytes(100_000)]], "it has come")
        await eventually(lambda: peer.has_heard() and peer.hung_up, "it is closed")


async def test_one_that_ends_between_two_messages_is_closed_at_once(tmp_path: Path) -> None:
    async with strange(tmp_path, READY, *framed([b"whole"])) as peer:
        await eventually(lambda: peer.dealer.stands, "it stands")
        peer.dealer.end()
        assert peer.told.messages == [[b"whole"]]
        await eventually(lambda: peer.has_heard() and peer.hung_up, "it is closed")


async def test_what_had_arrived_is_read_where_a_send_finds_that_the_peer_has_gone(tmp_path: Path) -> None:
    async with strange(tmp_path, READY) as peer:
        await eventually(lambda: peer.dealer.stands, "it stands")
        peer.has_heard()  # who closes with something unread cuts off what he has said
        peer.socket.sendall(b"".join(framed([b"the last"])))
        peer.socket.close()
        assert not peer.dealer.send(request())
        assert peer.told.messages == [[b"the last"]]
        assert peer.dealer.lost
