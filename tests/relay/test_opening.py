"""A WebSocket opens at once, whatever the kernel does, and knows how things stand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from enterprise_gateway.relay import probe, subscription
from enterprise_gateway.relay.interfaces import KernelStatus
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.relay import Relay
from tests.fakes.kernel import FakeKernel
from tests.relay.conftest import PATIENT_SECONDS, Listener, attach


@pytest.mark.parametrize(("known", "told"), [("busy", "busy"), ("idle", "idle"), (None, "idle")])
async def test_a_client_is_told_the_known_state(bound: Relay, listener: Listener, known: str | None, told: str) -> None:
    listener.execution_state = known
    client = attach(bound)
    await client.sink.until(lambda sink: sink.states == [told])


async def test_a_status_of_the_gateway_is_a_whole_message(bound: Relay) -> None:
    client = attach(bound)
    (status,) = await client.sink.until(lambda sink: sink.of_type("status"))
    assert status["channel"] == "iopub"
    assert status["parent_header"] == {}
    assert set(status["header"]) == {"msg_id", "msg_type", "username", "session", "date", "version"}
    assert status["header"]["date"].endswith("Z")


async def test_a_busy_kernel_is_bound_and_heard_at_once(relay: Relay, kernel: FakeKernel) -> None:
    kernel.hold()
    await relay.bind(kernel.connection, 1)
    client = attach(relay)
    await kernel.publish("stream", {"name": "stdout", "text": "still at work"})
    await client.sink.until(lambda sink: sink.of_type("stream"))
    assert not kernel.requests  # nothing had to be asked of it


async def test_welcomes_are_no_business_of_clients(relay: Relay, kernel: FakeKernel) -> None:
    client = attach(relay)
    await relay.bind(kernel.connection, 1)
    await kernel.publish("stream", {"name": "stdout", "text": "x"})
    await client.sink.until(lambda sink: sink.of_type("stream"))
    assert not client.sink.of_type("iopub_welcome")


async def test_a_kernel_that_does_not_welcome_is_nudged_on_control(
    new_relay: Callable[[RelayOptions], Relay], listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "WELCOME_SECONDS", 0.01)
    monkeypatch.setattr(subscription, "NUDGE_SECONDS", PATIENT_SECONDS)
    relay = new_relay(RelayOptions(flow_timeout_seconds=PATIENT_SECONDS))
    async with FakeKernel(welcoming=False) as kernel:
        kernel.hold()
        client = attach(relay)
        await relay.bind(kernel.connection, 1)
        (nudge,) = await kernel.received("kernel_info_request")
        assert nudge.channel == "control"
        await kernel.publish("stream", {"name": "stdout", "text": "x"})
        await client.sink.until(lambda sink: sink.of_type("stream"))
    assert client.sink.states == ["starting", "idle"]  # not those of the nudge
    assert all(status.own for status in listener.statuses)


async def test_a_mute_kernel_is_bound_after_the_time_limit(new_relay: Callable[[RelayOptions], Relay]) -> None:
    relay = new_relay(RelayOptions(flow_timeout_seconds=0.05))
    async with FakeKernel(welcoming=False) as kernel:
        kernel.answers.clear()
        await relay.bind(kernel.connection, 1)
        assert relay.generation == 1


async def test_before_there_is_a_kernel_clients_are_told_starting_and_wait(relay: Relay, kernel: FakeKernel) -> None:
    client = attach(relay)
    client.send("execute_request", msg_id="early")
    client.send("interrupt_request", channel="control", msg_id="early too")
    assert client.sink.states == ["starting"]
    await relay.bind(kernel.connection, 1)
    (request,) = await kernel.received("execute_request")
    assert request.msg_id == "early"
    await kernel.received("interrupt_request")


async def test_what_waits_for_a_kernel_is_bounded(new_relay: Callable[[RelayOptions], Relay]) -> None:
    relay = new_relay(RelayOptions(kernel_queue_messages=3))
    client = attach(relay)
    for _ in range(4):
        client.send("execute_request")
    assert client.sink.closed is not None
    assert client.sink.closed[0] == 1013
    assert relay.client_count == 0
    assert "too many" in client.sink.of_type("stream")[0]["content"]["text"]


async def test_a_kernel_that_never_comes_up_is_told_with_its_reason(relay: Relay) -> None:
    client = attach(relay)
    client.send("execute_request", msg_id="early")
    relay.end("dead", "It ended with exit code 1.")
    await client.sink.until(lambda sink: sink.states[-1] == "dead")
    types = [message["header"]["msg_type"] for message in client.sink.messages]
    assert types == ["status", "stream", "execute_reply", "status", "stream", "status"]
    for told in client.sink.of_type("stream"):
        assert told["content"] == {"name": "stderr", "text": "It ended with exit code 1.\n"}


async def test_why_a_kernel_has_gone_is_told_below_the_cell_that_it_was_at_and_no_other(
    relay: Relay, kernel: FakeKernel
) -> None:
    client, other = attach(relay), attach(relay)
    client.send("kernel_info_request", msg_id="no-cell")
    for cell in ("running", "waiting"):
        client.send("execute_request", msg_id=cell)
    relay.end("dead", "It ended with exit code 1.")
    for one, parents in ((client, ["running", None]), (other, [None])):
        await one.sink.until(lambda sink: sink.states[-1] == "dead")
        assert [told["parent_header"].get("msg_id") for told in one.sink.of_type("stream")] == parents


async def test_a_client_of_a_kernel_that_never_came_up_stays_connected(relay: Relay) -> None:
    client = attach(relay)
    relay.end("dead", "It ended with exit code 1.")
    await client.sink.until(lambda sink: sink.states[-1] == "dead")
    assert client.sink.closed is None


async def test_the_gateways_own_requests_are_told_apart(relay: Relay, listener: Listener, kernel: FakeKernel) -> None:
    await relay.bind(kernel.connection, 1)
    client = attach(relay)
    await probe.kernel_info(kernel.connection, timeout_seconds=5)
    await kernel.publish("stream", {"name": "stdout", "text": "x"})
    await client.sink.until(lambda sink: sink.of_type("stream"))
    own: list[KernelStatus] = [status for status in listener.statuses if status.own]
    assert [status.execution_state for status in own] == ["busy", "idle"]
    assert client.sink.states == ["idle"]  # of the opening
