from __future__ import annotations

import json

from enterprise_gateway.relay.buffer import BufferBudget
from enterprise_gateway.relay.handover import Passed, digest
from enterprise_gateway.relay.mailbox import Mailbox
from enterprise_gateway.relay.outbox import Outgoing


class Outlet:
    """Takes what it is given when it is flushed, unless its network is slow."""

    def __init__(self, *, slow: bool = False) -> None:
        self.sent: list[str] = []
        self._slow = slow
        self._waiting: list[Outgoing] = []

    def put(self, message: Outgoing) -> None:
        self._waiting.append(message)

    def flush(self) -> None:
        if not self._slow:
            self.sent += texts(self._waiting)
            self._waiting = []

    spoken = False

    async def answers(self, seconds: float) -> bool:
        return True

    def unsent(self) -> list[Outgoing]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def close(self, code: int, reason: str) -> None:
        raise AssertionError("a mailbox closes nobody")


def passed(text: str) -> Passed:
    header = {"msg_type": "stream", "msg_id": text}
    return Passed("iopub", [json.dumps(part).encode() for part in (header, {}, {}, {"text": text})])


def texts(messages: list[Outgoing]) -> list[str]:
    return [json.loads(bytes(message.parts[3]))["text"] for message in messages]


def make(budget: BufferBudget | None = None) -> Mailbox:
    budget = budget or BufferBudget(10_000)
    return Mailbox(lambda: budget.buffer(limit_bytes=1_000), budget.release)


def tell(mailbox: Mailbox, texts: str) -> None:
    for text in texts:
        mailbox.put(Outgoing(*passed(text)))
    mailbox.flush()


def test_what_comes_before_the_first_websocket_is_kept_for_it() -> None:
    mailbox, outlet = make(), Outlet()
    tell(mailbox, "12")
    mailbox.add(outlet)
    tell(mailbox, "3")
    assert outlet.sent == ["1", "2", "3"]


def test_what_comes_while_there_is_none_is_kept_for_the_next() -> None:
    mailbox, first, second = make(), Outlet(), Outlet()
    mailbox.add(first)
    tell(mailbox, "1")
    mailbox.remove(first)
    tell(mailbox, "2")
    mailbox.add(second)
    tell(mailbox, "3")
    assert (first.sent, second.sent) == (["1"], ["2", "3"])


def test_what_a_websocket_did_not_send_goes_to_the_next_before_what_came_later() -> None:
    mailbox, first, second = make(), Outlet(slow=True), Outlet()
    mailbox.add(first)
    tell(mailbox, "12")
    mailbox.remove(first)
    mailbox.remove(first)
    tell(mailbox, "3")
    mailbox.add(second)
    assert second.sent == ["1", "2", "3"]


def test_of_two_websockets_both_get_what_comes_and_nothing_is_kept_while_one_is_there() -> None:
    mailbox, first, second, third = make(), Outlet(), Outlet(), Outlet()
    mailbox.add(first)
    tell(mailbox, "1")
    mailbox.add(second)
    tell(mailbox, "2")
    mailbox.remove(first)
    mailbox.remove(second)
    mailbox.add(third)
    assert (first.sent, second.sent, third.sent) == (["1", "2"], ["2"], [])


def test_what_the_former_connection_left_comes_before_ones_own() -> None:
    mailbox, outlet = make(), Outlet()
    mailbox.hold()
    tell(mailbox, "3")
    mailbox.add(outlet)
    tell(mailbox, "4")
    assert outlet.sent == []
    mailbox.replay([passed("1"), passed("2"), passed("3")])
    tell(mailbox, "5")
    assert outlet.sent == ["1", "2", "3", "4", "5"]


def test_it_is_kept_whole_where_the_client_has_gone_again_meanwhile() -> None:
    mailbox, first, second = make(), Outlet(), Outlet()
    mailbox.hold()
    mailbox.add(first)
    tell(mailbox, "2")
    mailbox.remove(first)
    mailbox.replay([passed("1")])
    tell(mailbox, "3")
    mailbox.add(second)
    assert (first.sent, second.sent) == ([], ["1", "2", "3"])


def test_what_the_former_connection_had_heard_is_left_out_when_it_comes_here_at_last() -> None:
    mailbox, outlet = make(), Outlet()
    mailbox.hold()
    mailbox.add(outlet)
    former = [digest(*passed("1"))]
    mailbox.replay([passed("2")], recent=former, delivered=former)
    tell(mailbox, "123")
    assert outlet.sent == ["2", "3"]


def test_a_replay_that_comes_twice_changes_nothing() -> None:
    mailbox, outlet = make(), Outlet()
    mailbox.hold()
    mailbox.add(outlet)
    mailbox.replay([passed("1")])
    mailbox.replay([passed("2")])
    assert outlet.sent == ["1"]


def test_who_takes_it_gets_what_was_kept_or_what_was_not_sent() -> None:
    away, slow, outlet = make(), make(), Outlet(slow=True)
    tell(away, "1")
    assert texts(away.take()) == ["1"]
    slow.add(outlet)
    tell(slow, "2")
    assert texts(slow.take()) == ["2"]


def test_a_closed_mailbox_costs_nothing() -> None:
    budget = BufferBudget(10_000)
    mailbox = make(budget)
    tell(mailbox, "1")
    assert budget.size > 0
    mailbox.close()
    tell(mailbox, "2")
    assert budget.size == 0
