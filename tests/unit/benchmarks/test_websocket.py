"""The WebSocket that measures, against a server that says what the test wants said."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from benchmarks.clients.channels import HEAD_BYTES
from benchmarks.clients.websocket import BUFFER_BYTES, Closed, WebSocketChannels
from enterprise_gateway.relay.interfaces import Frame
from enterprise_gateway.relay.websocket_frames import server_frames

HELLO = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: v1.kernel.websocket.jupyter.org\r\n\r\n"
PING, CLOSE = b"\x89\x01!", b"\x88\x05\x03\xe8bye"


@contextmanager
def connected(said: bytes, again: bytes = b"") -> Iterator[tuple[WebSocketChannels, bytearray]]:
    """A connection to a server that says this, and `again` whenever it is told something; what that was in the end."""
    told = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client, suppress(ConnectionError):  # it may be gone while it is told something
                client.sendall(said)
                while chunk := client.recv(65536):
                    told.extend(chunk)
                    client.sendall(again)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with closing(WebSocketChannels(f"http://127.0.0.1:{server.getsockname()[1]}", "k1", "secret")) as channels:
                yield channels, told
        finally:
            thread.join()


def on_the_wire(frames: Iterable[Frame]) -> bytes:
    return b"".join(server_frames(frames))


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65_535, 65_536, 3 * BUFFER_BYTES])
def test_a_message_of_any_size_is_counted_whole_and_its_head_kept(size: int) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    frames = [Frame(payload[:size], binary=True), Frame(b"next", binary=False)]
    with connected(HELLO + on_the_wire(frames)) as (channels, _):
        assert channels.receive(10) == (payload[: min(size, HEAD_BYTES)], size)
        assert channels.receive(10) == (b"next", 4)


def test_many_messages_are_read_across_the_end_of_the_buffer() -> None:
    payloads = [bytes([number % 256]) * 1_500 for number in range(2_000)]
    with connected(HELLO + on_the_wire(Frame(one, binary=True) for one in payloads)) as (channels, _):
        assert [channels.receive(10).head for _ in payloads] == payloads


def test_a_ping_is_answered_and_is_no_message() -> None:
    with connected(HELLO + PING + on_the_wire([Frame(b"text", binary=False)])) as (channels, told):
        assert channels.receive(10).head == b"text"
    assert b"\x8a\x81\0\0\0\0!" in told


def test_a_close_frame_says_why() -> None:
    with connected(HELLO + CLOSE) as (channels, _), pytest.raises(Closed, match="bye"):
        channels.receive(10)


def test_silence_ends_a_wait() -> None:
    with connected(HELLO) as (channels, _), pytest.raises(TimeoutError):
        channels.receive(0.01)


def test_silence_with_pings_ends_a_wait() -> None:
    with connected(HELLO, again=PING) as (channels, _), pytest.raises(TimeoutError):
        channels.receive(0.05)


def test_another_answer_than_a_websocket_is_told() -> None:
    with pytest.raises(Closed, match="404"), connected(b"HTTP/1.1 404 Not Found\r\n\r\n"):
        pass


def attend_for_ever(channels: WebSocketChannels) -> None:
    while True:
        channels.attend(10)


def test_an_idle_client_reads_all_that_comes_and_answers_pings() -> None:
    hello = on_the_wire([Frame(b"hello", binary=True)])
    with connected(HELLO + hello + PING + hello + PING + CLOSE) as (channels, told), pytest.raises(Closed, match="bye"):
        attend_for_ever(channels)
    assert told.count(b"\x8a\x81\0\0\0\0!") == 2
