from __future__ import annotations

from enterprise_gateway.relay.codec import ClientMessage
from enterprise_gateway.relay.open_requests import OpenRequest, OpenRequests


def message(msg_id: str, msg_type: str = "execute_request", channel: str = "shell") -> ClientMessage:
    return ClientMessage(channel, msg_id, msg_type, [b"header of " + msg_id.encode(), b"{}", b"{}", b"{}"])


def test_what_was_not_answered_is_drained_in_order() -> None:
    requests = OpenRequests(10)
    for msg_id in "abc":
        requests.add(message(msg_id))
    assert requests.answered("b") is not None
    assert [request.header for request in requests.drain()] == [b"header of a", b"header of c"]
    assert len(requests) == 0


def test_only_requests_wait_for_an_answer() -> None:
    requests = OpenRequests(10)
    requests.add(message("a", "comm_msg"))
    requests.add(message("b", "input_reply"))
    assert len(requests) == 0


def test_beyond_the_limit_the_oldest_is_forgotten() -> None:
    requests = OpenRequests(2)
    for msg_id in "abc":
        requests.add(message(msg_id))
    assert requests.answered("a") is None
    assert len(requests) == 2


def test_requests_of_a_former_connection_are_answered_and_drained_like_others() -> None:
    requests = OpenRequests(10)
    requests.inherit([OpenRequest("shell", "execute_request", b'{"msg_id": "%d"}' % number) for number in range(2)])
    requests.add(message("a"))
    assert requests.answered("0") is not None
    assert [request.header for request in requests.drain()] == [b'{"msg_id": "1"}', b"header of a"]


def test_an_answer_to_nothing_known_is_none() -> None:
    assert OpenRequests(2).answered("a") is None
