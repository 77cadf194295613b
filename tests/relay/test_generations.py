"""Restarts and ends: what the old kernel owed is answered, what was meant for it never reaches the new one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.relay import Relay
from persistence.clock import sleep
from tests.fakes.kernel import FakeKernel, Request
from tests.relay.conftest import PATIENT_SECONDS, Listener, attach


async def test_open_requests_are_answered_aborted_on_a_restart(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    kernel.hold()
    client.send("execute_request", msg_id="one")
    client.send("complete_request", msg_id="two")
    await kernel.received("execute_request")
    bound.unbind("restarting")
    await client.sink.until(lambda sink: sink.states[-1] == "restarting")
    (reply,) = client.sink.of_type("execute_reply")
    assert reply["content"] == {"status": "aborted"}
    assert (reply["channel"], reply["parent_header"]["msg_id"]) == ("shell", "one")
    assert client.sink.of_type("complete_reply")[0]["parent_header"]["msg_id"] == "two"
    assert client.sink.states == ["idle", "idle", "idle", "restarting"]


async def test_an_answered_request_is_not_answered_again(bound: Relay) -> None:
    client = attach(bound)
    client.send("execute_request", msg_id="one")
    await client.sink.until(lambda sink: sink.of_type("execute_reply"))
    bound.unbind("restarting")
    await client.sink.until(lambda sink: sink.states[-1] == "restarting")
    assert len(client.sink.of_type("execute_reply")) == 1


async def test_an_input_request_is_no_answer_to_its_cell(bound: Relay, kernel: FakeKernel) -> None:
    async def only_ask(fake: FakeKernel, request: Request) -> None:
        await fake.ask_input(request, "?")

    kernel.answers["execute_request"] = only_ask
    client = attach(bound)
    client.send("execute_request", msg_id="one")
    await client.sink.until(lambda sink: sink.of_type("input_request"))
    bound.unbind("restarting")
    (reply,) = await client.sink.until(lambda sink: sink.of_type("execute_reply"))
    assert reply["content"] == {"status": "aborted"}


async def test_the_next_generation_gets_only_what_came_after_the_restart(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    kernel.hold()
    client.send("execute_request", msg_id="old")
    await kernel.received("execute_request")
    bound.unbind("restarting")
    client.send("execute_request", msg_id="new")
    async with FakeKernel(key=b"another-key") as second:
        await bound.bind(second.connection, 2)
        (request,) = await second.received("execute_request")
        assert request.msg_id == "new"
        await client.sink.until(lambda sink: len(sink.of_type("execute_reply")) == 2)
    assert bound.generation == 2


async def test_the_last_words_of_a_kernel_are_told_before_its_death(bound: Relay, kernel: FakeKernel) -> None:
    client = attach(bound)
    client.send("execute_request", msg_id="one")
    await client.sink.until(lambda sink: sink.of_type("execute_reply"))
    for number in range(50):
        await kernel.publish("stream", {"name": "stdout", "text": str(number)})
    await client.sink.until(lambda sink: len(sink.of_type("stream")) == 50)  # its death discards what has not left it
    await kernel.die()
    bound.end("dead", "It was killed by signal 9.")
    await client.sink.until(lambda sink: sink.states[-1] == "dead")
    texts = [message["content"]["text"] for message in client.sink.of_type("stream")]
    assert texts[-1] == "It was killed by signal 9.\n"
    assert texts[:-1] == [str(number) for number in range(50)]


async def test_after_the_end_every_request_is_aborted_at_once(bound: Relay) -> None:
    client = attach(bound)
    bound.end()
    client.send("execute_request", msg_id="late")
    (reply,) = await client.sink.until(lambda sink: sink.of_type("execute_reply"))
    assert reply["content"] == {"status": "aborted"}
    assert client.sink.closed is None


async def test_a_client_that_comes_after_the_end_is_told_so(bound: Relay) -> None:
    bound.end("dead", "Why.")
    client = attach(bound)
    await client.sink.until(lambda sink: sink.states == ["dead"])
    assert client.sink.of_type("stream")


async def test_who_is_there_is_told_why_a_kernel_is_restarted_and_who_comes_later_that_it_starts(bound: Relay) -> None:
    client = attach(bound)
    bound.unbind("restarting", "Why.")
    await client.sink.until(lambda sink: sink.states[-1] == "restarting")
    assert [message["content"]["text"] for message in client.sink.of_type("stream")] == ["Why.\n"]
    late = attach(bound)
    await late.sink.until(lambda sink: sink.states == ["starting"])
    assert not late.sink.of_type("stream")


async def test_a_bind_that_is_overtaken_binds_nothing(new_relay: Callable[[RelayOptions], Relay]) -> None:
    relay = new_relay(RelayOptions(flow_timeout_seconds=PATIENT_SECONDS))
    async with FakeKernel(welcoming=False) as mute:
        mute.answers.clear()
        binding = asyncio.create_task(relay.bind(mute.connection, 1))
        await _until_subscribed(relay)
        relay.unbind("restarting")
        await binding
        assert relay.generation is None
        client = attach(relay)
        assert client.sink.states == ["starting"]


async def test_a_cancelled_bind_leaves_nothing_open(new_relay: Callable[[RelayOptions], Relay]) -> None:
    relay = new_relay(RelayOptions(flow_timeout_seconds=PATIENT_SECONDS))
    async with FakeKernel(welcoming=False) as mute:
        mute.answers.clear()
        binding = asyncio.create_task(relay.bind(mute.connection, 1))
        await _until_subscribed(relay)
        binding.cancel()
        await asyncio.wait([binding])
        assert relay.generation is None


async def test_the_count_of_clients_is_told(bound: Relay, listener: Listener) -> None:
    first, second = attach(bound), attach(bound)
    first.connection.detach()
    first.connection.detach()
    bound.close()
    assert listener.counts == [1, 2, 1, 0]
    assert second.sink.closed == (1012, "The gateway is restarting")


async def test_a_client_that_comes_to_a_closed_relay_is_sent_away(bound: Relay) -> None:
    bound.close()
    client = attach(bound)
    assert client.sink.closed is not None
    assert bound.client_count == 0


async def _until_subscribed(relay: Relay) -> None:
    while relay.generation is None:
        await sleep(0)
