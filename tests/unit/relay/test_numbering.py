from __future__ import annotations

import json

import pytest
from jupyter_client.session import Session

from enterprise_gateway.relay.numbering import LEAST, Numbering


def header(msg_id: str) -> bytes:
    return json.dumps({"msg_id": msg_id, "msg_type": "stream"}).encode()


def missed(*msg_ids: str) -> list[int]:
    numbering = Numbering()
    return [numbering.missed(header(msg_id)) for msg_id in msg_ids]


def test_the_ids_of_jupyter_client_are_read() -> None:
    session, numbering = Session(), Numbering()
    ids = [session.msg("stream")["header"]["msg_id"] for _ in range(100)]
    found = {msg_id: numbering.missed(header(msg_id)) for msg_id in (ids[0], ids[1], ids[99])}
    assert found == {ids[0]: 0, ids[1]: 0, ids[99]: 97}


def test_what_was_lost_is_counted_once() -> None:
    assert missed("s_7_1", "s_7_502", "s_7_503") == [0, 500, 0]


def test_the_few_that_went_over_other_channels_are_not_missing() -> None:
    assert missed("s_7_1", f"s_7_{LEAST + 1}", f"s_7_{2 * LEAST + 2}") == [0, 0, LEAST]


def test_threads_that_overtake_each_other_have_lost_nothing() -> None:
    assert missed("s_7_1", "s_7_4", "s_7_2", "s_7_3", "s_7_5") == [0] * 5


def test_another_process_numbers_anew() -> None:
    assert missed("s_7_1", "s_8_900", "s_7_2", "s_7_100") == [0, 0, 0, 97]


@pytest.mark.parametrize("strange", ["", "s_7_", "s_7_x", "9a7e2f", "_", 'a"b'])
def test_ids_that_are_made_otherwise_are_not_judged(strange: str) -> None:
    assert missed("s_7_1", strange, "s_7_900", strange, strange) == [0] * 5


@pytest.mark.parametrize("strange", [b"", b"{}", b"no JSON", b'{"msg_type": "stream", "msg_id": "s_7_9"}'])
def test_headers_that_are_written_otherwise_are_not_judged(strange: bytes) -> None:
    numbering = Numbering()
    assert [numbering.missed(part) for part in (strange, header("s_7_1"), strange, header("s_7_900"))] == [0] * 4
