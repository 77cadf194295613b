"""What a kernel and its clients say to each other arrives: whole, in order, at those whom it concerns."""

from __future__ import annotations

import json

from enterprise_gateway.relay.codec import LEGACY, V1
from enterprise_gateway.relay.pieces import LARGE_BYTES
from enterprise_gateway.relay.relay import Relay
from tests.fakes.client import FakeSink, Message
from tests.fakes.kernel import FakeKernel, Request
from tests.relay.conftest import Listener, attach


def reply_to(sink: FakeSink, msg_id: str) -> Message | None:
    answers = (m for m in sink.messages if m["channel"] in ("shell", "control"))
    return next((m for m in answers if m["parent_header"].get("msg_id") == msg_id), None)


def idle_of(sink: FakeSink, msg_id: str) -> Message | None:
    return next(
        (
            message
            for message in sink.of_type("status")
            if message["content"]["execution_state"] == "idle" and message["parent_header"].get("msg_id") == msg_id
        ),
        None,
    )


async def test_a_request_is_signed_and_answered(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    client.send("execute_request", {"code": "pass"}, msg_id="one")
    reply = await client.sink.until(lambda sink: reply_to(sink, "one"))
    assert (reply["channel"], reply["content"]["status"]) == ("shell", "ok")
    assert kernel.requests[-1].message["content"]["code"] == "pass"
    await client.sink.until(lambda sink: idle_of(sink, "one"))


async def test_a_legacy_client_and_a_v1_client_get_the_same(bound: Relay, kernel: FakeKernel) -> None:
    legacy, v1 = attach(bound, framing=LEGACY), attach(bound)
    await kernel.publish("stream", {"name": "stdout", "text": "hé"})
    (told,) = await legacy.sink.until(lambda sink: sink.of_type("stream"))
    (also,) = await v1.sink.until(lambda sink: sink.of_type("stream"))
    assert (told["header"], told["content"], told["channel"]) == (also["header"], also["content"], "iopub")


async def test_a_legacy_request_is_read(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound, framing=LEGACY)
    header = {"msg_id": "one", "msg_type": "execute_request"}
    client.connection.receive(json.dumps({"channel": "shell", "header": header, "content": {"code": "é"}}))
    await client.sink.until(lambda sink: reply_to(sink, "one"))
    assert kernel.requests[-1].message["content"]["code"] == "é"


async def test_all_clients_hear_what_the_kernel_publishes(bound: Relay, kernel: FakeKernel) -> None:
    clients = [attach(bound) for _ in range(3)]
    await kernel.publish("stream", {"name": "stdout", "text": "hello"})
    for client in clients:
        (message,) = await client.sink.until(lambda sink: sink.of_type("stream"))
        assert message["content"]["text"] == "hello"


async def test_one_subscription_serves_all_clients(bound: Relay, kernel: FakeKernel) -> None:
    clients = [attach(bound) for _ in range(3)]
    clients[0].send("kernel_info_request", msg_id="one")
    await clients[0].sink.until(lambda sink: reply_to(sink, "one"))
    assert len(kernel.subscriptions) == 2  # everything, and the random topic


async def test_only_the_asking_client_gets_the_reply(bound: Relay) -> None:
    asking, other = attach(bound), attach(bound)
    asking.send("kernel_info_request", msg_id="one")
    await other.sink.until(lambda sink: idle_of(sink, "one"))
    await asking.sink.until(lambda sink: reply_to(sink, "one"))
    assert reply_to(other.sink, "one") is None


async def test_output_keeps_its_order(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    for number in range(500):
        await kernel.publish("stream", {"name": "stdout", "text": str(number)})
    texts = await client.sink.until(lambda sink: len(sink.of_type("stream")) == 500 and sink.of_type("stream"))
    assert [int(message["content"]["text"]) for message in texts] == list(range(500))


async def test_requests_keep_their_order(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    for number in range(200):
        client.send("execute_request", msg_id=str(number))
    requests = await kernel.received("execute_request", count=200)
    assert [request.msg_id for request in requests] == [str(number) for number in range(200)]


async def test_buffers_pass_both_ways(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    header = json.dumps({"msg_id": "one", "msg_type": "comm_msg"}).encode()
    client.connection.receive(V1.encode("shell", [header, b"{}", b"{}", b"{}", b"\0\xff", b""]).payload)
    (request,) = await kernel.received("comm_msg")
    assert [bytes(buffer) for buffer in request.message["buffers"]] == [b"\0\xff", b""]
    message = kernel.session.msg("comm_msg", {})
    await kernel.send_raw("iopub", [b"comm", *kernel.session.serialize(message), b"\1\xfe"])
    (told,) = await client.sink.until(lambda sink: sink.of_type("comm_msg"))
    assert told["buffers"] == [b"\1\xfe"]


async def test_a_message_is_read_however_large_its_parts_are(
    bound: Relay, kernel: FakeKernel, listener: Listener
) -> None:
    client, legacy = attach(bound), attach(bound, framing=LEGACY)
    large = "x" * LARGE_BYTES
    message = kernel.session.msg("status", {"execution_state": "busy", "why": large})
    message["header"]["large"] = large
    message["parent_header"] = {"msg_id": "a-request", "large": large}
    await kernel.send_raw("iopub", [b"status", *kernel.session.serialize(message)])
    for sink in (client.sink, legacy.sink):
        (told,) = await sink.until(lambda sink: [one for one in sink.of_type("status") if "why" in one["content"]])
        assert (told["header"]["large"], told["parent_header"], told["content"]["why"]) == (
            large,
            message["parent_header"],
            large,
        )
    assert [(status.execution_state, status.parent_id) for status in listener.statuses] == [("busy", "a-request")]


async def test_input_is_asked_of_the_client_whose_cell_it_is(bound: Relay, kernel: FakeKernel) -> None:
    async def ask(fake: FakeKernel, request: Request) -> None:
        await fake.ask_input(request, "name? ")
        (answer,) = await fake.received("input_reply")
        await fake.reply(request, {"status": "ok", "name": answer.message["content"]["value"]})

    kernel.answers["execute_request"] = ask
    client, other = attach(bound), attach(bound)
    client.send("execute_request", msg_id="one")
    (question,) = await client.sink.until(lambda sink: sink.of_type("input_request"))
    assert (question["channel"], question["content"]["prompt"]) == ("stdin", "name? ")
    client.send("input_reply", {"value": "Ada"}, channel="stdin")
    reply = await client.sink.until(lambda sink: reply_to(sink, "one"))
    assert reply["content"]["name"] == "Ada"
    assert not other.sink.of_type("input_request")


async def test_control_is_answered_while_shell_is_busy(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    kernel.hold()
    client.send("execute_request", msg_id="long")
    client.send("interrupt_request", channel="control", msg_id="stop")
    reply = await client.sink.until(lambda sink: reply_to(sink, "stop"))
    assert reply["channel"] == "control"
    assert reply_to(client.sink, "long") is None


async def test_it_works_over_tcp_and_without_a_key(relay: Relay) -> None:
    async with FakeKernel(transport="tcp", key=b"") as kernel:
        await relay.bind(kernel.connection, 1)
        client = attach(relay)
        client.send("kernel_info_request", msg_id="one")
        await client.sink.until(lambda sink: reply_to(sink, "one"))


async def test_the_listener_hears_statuses_with_their_request(
    bound: Relay, kernel: FakeKernel, listener: Listener
) -> None:
    client = attach(bound)
    client.send("execute_request", msg_id="one")
    await client.sink.until(lambda sink: idle_of(sink, "one"))
    assert [(status.execution_state, status.parent_id, status.parent_type) for status in listener.statuses] == [
        ("busy", "one", "execute_request"),
        ("idle", "one", "execute_request"),
    ]
    assert listener.client_messages == 1


async def test_the_statuses_of_control_requests_are_marked(bound: Relay, listener: Listener) -> None:
    client = attach(bound)
    client.send("kernel_info_request", channel="control", msg_id="one")
    await client.sink.until(lambda sink: idle_of(sink, "one"))
    assert [status.control for status in listener.statuses] == [True, True]


async def test_the_listener_hears_of_output(bound: Relay, kernel: FakeKernel, listener: Listener) -> None:
    client = attach(bound)
    await kernel.publish("stream", {"name": "stdout", "text": "status"})
    await client.sink.until(lambda sink: sink.of_type("stream"))
    assert listener.outputs == 1
    assert not listener.statuses


async def test_a_kernels_garbage_is_left_out(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    await kernel.send_raw("iopub", [b"no message"])
    await kernel.send_raw("iopub", [b"topic", b"<IDS|MSG>", b"", b"{}"])
    await kernel.send_raw("iopub", [b"topic", b"<IDS|MSG>", b"", b'"status"', b"[]", b"", b"{"])
    await kernel.publish("stream", {"name": "stdout", "text": "after"})
    await client.sink.until(lambda sink: b"after" in sink.frames[-1].payload)
    assert len(client.sink.frames) == 3  # the state on opening, the one of four parts, the output


async def test_clients_are_told_where_and_how_much_a_kernel_has_lost(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    await kernel.publish("stream", {"name": "stdout", "text": "before"})
    for _ in range(500):
        kernel.session.msg("stream", {"name": "stdout", "text": "dropped by the kernel's own socket"})
    await kernel.publish("stream", {"name": "stdout", "text": "after"})
    streams = await client.sink.until(lambda sink: sink.of_type("stream") if len(sink.of_type("stream")) > 2 else None)
    said = [message["content"]["text"] for message in streams]
    assert said[0::2] == ["before", "after"]
    assert said[1].startswith("About 500 messages are missing here")
