"""The WebSocket itself: a real tornado server and client, a relay, a kernel of real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from enterprise_gateway.errors import not_found
from enterprise_gateway.handlers.channels import CHANNELS_ROUTE
from enterprise_gateway.handlers.peers import PEER_ROUTES
from enterprise_gateway.relay.codec import LEGACY, V1, V1_SUBPROTOCOL, ClientMessage, Framing
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.interfaces import ClientSink
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.relay import Relay
from persistence.clock import sleep
from tests.cluster.waiting import PATIENCE_SECONDS
from tests.fakes.client import request_parts
from tests.fakes.kernel import FakeKernel
from tests.relay.conftest import Listener
from tests.unit.handlers.server import KERNEL_ID, Server, error_of, serving


class Held:
    def __init__(self, relay: Relay, session_id: str | None) -> None:
        self._relay = relay
        self._session = relay.open(session_id)

    @property
    def options(self) -> RelayOptions:
        return self._relay.options

    def attach(self, sink: ClientSink, framing: Framing) -> ClientConnection:
        return self._relay.attach(self._session, sink, framing=framing)

    def settle(self) -> None:
        self._session.keep()


@asynccontextmanager
async def gateway(options: RelayOptions | None = None, **settings: Any) -> AsyncIterator[tuple[Server, Relay]]:
    relay = Relay(KERNEL_ID, listener=Listener(), log=logging.getLogger("relay"), options=options)

    async def open_channels(kernel_id: str, session_id: str | None) -> Held:
        if kernel_id != KERNEL_ID:
            raise not_found(kernel_id)
        return Held(relay, session_id)

    async with serving(extra=(CHANNELS_ROUTE, *PEER_ROUTES), **settings) as server:
        server.kernels.open_channels = open_channels  # type: ignore[method-assign]
        yield server, relay
        relay.close()


@asynccontextmanager
async def connect(
    server: Server, *, v1: bool = True, query: str = "", kernel_id: str = KERNEL_ID, **headers: str
) -> AsyncIterator[WebSocketClientConnection]:
    request = HTTPRequest(f"ws://127.0.0.1:{server.port}/api/kernels/{kernel_id}/channels{query}", headers=headers)
    client = await websocket_connect(request, subprotocols=[V1_SUBPROTOCOL, "other"] if v1 else None)
    protocol = client.protocol
    try:
        yield client
    finally:
        client.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await _turns_until(lambda: protocol is None or protocol.stream is None or protocol.stream.closed())


async def message_of(client: WebSocketClientConnection, msg_type: str) -> dict[str, Any]:
    """Read until a message of this type comes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            frame = await client.read_message()
            assert frame is not None, f"closed with {client.close_code}"
            if isinstance(frame, bytes):
                _, parts = deserialize_msg_from_ws_v1(frame)
                names = ("header", "parent_header", "metadata", "content")
                message = {name: json.loads(part) for name, part in zip(names, parts, strict=False)}
            else:
                message = json.loads(frame)
            if message["header"]["msg_type"] == msg_type:
                return message


