from __future__ import annotations

import json
from typing import Any

import pytest

from enterprise_gateway.relay.interfaces import KernelStatus
from enterprise_gateway.relay.messages import OWN_PREFIX
from enterprise_gateway.relay.status_reader import REMEMBERED, StatusReader


def parts(msg_type: str, content: Any, *, parent: Any = None) -> list[bytes]:
    return [json.dumps(part).encode() for part in ({"msg_type": msg_type}, parent or {}, {}, content)]


def status_of(reader: StatusReader, msg_id: str) -> KernelStatus:
    found = reader.read(
        parts("status", {"execution_state": "busy"}, parent={"msg_id": msg_id, "msg_type": "x_request"})
    )
    assert isinstance(found, KernelStatus)
    return found


def test_a_status_is_read_with_its_request() -> None:
    assert status_of(StatusReader(), "1") == KernelStatus(
        execution_state="busy", parent_id="1", parent_type="x_request", own=False, control=False
    )


def test_a_status_without_a_request_is_read() -> None:
    found = StatusReader().read(parts("status", {"execution_state": "starting"}))
    assert isinstance(found, KernelStatus)
    assert (found.execution_state, found.parent_id) == ("starting", "")


def test_a_request_of_any_gateway_is_recognised() -> None:
    assert status_of(StatusReader(), OWN_PREFIX + "1").own


def test_a_request_that_went_over_control_is_recognised() -> None:
    reader = StatusReader()
    reader.sent_on_control("1")
    assert status_of(reader, "1").control
    assert not status_of(reader, "2").control


def test_only_the_latest_requests_on_control_are_remembered() -> None:
    reader = StatusReader()
    for number in range(REMEMBERED + 1):
        reader.sent_on_control(str(number))
    assert not status_of(reader, "0").control
    assert status_of(reader, "1").control


def test_a_welcome_is_recognised() -> None:
    assert StatusReader().read(parts("iopub_welcome", {"subscription": ""})) == "welcome"


@pytest.mark.parametrize(
    "message",
    [
        parts("stream", {"text": "status"}),
        parts("stream", {"text": '"status"'}),
        [b'{"username": "status", "msg_type": "stream"}', b"{}", b"{}", b"{}"],
        [b'"status"', b"{}", b"{}", b"{}"],
        [b'{"msg_type": "status"', b"{}", b"{}", b"{}"],
    ],
)
def test_everything_else_is_nothing_to_the_gateway(message: list[bytes]) -> None:
    assert StatusReader().read(message) is None


@pytest.mark.parametrize("part", [b"", b"null", b"[]", b"{", b'{"msg_id": 7, "execution_state": 7}'])
def test_a_status_with_broken_parts_is_read_as_far_as_it_goes(part: bytes) -> None:
    assert isinstance(StatusReader().read([b'{"msg_type": "status"}', part, b"{}", part]), KernelStatus)
