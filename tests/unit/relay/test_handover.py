from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enterprise_gateway.relay.handover import Handover, MalformedHandover, Passed, digest, merge, pack, unpack, weave
from enterprise_gateway.relay.open_requests import OpenRequest
from enterprise_gateway.relay.outbox import Outgoing

PARTS = st.lists(st.binary(max_size=20), min_size=4, max_size=6)
CHANNELS = st.sampled_from(["iopub", "shell", "stdin", "control"])
HANDOVERS = st.builds(
    Handover,
    messages=st.lists(st.builds(Passed, CHANNELS, PARTS), max_size=5),
    requests=st.lists(st.builds(OpenRequest, CHANNELS, st.text(max_size=5), st.binary(max_size=20)), max_size=3),
    generation=st.none() | st.integers(1, 10),
    recent=st.dictionaries(st.binary(min_size=1, max_size=5), st.floats(0, 10), max_size=3),
)


@given(HANDOVERS)
def test_what_was_packed_comes_back(handover: Handover) -> None:
    assert unpack(pack(handover)) == handover


@given(HANDOVERS, st.data())
def test_no_bytes_break_the_reading(handover: Handover, data: st.DataObject) -> None:
    packed = pack(handover)
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))] + data.draw(st.binary(max_size=10))
    try:
        unpack(cut)
    except MalformedHandover:
        return


@pytest.mark.parametrize(
    "head",
    [
        b"[]",
        b"{}",
        b'{"messages": [], "requests": [], "sizes": [-1], "recent": [], "generation": 1}',
    ],
)
def test_a_head_that_says_nonsense_is_refused(head: bytes) -> None:
    with pytest.raises(MalformedHandover):
        unpack(len(head).to_bytes(4, "big") + head)


def test_messages_are_told_apart_by_channel_and_header() -> None:
    variants = [("shell", [b"a", b"c"]), ("iopub", [b"a", b"c"]), ("iopub", [b"b", b"c"])]
    assert len({digest(channel, parts) for channel, parts in variants}) == len(variants)


def passed(number: int) -> Passed:
    return Passed("iopub", [b"header %d" % number, b"{}", b"{}", b"%d" % number])


def numbers(messages: list[Outgoing]) -> list[int]:
    return [int(message.parts[3]) for message in messages]


@pytest.mark.parametrize(
    ("fetched", "own", "expected"),
    [
        ([1, 2], [3, 4], [1, 2, 3, 4]),
        ([1, 2, 3], [3, 4], [1, 2, 3, 4]),
        ([1, 2, 3], [2, 3, 4], [1, 2, 3, 4]),
        ([], [1], [1]),
        ([1], [], [1]),
        ([1, 2], [1, 2], [1, 2]),
        ([1, 2, 3], [2], [1, 2, 3]),
    ],
)
def test_what_both_have_heard_comes_once(fetched: list[int], own: list[int], expected: list[int]) -> None:
    assert numbers(merge([passed(n) for n in fetched], [Outgoing(*passed(n)) for n in own])) == expected


def test_what_the_client_has_got_there_does_not_come_again_however_late_it_was_heard_here() -> None:
    own = [Outgoing(*passed(n)) for n in (1, 2, 3, 4)]
    recent = [digest(*passed(number)) for number in (0, 1, 2, 3)]
    merged = merge([passed(2), passed(3)], own, recent=recent, delivered=recent)
    assert numbers(merged) == [2, 3, 4]


def test_what_went_to_a_websocket_that_was_gone_already_stands_in_its_place_where_it_was_heard_here() -> None:
    own = [Outgoing(*passed(n)) for n in (2, 3)]
    recent = [digest(*passed(number)) for number in (1, 2, 3, 4)]
    merged = merge([passed(1), passed(4)], own, recent=recent, delivered=recent[:1])
    assert numbers(merged) == [1, 2, 3, 4]


SOME = st.lists(st.booleans(), min_size=20, max_size=20)


@given(SOME, SOME)
def test_two_parts_of_a_stream_are_woven_in_its_order_wherever_both_tell_it(
    first: list[bool], second: list[bool]
) -> None:
    one, other = ([b"%02d" % n for n in range(20) if has[n]] for has in (first, second))
    woven = weave(one, other)
    assert sorted(woven) == sorted({*one, *other})
    for part in (one, other):
        assert [name for name in woven if name in part] == part


@given(st.lists(st.integers(0, 20), min_size=4, max_size=4).map(sorted), st.integers(0, 20))
def test_of_two_stretches_each_message_comes_once_and_in_order_whoever_hears_later(
    moments: list[int], late: int
) -> None:
    gone, joined, ended, last = moments  # the client left; the heir began to hear; the former was ended; now
    fetched, own = range(gone, ended), range(joined, min(late, last) if late > joined else joined)
    merged = merge([passed(n) for n in fetched], [Outgoing(*passed(n)) for n in own])
    assert numbers(merged) == sorted({*fetched, *own})