async def closed(client: WebSocketClientConnection) -> int | None:
    """Read until the end, and return the close code."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await client.read_message() is not None:
            pass
    return client.close_code


async def test_v1_is_selected_and_a_cell_runs(kernel: FakeKernel) -> None:
    async with gateway() as (server, relay):
        await relay.bind(kernel.connection, 1)
        async with connect(server) as client:
            assert client.selected_subprotocol == V1_SUBPROTOCOL
            await client.write_message(V1.encode("shell", request_parts("execute_request")).payload, binary=True)
            reply = await message_of(client, "execute_reply")
            assert reply["content"]["status"] == "ok"


async def test_without_an_offer_it_is_legacy_and_nothing_is_selected(kernel: FakeKernel) -> None:
    async with gateway() as (server, relay):
        await relay.bind(kernel.connection, 1)
        async with connect(server, v1=False) as client:
            assert client.selected_subprotocol is None
            header = {"msg_id": "1", "msg_type": "execute_request"}
            await client.write_message(json.dumps({"header": header, "channel": "shell", "content": {}}))
            reply = await message_of(client, "execute_reply")
            assert (reply["msg_type"], reply["parent_header"]["msg_id"]) == ("execute_reply", "1")


async def test_large_messages_arrive_whole_at_quick_and_slow_clients_of_both_framings(kernel: FakeKernel) -> None:
    text, buffers = "é" * 100_000, [os.urandom(1_000_000) for _ in range(8)]
    sent = [kernel.session.serialize(kernel.session.msg("display_data", {"text": text})) for _ in buffers]
    async with gateway() as (server, relay):
        await relay.bind(kernel.connection, 1)
        async with (
            connect(server) as quick,
            connect(server) as slow,
            connect(server, v1=False, **{"User-Agent": "a browser"}) as legacy,
        ):
            for parts, buffer in zip(sent, buffers, strict=True):
                await kernel.send_raw("iopub", [b"display_data", *parts, buffer])
            for client, framing in ((quick, V1), (legacy, LEGACY), (slow, V1)):
                got = await displays(client, framing, len(sent))
                assert [json.loads(one.parts[3])["text"] for one in got] == [text] * len(sent)
                assert [one.parts[4:] for one in got] == [[buffer] for buffer in buffers]


async def displays(client: WebSocketClientConnection, framing: Framing, count: int) -> list[ClientMessage]:
    """Read until so many displays have come."""
    found: list[ClientMessage] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            frame = await client.read_message()
            assert frame is not None, f"closed with {client.close_code}"
            message = framing.decode(frame)
            found += [message] if message.msg_type == "display_data" else []
    return found


async def test_an_unknown_kernel_is_404_before_any_upgrade() -> None:
    async with gateway() as (server, _):
        with pytest.raises(HTTPClientError) as caught:
            async with connect(server, kernel_id="nobody"):
                pass
        assert caught.value.code == 404
        assert caught.value.response is not None


async def test_a_missing_token_is_401_before_any_upgrade() -> None:
    async with gateway(tokens=["secret"]) as (server, _):
        with pytest.raises(HTTPClientError) as caught:
            async with connect(server):
                pass
        assert caught.value.code == 401
        async with connect(server, query="?token=secret") as client:
            await message_of(client, "status")


@pytest.mark.parametrize("path", [f"/api/kernels/{KERNEL_ID}/channels", f"/peer/kernels/{KERNEL_ID}/handover"])
async def test_no_body_is_read_of_who_may_not_ask(path: str) -> None:
    async with gateway(tokens=["secret"]) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000000\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await reader.read()
        assert answer.split()[1] == (b"401" if "channels" in path else b"403")
        assert b"\r\nConnection: close\r\n" in answer
        writer.close()


async def test_a_body_of_who_opens_a_websocket_is_thrown_away() -> None:
    async with gateway() as (server, _):
        reader, writer = await handshake(server, body=b" " * 2_000_000)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await reader.readline()).startswith(b"HTTP/1.1 101")
        writer.close()


async def test_a_foreign_page_is_refused_where_no_token_is_needed() -> None:
    async with gateway() as (server, _):
        with pytest.raises(HTTPClientError) as caught:
            async with connect(server, Origin="https://elsewhere.example"):
                pass
        assert caught.value.code == 403


async def test_a_plain_request_is_400_with_json() -> None:
    async with gateway() as (server, _):
        response = await server.ask("GET", f"/api/kernels/{KERNEL_ID}/channels")
        assert response.code == 400
        assert "WebSocket" in error_of(response)["message"]


async def test_a_version_that_nobody_speaks_is_426() -> None:
    async with gateway() as (server, _):
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "x",
            "Sec-WebSocket-Version": "8",
        }
        response = await server.ask("GET", f"/api/kernels/{KERNEL_ID}/channels", headers=headers)
        assert response.code == 426
        assert response.headers["Sec-WebSocket-Version"] == "13"


async def test_a_kernel_that_is_starting_is_opened_and_told() -> None:
    async with gateway() as (server, relay), connect(server) as client:
        status = await message_of(client, "status")
        assert status["content"] == {"execution_state": "starting"}
        relay.end("dead", "It can't be.")
        assert (await message_of(client, "stream"))["content"]["text"] == "It can't be.\n"
        assert (await message_of(client, "status"))["content"] == {"execution_state": "dead"}


async def test_a_drain_closes_with_1012() -> None:
    async with gateway() as (server, relay), connect(server) as client:
        await message_of(client, "status")
        relay.close()
        assert await closed(client) == 1012


async def test_a_reconnect_of_the_session_that_speaks_takes_over(kernel: FakeKernel) -> None:
    async with gateway() as (server, relay), connect(server, query="?session_id=one") as former:
        await relay.bind(kernel.connection, 1)
        await message_of(former, "status")
        async with connect(server, query="?session_id=one") as newer:
            await newer.write_message(V1.encode("shell", request_parts("kernel_info_request")).payload, binary=True)
            await message_of(newer, "kernel_info_reply")
            assert await closed(former) == 1000
            assert relay.client_count == 1


async def test_a_client_that_closes_is_gone_from_the_relay() -> None:
    async with gateway() as (server, relay), connect(server) as client:
        await message_of(client, "status")
        client.close(1000)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await _turns_until(lambda: relay.client_count == 0)


async def test_a_message_over_the_limit_closes_with_1009() -> None:
    async with gateway(RelayOptions(max_message_bytes=1_000)) as (server, _), connect(server) as client:
        await client.write_message(b"x" * 1_001, binary=True)
        assert await closed(client) == 1009


async def test_a_broken_frame_closes_with_1007() -> None:
    async with gateway() as (server, _), connect(server) as client:
        await client.write_message(b"junk", binary=True)
        assert await closed(client) == 1007


async def test_a_living_client_is_pinged_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    pings: list[bytes] = []
    async with gateway(RelayOptions(ping_interval_seconds=0.3)) as (server, relay), connect(server) as client:
        monkeypatch.setattr(client, "on_ping", pings.append)
        reading = asyncio.create_task(closed(client))
        await _turns_until(lambda: len(pings) == 5)  # two without an answer, and there would be no more
        assert relay.client_count == 1
        client.close()
        await reading


async def test_a_silent_client_is_closed_with_1012(caplog: pytest.LogCaptureFixture) -> None:
    async with gateway(RelayOptions(ping_interval_seconds=0.05)) as (server, relay):
        reader, writer = await handshake(server)
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while b"\x03\xf4" not in await reader.read(10_000):  # 1012, as a close frame spells it
                pass
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await _turns_until(lambda: relay.client_count == 0)


async def test_a_client_that_vanishes_while_its_kernel_is_sought_leaves_no_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with gateway() as (server, relay):
        sought, found = asyncio.Event(), asyncio.Event()

        async def open_channels(kernel_id: str, session_id: str | None) -> Held:
            sought.set()
            await found.wait()
            return Held(relay, session_id)

        server.kernels.open_channels = open_channels  # type: ignore[method-assign]
        _, writer = await handshake(server)
        await sought.wait()
        writer.close()
        await writer.wait_closed()
        found.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await _turns_until(lambda: relay.client_count == 0)
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_small_answers_are_not_held_back_by_nagle(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway() as (server, relay):
        await relay.bind(kernel.connection, 1)
        async with connect(server):
            (handler_sink,) = [connection._sink for connection in relay._sessions.connections]
            stream = handler_sink._handler.ws_connection.stream  # type: ignore[attr-defined]
            assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def handshake(server: Server, body: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for the upgrade as a client that will say nothing more."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"GET /api/kernels/{KERNEL_ID}/channels HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Version: 13\r\n{length}\r\n".encode()
        + body
    )
    return reader, writer


async def _turns_until(condition: Any) -> None:
    while not condition():
        await sleep(0.005)
