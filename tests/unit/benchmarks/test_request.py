from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.clients.channels import Received, Request
from benchmarks.figures.relay import drain


class Script:
    """Channels that say what the test wants said, as answers to the request or to another."""

    def __init__(self, *said: tuple[str, dict[str, Any]], parent: str | None = None) -> None:
        self._said = list(said)
        self._parent = parent
        self._request = ""

    def send(self, header: dict[str, Any], content: dict[str, Any]) -> None:
        self._request = self._parent or header["msg_id"]

    def receive(self, seconds: float) -> Received:
        if not self._said:
            raise TimeoutError
        kind, content = self._said.pop(0)
        message = {"header": {"msg_type": kind}, "parent_header": {"msg_id": self._request}, "content": content}
        head = json.dumps(message).encode()
        return Received(head, len(head))

    def close(self) -> None:
        pass


BUSY, IDLE = ("status", {"execution_state": "busy"}), ("status", {"execution_state": "idle"})
REPLY, OUTPUT = ("execute_reply", {"status": "ok"}), ("stream", {"text": "idle"})


@pytest.mark.parametrize("end", [(REPLY, IDLE), (IDLE, REPLY)])
def test_it_is_over_with_its_reply_and_its_idle_in_any_order(end: tuple[Any, Any]) -> None:
    request = Request(Script(BUSY, *end), "pass").finish()
    assert request.replied
    assert request.idle


def test_output_is_counted_until_the_end() -> None:
    got = drain(Script(BUSY, OUTPUT, OUTPUT, REPLY, OUTPUT, IDLE), "pass", b"stream")
    assert got.count == 3
    assert got.idle


def test_an_idle_that_is_lost_is_noticed() -> None:
    assert not drain(Script(BUSY, OUTPUT, REPLY), "pass", b"stream").idle


def test_without_a_reply_it_is_a_failure() -> None:
    with pytest.raises(TimeoutError):
        Request(Script(BUSY, OUTPUT), "pass").finish()


def test_the_end_of_another_request_is_not_its_own() -> None:
    with pytest.raises(TimeoutError):
        Request(Script(REPLY, IDLE, parent="another"), "pass").finish()


def test_a_cell_that_raises_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="NameError"):
        Request(Script(("execute_reply", {"status": "error", "ename": "NameError"})), "nope").finish()
