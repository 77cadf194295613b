"""A real ipykernel over Unix sockets, through a real WebSocket: nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection

from enterprise_gateway.relay import probe
from enterprise_gateway.relay.codec import V1
from enterprise_gateway.relay.first_cell import FirstCell
from enterprise_gateway.relay.interfaces import Frame
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.probe import Questions
from tests.cluster.waiting import eventually
from tests.fakes.client import read_frame, request_parts
from tests.relay.test_websocket import connect, gateway

MESSAGES = 20_000
AT_ONCE = 5_000
FIRST_CELL = FirstCell(send_mark=100_000, freeze=True, quick_end=True)
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
            if kernel.returncode is None:
                kernel.send_signal(signal.SIGKILL)
            await kernel.wait()


async def run(cell: FirstCell, connection: dict[str, Any]) -> None:
    with closing(Questions(connection, "shell")) as questions:
        await cell.run(questions, connection, timeout_seconds=60)


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


def stdout(messages: list[dict[str, Any]]) -> str:
    """Join what a cell has printed."""
    return "".join(m["content"]["text"] for m in messages if m["header"]["msg_type"] == "stream")


@pytest.mark.parametrize(("code", "count"), [(FLOOD, MESSAGES), (BURST, AT_ONCE)], ids=["flood", "burst"])
async def test_a_flood_of_output_arrives_whole_with_idle_last(ipykernel: dict[str, Any], code: str, count: int) -> None:
    await run(FIRST_CELL, ipykernel)
    async with gateway(RelayOptions()) as (server, relay):
        await relay.bind(ipykernel, 1)
        async with connect(server) as client, asyncio.timeout(200):
            messages = await execute(client, code)
    assert stdout(messages) == "".join(f"{number}\n" for number in range(count))
    iopub = [message for message in messages if message["channel"] == "iopub"]
    assert iopub[-1]["content"] == {"execution_state": "idle"}


async def test_each_who_comes_later_is_sent_a_burst_whole(ipykernel: dict[str, Any]) -> None:
    await run(FIRST_CELL, ipykernel)
    for generation in (1, 2):
        async with gateway(RelayOptions()) as (server, relay):
            await relay.bind(ipykernel, generation)
            async with connect(server) as client, asyncio.timeout(200):
                messages = await execute(client, BURST)
        assert sum(message["header"]["msg_type"] == "stream" for message in messages) == AT_ONCE


async def test_the_first_cell_leaves_no_trace(ipykernel: dict[str, Any]) -> None:
    files = sorted(Path(ipykernel["ip"]).parent.iterdir())
    await run(FIRST_CELL, ipykernel)
    assert sorted(Path(ipykernel["ip"]).parent.iterdir()) == files
    async with gateway(RelayOptions()) as (server, relay):
        await relay.bind(ipykernel, 1)
        async with connect(server) as client, asyncio.timeout(200):
            names = {"iopub", "os", "done", "kernel", "search", "process_children"}
            messages = await execute(client, f"print(len(In), sorted(set(globals()) & {names}))")
    assert stdout(messages) == "1 []\n"


SEARCHED = "import sys; print(get_ipython().kernel._process_children()); print('psutil' in sys.modules)"
# The kernel's last status takes its time. When the IOPub thread has ended, it is told whether the control thread has.
SLOW_STATUS = """
def slow(kernel, iopub, path, sleep):  # the globals are gone by then
    publish, join = kernel._publish_status, iopub.join
    def slow_publish(*args):
        if kernel._shutdown_message is not None:
            sleep(0.3)
        publish(*args)
    def telling_join(timeout=None):
        join(timeout)
        path.write_text(str(kernel.control_thread.is_alive()))
    kernel._publish_status, iopub.join = slow_publish, telling_join
path = __import__("pathlib").Path({told!r})
slow(get_ipython().kernel, get_ipython().kernel.iopub_thread.thread, path, __import__("time").sleep)
"""
FINALIZED = """
import functools

