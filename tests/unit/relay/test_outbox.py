from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from enterprise_gateway.relay.codec import V1
from enterprise_gateway.relay.interfaces import Frame
from enterprise_gateway.relay.outbox import Outbox, Outgoing
from tests.fakes.client import read_frame


class Sink:
    """Takes a batch, and says that the network took it when `take` is called."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.closed: int | None = None
        self.closing = False
        self._sent: Callable[[], None] | None = None

    def send(self, frames: Sequence[Frame], sent: Callable[[], None]) -> bool:
        if self.closing:
            return False
        self.batches.append([label(read_frame(frame)) for frame in frames])
        self._sent = sent
        return True

    def close(self, code: int, reason: str) -> None:
        self.closed = code

    async def answers(self, seconds: float) -> bool:
        return True

    def take(self) -> None:
        sent, self._sent = self._sent, None
        if sent is not None:
            sent()


def label(message: dict[str, Any]) -> str:
    """Name a message by its text; a notice of the outbox by what it is."""
    if message["content"].get("name") == "stderr":
        return "notice: " + str(message["content"]["text"].split(" ")[0])
    return str(message["content"].get("text"))


def outgoing(text: str, *, msg_type: str = "stream", channel: str = "iopub") -> Outgoing:
    header = {"msg_id": "1", "msg_type": msg_type}
    return Outgoing(channel, [json.dumps(part).encode() for part in (header, {}, {}, {"text": text})])


SIZE = len(outgoing("1").frame(V1).payload)


def make(sink: Sink, *, limit: int = 10 * SIZE, given_up: Callable[[], None] = lambda: None) -> Outbox:
    return Outbox(sink, V1, limit_bytes=limit, overflow=given_up)


def test_what_is_put_goes_out_in_one_batch_on_flush() -> None:
    sink = Sink()
    box = make(sink)
    box.put(outgoing("1"))
    box.put(outgoing("2"))
    assert sink.batches == []
    box.flush()
    assert sink.batches == [["1", "2"]]


def test_the_next_batch_waits_for_the_one_before() -> None:
    sink = Sink()
    box = make(sink)
    for text in "12":
        box.put(outgoing(text))
        box.flush()
    assert sink.batches == [["1"]]
    sink.take()
    assert sink.batches == [["1"], ["2"]]


def test_what_the_network_has_not_taken_counts() -> None:
    sink = Sink()
    box = make(sink)
    box.put(outgoing("1"))
    box.flush()
    box.put(outgoing("2"))
    assert box.size == 2 * SIZE
    sink.take()
    sink.take()
    assert box.size == 0


def test_a_large_part_counts_though_it_is_only_seen() -> None:
    sink = Sink()
    box = make(sink, limit=1_000_000)
    box.put(Outgoing("iopub", [*outgoing("1").parts, memoryview(bytes(1_000_000))]))
    box.flush()
    assert box.size > 1_000_000
    box.put(outgoing("2"))
    sink.take()
    assert sink.batches == [["1"], ["notice: Output", "notice: 1"]]


def test_output_beyond_the_bound_is_left_out_and_told_where_and_how_much() -> None:
    sink = Sink()
    box = make(sink, limit=2 * SIZE)
    for text in "1234":
        box.put(outgoing(text))
    box.flush()
    sink.take()
    sink.take()
    assert sink.batches == [["1", "2", "notice: Output"], ["notice: 2"]]


def test_one_message_larger_than_the_bound_passes() -> None:
    sink = Sink()
    box = make(sink, limit=10)
    box.put(outgoing("large"))
    box.flush()
    assert sink.batches == [["large"]]


def test_what_a_client_cannot_do_without_is_kept_beyond_the_bound() -> None:
    sink = Sink()
    box = make(sink, limit=2 * SIZE)
    for message in (outgoing("1"), outgoing("2"), outgoing("3", channel="shell"), outgoing("4", msg_type="comm_msg")):
        box.put(message)
    box.flush()
    assert sink.batches == [["1", "2", "3", "4"]]


def test_at_twice_the_bound_the_client_is_given_up_once() -> None:
    sink = Sink()
    given_up: list[int] = []
    box = make(sink, limit=SIZE, given_up=lambda: given_up.append(1))
    for _ in range(5):
        box.put(outgoing("x", msg_type="status"))
    box.flush()
    assert given_up == [1]
    assert sink.batches == []


def test_closing_sends_what_waits_first() -> None:
    sink = Sink()
    box = make(sink)
    for text in "12":
        box.put(outgoing(text))
        box.flush()
    box.close(1012, "")
    assert sink.batches == [["1"], ["2"]]
    assert sink.closed == 1012


def test_what_was_not_handed_to_the_network_can_be_taken_back() -> None:
    sink = Sink()
    box = make(sink)
    for text in "123":
        box.put(outgoing(text))
        box.flush()
    assert [label(read_frame(message.frame(V1))) for message in box.unsent()] == ["2", "3"]
    assert box.unsent() == []


def test_a_closing_websocket_takes_nothing_and_nothing_is_lost() -> None:
    sink = Sink()
    sink.closing = True
    box = make(sink)
    box.put(outgoing("1"))
    box.flush()
    box.put(outgoing("2"))
    box.flush()
    assert len(box.unsent()) == 2


def test_nothing_is_sent_after_the_close() -> None:
    sink = Sink()
    box = make(sink)
    box.close(1012, "")
    box.put(outgoing("1"))
    box.flush()
    assert sink.batches == []


def test_a_message_is_framed_once_for_all_clients() -> None:
    message = outgoing("1")
    assert message.frame(V1) is message.frame(V1)
