from __future__ import annotations

import json

from enterprise_gateway.relay.buffer import Buffer, BufferBudget
from enterprise_gateway.relay.outbox import Outgoing


def message(text: str, *, msg_type: str = "stream", channel: str = "iopub") -> Outgoing:
    header = {"msg_id": "1", "msg_type": msg_type}
    return Outgoing(channel, [json.dumps(part).encode() for part in (header, {}, {}, {"text": text})])


SIZE = sum(map(len, message("1").parts))


def texts(messages: list[Outgoing]) -> list[str]:
    """The messages' texts; a notice by its first word, or its number."""
    return [json.loads(bytes(one.parts[3]))["text"].split(" ")[0] for one in messages]


def test_what_is_kept_comes_back_in_order_and_once() -> None:
    buffer = Buffer(limit_bytes=10 * SIZE)
    for text in "123":
        buffer.put(message(text))
    assert buffer.size == 3 * SIZE
    assert texts(buffer.take()) == ["1", "2", "3"]
    assert (buffer.take(), buffer.size) == ([], 0)


def test_beyond_the_bound_output_is_left_out_and_told_where_and_how_much() -> None:
    buffer = Buffer(limit_bytes=2 * SIZE)
    for text in "1234":
        buffer.put(message(text))
    assert texts(buffer.take()) == ["1", "2", "Output", "2"]


def test_beyond_the_bound_what_a_client_can_not_do_without_is_kept() -> None:
    buffer = Buffer(limit_bytes=2 * SIZE)
    vital = [
        message("1"),
        message("2"),
        message("3", channel="shell"),
        message("4", channel="stdin", msg_type="input_request"),
    ]
    for one in vital:
        buffer.put(one)
    assert texts(buffer.take()) == ["1", "2", "3", "4"]


def test_at_twice_the_bound_all_goes_and_is_told() -> None:
    buffer = Buffer(limit_bytes=SIZE)
    for text in "123456":
        buffer.put(message(text, msg_type="comm_msg"))
    assert buffer.size <= 3 * SIZE
    kept = texts(buffer.take())
    assert kept[-1] == str(6 - len(kept) + 1)
    assert kept[-2] == "6"


def test_all_buffers_together_hold_no_more_than_their_budget_and_the_oldest_pays() -> None:
    budget = BufferBudget(3 * SIZE)
    first, second = (budget.buffer(limit_bytes=10 * SIZE) for _ in range(2))
    for text in "12":
        first.put(message(text))
        second.put(message(text))
    assert budget.size <= 3 * SIZE
    assert texts(second.take()) == ["1", "2"]
    assert texts(first.take()) == ["2"]  # the notice that two were left out


def test_a_buffer_that_is_over_costs_nothing_any_more() -> None:
    budget = BufferBudget(3 * SIZE)
    buffer = budget.buffer(limit_bytes=10 * SIZE)
    buffer.put(message("1"))
    budget.release(buffer)
    budget.release(buffer)
    buffer.put(message("2"))
    assert budget.size == 0


def test_one_message_larger_than_the_budget_is_let_go_again() -> None:
    budget = BufferBudget(SIZE - 1)
    buffer = budget.buffer(limit_bytes=10 * SIZE)
    buffer.put(message("1"))
    assert budget.size == 0
    assert texts(buffer.take()) == ["1"]  # the notice of one
