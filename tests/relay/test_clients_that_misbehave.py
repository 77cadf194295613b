"""Slow, broken and doubled clients hurt themselves at most."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from enterprise_gateway.relay.codec import LEGACY, V1
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.relay import Relay
from tests.cluster.waiting import eventually
from tests.fakes.client import FakeSink, request_parts
from tests.fakes.kernel import FakeKernel
from tests.relay.conftest import attach

NewRelay = Callable[[RelayOptions], Relay]


async def test_a_session_that_connects_again_and_speaks_takes_over(bound: Relay, kernel: FakeKernel) -> None:
    former = attach(bound, session_id="one")
    kernel.hold()
    former.send("execute_request", msg_id="long")
    await kernel.received("execute_request")
    newer = attach(bound, session_id="one")
    assert former.sink.closed is None
    newer.send("interrupt_request", channel="control")
    assert former.sink.closed is not None
    assert former.sink.closed[0] == 1000  # JupyterLab doesn't come back after it
    await newer.sink.until(lambda sink: sink.of_type("interrupt_reply"))
    kernel.resume()
    (reply,) = await newer.sink.until(lambda sink: sink.of_type("execute_reply"))
    assert reply["parent_header"]["msg_id"] == "long"
    assert not former.sink.of_type("execute_reply")
    assert bound.client_count == 1


async def test_a_websocket_that_was_given_up_silently_does_not_deafen_the_one_that_speaks(
    bound: Relay, kernel: FakeKernel
) -> None:
    spoken = attach(bound, session_id="one")
    spoken.send("kernel_info_request")
    await spoken.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
    silent = attach(bound, session_id="one")  # asked for before, and here only now
    await kernel.publish("stream", {"name": "stdout", "text": "heard by both"})
    await spoken.sink.until(lambda sink: sink.of_type("stream"))
    spoken.send("execute_request")
    await spoken.sink.until(lambda sink: sink.of_type("execute_reply"))
    assert silent.sink.closed is not None
    assert silent.sink.closed[0] == 1000
    assert bound.client_count == 1


async def test_a_long_cell_is_answered_to_the_session_on_another_replica(
    new_relay: NewRelay, kernel: FakeKernel
) -> None:
    former, newer = new_relay(RelayOptions()), new_relay(RelayOptions())
    for relay in (former, newer):
        await relay.bind(kernel.connection, 1)
    client = attach(former, session_id="one")
    kernel.hold()
    client.send("execute_request", msg_id="long")
    await kernel.received("execute_request")
    second = attach(newer, session_id="one")
    second.send("interrupt_request", channel="control")
    second.send("kernel_info_request")  # waits behind the cell, and shows that the new socket stands
    await second.sink.until(lambda sink: sink.of_type("interrupt_reply"))
    kernel.resume()
    (reply,) = await second.sink.until(lambda sink: sink.of_type("execute_reply"))
    assert reply["parent_header"]["msg_id"] == "long"
    assert not client.sink.of_type("execute_reply")


async def test_who_was_closed_for_another_one_of_its_session_is_deaf_and_mute(bound: Relay, kernel: FakeKernel) -> None:
    former = attach(bound, session_id="one")
    newer = attach(bound, session_id="one")
    newer.send("kernel_info_request")
    former.send("execute_request", msg_id="stale")
    newer.send("execute_request", msg_id="fresh")
    await newer.sink.until(lambda sink: sink.of_type("execute_reply"))
    assert [request.msg_id for request in kernel.requests][1:] == ["fresh"]
    former.connection.detach()  # its WebSocket closes at last
    assert bound.client_count == 1


async def test_clients_without_a_session_live_side_by_side(bound: Relay) -> None:
    first, second = attach(bound), attach(bound)
    for client in (first, second):
        client.send("kernel_info_request")
        await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
    assert bound.client_count == 2


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("text on a binary WebSocket", 1003),
        (b"", 1007),
        (b"\xff" * 100, 1007),
        (V1.encode("shell", [b"{"] * 4)[0], 1007),
    ],
)
async def test_a_frame_that_cannot_be_read_closes_its_own_websocket(
    bound: Relay, frame: str | bytes, code: int
) -> None:
    client, other = attach(bound), attach(bound)
    client.connection.receive(frame)
    assert client.sink.closed is not None
    assert client.sink.closed[0] == code
    assert other.sink.closed is None


@pytest.mark.parametrize("channel", ["iopub", "hb", "", "shell\n", "x" * 1000])
async def test_a_message_for_no_channel_is_ignored(bound: Relay, kernel: FakeKernel, channel: str) -> None:
    client = attach(bound)
    client.send("execute_request", channel=channel)
    client.send("kernel_info_request")
    await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
    assert [request.msg_type for request in kernel.requests] == ["kernel_info_request"]


async def test_a_message_without_a_header_is_ignored(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    client.connection.receive(V1.encode("shell", [b"{}"] * 4).payload)
    client.send("kernel_info_request")
    await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))


async def test_malformed_messages_are_logged_once(bound: Relay, caplog: pytest.LogCaptureFixture) -> None:
    client = attach(bound)
    for _ in range(10):
        client.send("execute_request", channel="nowhere")
    assert len(caplog.records) == 1


async def test_a_slow_client_stalls_nobody_else(new_relay: NewRelay, kernel: FakeKernel) -> None:
    relay = new_relay(RelayOptions(client_buffer_bytes=10_000, read_budget=4))
    await relay.bind(kernel.connection, 1)
    slow, quick = attach(relay), attach(relay)
    slow.sink.slow = True
    for number in range(300):
        await kernel.publish("stream", {"name": "stdout", "text": str(number)})
    await quick.sink.until(lambda sink: len(sink.of_type("stream")) == 300)


async def test_a_hundred_clients_of_a_kernel_get_all_of_it_from_one_copy(bound: Relay, kernel: FakeKernel) -> None:
    clients = [attach(bound) for _ in range(100)]
    for number in range(50):
        await kernel.publish("stream", {"name": "stdout", "text": str(number)})
    for client in clients:
        await client.sink.until(lambda sink: len(sink.of_type("stream")) == 50)
    last = [client.sink.frames[-1].payload for client in clients]
    assert all(payload is last[0] for payload in last)


def came(sink: FakeSink, frames: int) -> bool:
    return len(sink.frames) >= frames


async def test_output_without_end_takes_no_more_memory_of_a_client_that_stopped_to_read_than_it_may(
    new_relay: NewRelay, kernel: FakeKernel
) -> None:
    relay = new_relay(RelayOptions(client_buffer_bytes=1_000_000))
    await relay.bind(kernel.connection, 1)
    stopped, quick = attach(relay), attach(relay)
    stopped.sink.slow = True
    for number in range(100):  # 10 MB
        await kernel.publish("stream", {"name": "stdout", "text": "x" * 100_000})
        await eventually(partial(came, quick.sink, number + 2), "the other client has it, and the status before")
    kept = sum(frame.size for frame in stopped.sink.frames)
    kept += sum(message.frame(V1).size for message in stopped.connection.unsent())
    assert kept < 1_400_000  # a batch at the network and what waits, the notice, and one message over the bound


async def test_a_slow_client_loses_output_only_and_is_told(new_relay: NewRelay, kernel: FakeKernel) -> None:
    relay = new_relay(RelayOptions(client_buffer_bytes=10_000, read_budget=4))
    await relay.bind(kernel.connection, 1)
    slow, quick = attach(relay), attach(relay)
    slow.sink.slow = True
    for number in range(300):
        await kernel.publish("stream", {"name": "stdout", "text": str(number)})
    await kernel.publish("comm_msg", {"data": 1})
    await kernel.status("idle")
    await quick.sink.until(lambda sink: len(sink.of_type("comm_msg")) == 1 and sink.states[-1] == "idle")
    await quick.sink.until(lambda sink: len(sink.of_type("status")) == 2)
    slow.sink.catch_up()
    notices = await slow.sink.until(
        lambda sink: [m for m in sink.of_type("stream") if m["content"]["name"] == "stderr"]
    )
    await slow.sink.until(
        lambda sink: len([m for m in sink.of_type("stream") if m["content"]["name"] == "stderr"]) == 2
    )
    assert "left out" in notices[0]["content"]["text"]
    outputs = [int(m["content"]["text"]) for m in slow.sink.of_type("stream") if m["content"]["name"] == "stdout"]
    assert outputs == list(range(len(outputs)))
    assert 0 < len(outputs) < 300
    assert len(slow.sink.of_type("comm_msg")) == 1
    assert len(slow.sink.of_type("status")) == 2


async def test_a_client_that_takes_nothing_at_all_is_given_up(new_relay: NewRelay, kernel: FakeKernel) -> None:
    relay = new_relay(RelayOptions(client_buffer_bytes=10_000, read_budget=4))
    await relay.bind(kernel.connection, 1)
    slow, quick = attach(relay), attach(relay)
    slow.sink.slow = True
    for number in range(200):
        await kernel.publish("comm_msg", {"number": number})
    await slow.sink.until(lambda sink: sink.closed)
    assert slow.sink.closed == (1013, "This client reads too slowly")
    await quick.sink.until(lambda sink: len(sink.of_type("comm_msg")) == 200)
    assert relay.client_count == 1


async def test_a_full_kernel_gets_the_rest_when_it_reads_again(new_relay: NewRelay, kernel: FakeKernel) -> None:
    relay = new_relay(RelayOptions(kernel_queue_messages=5_000))
    await relay.bind(kernel.connection, 1)
    client = attach(relay)
    kernel.hold()
    for number in range(4_000):
        client.send("comm_msg", msg_id=str(number))
    kernel.resume()
    received = await kernel.received("comm_msg", count=4_000)
    assert [request.msg_id for request in received] == [str(number) for number in range(4_000)]
    assert client.sink.closed is None


async def test_a_lost_connection_to_the_kernel_sends_the_client_to_connect_again(
    bound: Relay, kernel: FakeKernel
) -> None:
    client = attach(bound)
    client.send("kernel_info_request")
    await client.sink.until(lambda sink: sink.of_type("kernel_info_reply"))
    await kernel.die()

    def closed() -> bool:
        client.send("kernel_info_request")  # again: what is sent while the connection breaks may be gone with it
        return client.sink.closed is not None

    await eventually(closed, "it is closed")
    assert client.sink.closed == (1012, "The connection to the kernel is lost")


async def test_a_legacy_client_is_not_hurt_by_a_hundred_kinds_of_junk(bound: Relay) -> None:
    for junk in ("", "null", "[]", "{", "1", '"x"', b"\0", b"\0\0\0\1\0\0\0\x08{}", "{}", '{"header": {}}'):
        client = attach(bound, framing=LEGACY)
        client.connection.receive(junk)
    assert len(request_parts("x")) == 4