class Told:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        import os  # the globals are gone
        file = os.open({told!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.write(file, self.name.encode() + b"\\n")
        os.close(file)

class Node:
    pass

plain = Told("a variable")
first, second = Node(), Node()
first.other, second.other, first.told = second, first, Told("a cycle")
Out[1_000] = Told("an output")
functools.lru_cache(lambda told: told)(Told("a cache"))
file = open({file!r}, "w")
file.write("not flushed")
print(__import__("gc").get_freeze_count() > 1_000)
"""


async def test_what_a_user_has_made_is_finalized_when_a_frozen_kernel_ends(
    ipykernel: dict[str, Any], tmp_path: Path
) -> None:
    told, file = tmp_path / "told", tmp_path / "file"
    await run(FIRST_CELL, ipykernel)
    async with gateway(RelayOptions()) as (server, relay):
        await relay.bind(ipykernel, 1)
        async with connect(server) as client, asyncio.timeout(200):
            messages = await execute(client, FINALIZED.format(told=str(told), file=str(file)))
    assert stdout(messages) == "True\n"
    await probe.ask(ipykernel, "control", "shutdown_request", {"restart": False}, timeout_seconds=60)

    def finalized() -> set[str]:
        return set(told.read_text().splitlines()) if told.exists() else set()

    await eventually(lambda: finalized() == {"a variable", "a cycle", "an output", "a cache"}, "all are finalized")
    await eventually(lambda: file.read_text() == "not flushed", "the file is written")


async def test_a_kernel_without_children_does_not_search_for_them(ipykernel: dict[str, Any]) -> None:
    await run(FIRST_CELL, ipykernel)
    async with gateway(RelayOptions()) as (server, relay):
        await relay.bind(ipykernel, 1)
        async with connect(server) as client, asyncio.timeout(200):
            messages = await execute(client, SEARCHED)
    assert stdout(messages) == "[]\nFalse\n"


async def test_the_children_of_a_kernel_end_with_it(ipykernel: dict[str, Any]) -> None:
    await run(FIRST_CELL, ipykernel)
    async with gateway(RelayOptions()) as (server, relay):
        await relay.bind(ipykernel, 1)
        async with connect(server) as client, asyncio.timeout(200):
            messages = await execute(client, "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid)")
    with os.fdopen(os.pidfd_open(int(stdout(messages)))) as child:
        await probe.ask(ipykernel, "control", "shutdown_request", {"restart": False}, timeout_seconds=60)
        await eventually(lambda: bool(select.select([child], [], [], 0)[0]), "the child has ended")


async def test_the_control_thread_of_a_kernel_ends_before_the_one_that_it_hands_its_last_status_to(
    ipykernel: dict[str, Any], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    await run(FIRST_CELL, ipykernel)
    async with gateway(RelayOptions()) as (server, relay):
        await relay.bind(ipykernel, 1)
        async with connect(server) as client, asyncio.timeout(200):
            await execute(client, SLOW_STATUS.format(told=str(told)))
    await probe.ask(ipykernel, "control", "shutdown_request", {"restart": False}, timeout_seconds=60)
    await eventually(lambda: told.exists() and bool(told.read_text()), "the IOPub thread has ended")
    assert told.read_text() == "False"


async def test_a_first_cell_with_nothing_to_do_is_not_run() -> None:
    nobody = {"transport": "ipc", "ip": "/nowhere", "shell_port": 9, "iopub_port": 9, "key": "k"}
    async with asyncio.timeout(5):
        await run(FirstCell(), nobody)


async def test_over_tcp_a_kernel_is_not_asked_for_another_mark() -> None:
    nobody = {"transport": "tcp", "ip": "127.0.0.1", "shell_port": 9, "iopub_port": 9, "key": "k"}
    async with asyncio.timeout(5):
        await run(FirstCell(send_mark=100_000), nobody)
