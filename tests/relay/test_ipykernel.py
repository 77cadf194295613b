"""A real ipykernel over Unix sockets, through a real WebSocket: nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection

from enterprise_gateway.relay import probe
from enterprise_gateway.relay.codec import V1
from enterprise_gateway.relay.interfaces import Frame
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.send_mark import raise_send_mark
from tests.fakes.client import read_frame, request_parts
from tests.relay.test_websocket import connect, gateway

MESSAGES = 20_000
AT_ONCE = 5_000
FLOOD = f"for i in range({MESSAGES}): print(i, flush=True)"
# All in one go, as ipykernel's IOPub thread sends what has gathered while another thread was at work.
BURST = f"""
kernel = get_ipython().kernel
iopub, session, parent = kernel.iopub_thread, kernel.session, kernel.get_parent("shell")
made = [session.msg("stream", {{"name": "stdout", "text": f"{{n}}\\n"}}, parent=parent) for n in range({AT_ONCE})]
sent = [[b"stream.stdout", *session.serialize(message)] for message in made]
iopub.schedule(lambda: [iopub.socket.send_multipart(message) for message in sent])
"""


def write_connection(folder: Path) -> tuple[dict[str, Any], Path]:
    ports = {f"{name}_port": number for number, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}
    connection = {"transport": "ipc", "ip": str(folder / "k"), "key": "secret", "signature_scheme": "hmac-sha256"}
    file = folder / "connection.json"
    file.write_text(json.dumps(connection | ports))
    return connection | ports, file


@pytest.fixture
async def ipykernel() -> AsyncIterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="ipykernel-") as folder:
        connection, file = write_connection(Path(folder))
        kernel = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ipykernel_launcher", "-f", str(file), env={**os.environ, "IPYTHONDIR": folder}
        )
        try:
            await probe.kernel_info(connection, timeout_seconds=60)
            yield connection
        finally:
            kernel.send_signal(signal.SIGKILL)
            await kernel.wait()


async def execute(client: WebSocketClientConnection, code: str) -> list[dict[str, Any]]:
    """Run a cell and return all messages up to its `idle`."""
    parts = request_parts("execute_request", {"code": code, "silent": False, "store_history": False})
    msg_id = json.loads(parts[0])["msg_id"]
    await client.write_message(V1.encode("shell", parts).payload, binary=True)
    got: list[dict[str, Any]] = []
    idle = replied = False
    while not (idle and replied):
        frame = await client.read_message()
        assert isinstance(frame, bytes)
        message = read_frame(Frame(frame, binary=True))
        if message["parent_header"].get("msg_id") != msg_id:
            continue
        got.append(message)
        idle = idle or message["content"].get("execution_state") == "idle"
        replied = replied or message["header"]["msg_type"] == "execute_reply"
    return got


@pytest.mark.parametrize(("code", "count"), [(FLOOD, MESSAGES), (BURST, AT_ONCE)], ids=["flood", "burst"])
async def test_a_flood_of_output_arrives_whole_with_idle_last(ipykernel: dict[str, Any], code: str, count: int) -> None:
    await raise_send_mark(ipykernel, 100_000, timeout_seconds=60)
    async with gateway(RelayOptions()) as (server, relay):
        await relay.bind(ipykernel, 1)
        async with connect(server) as client, asyncio.timeout(200):
            messages = await execute(client, code)
    outputs = [message["content"]["text"] for message in messages if message["header"]["msg_type"] == "stream"]
    assert "".join(outputs) == "".join(f"{number}\n" for number in range(count))
    iopub = [message for message in messages if message["channel"] == "iopub"]
    assert iopub[-1]["content"] == {"execution_state": "idle"}


async def test_each_who_comes_later_is_sent_a_burst_whole(ipykernel: dict[str, Any]) -> None:
    await raise_send_mark(ipykernel, 100_000, timeout_seconds=60)
    for generation in (1, 2):
        async with gateway(RelayOptions()) as (server, relay):
            await relay.bind(ipykernel, generation)
            async with connect(server) as client, asyncio.timeout(200):
                messages = await execute(client, BURST)
        assert sum(message["header"]["msg_type"] == "stream" for message in messages) == AT_ONCE


async def test_raising_the_mark_leaves_no_trace(ipykernel: dict[str, Any]) -> None:
    files = sorted(Path(ipykernel["ip"]).parent.iterdir())
    await raise_send_mark(ipykernel, 100_000, timeout_seconds=60)
    assert sorted(Path(ipykernel["ip"]).parent.iterdir()) == files
    async with gateway(RelayOptions()) as (server, relay):
        await relay.bind(ipykernel, 1)
        async with connect(server) as client, asyncio.timeout(200):
            messages = await execute(client, "print(len(In), sorted(set(globals()) & {'iopub', 'os', 'done'}))")
    assert [m["content"]["text"] for m in messages if m["header"]["msg_type"] == "stream"] == ["1 []\n"]


async def test_over_tcp_the_kernel_is_asked_nothing() -> None:
    nobody = {"transport": "tcp", "ip": "127.0.0.1", "shell_port": 9, "iopub_port": 9, "key": "k"}
    async with asyncio.timeout(5):
        await raise_send_mark(nobody, 100_000, timeout_seconds=60)
