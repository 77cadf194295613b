from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)

from enterprise_gateway.relay.codec import (
    JUPYTER_SERVER,
    LEGACY,
    V1,
    V1_SUBPROTOCOL,
    Framing,
    MalformedFrame,
    choose,
    valid_utf8,
)
from enterprise_gateway.relay.interfaces import Frame

channels = st.sampled_from(["shell", "control", "stdin", "iopub"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), json_values, max_size=4)
headers = st.fixed_dictionaries({"msg_id": st.text(min_size=1), "msg_type": st.text(min_size=1), "n": json_values})
buffers = st.lists(st.binary(max_size=40), max_size=3)
messages = st.fixed_dictionaries(
    {"header": headers, "parent_header": objects, "metadata": objects, "content": objects, "buffers": buffers}
)
NAMES = ("header", "parent_header", "metadata", "content")


def parts_of(message: dict[str, Any], *, ensure_ascii: bool = True) -> list[bytes]:
    fields = [json.dumps(message[name], ensure_ascii=ensure_ascii) for name in NAMES]
    return [*(field.encode("utf-8", "surrogatepass") for field in fields), *message["buffers"]]


def client_frame(framing: Framing, frame: Frame) -> str | bytes:
    return frame.payload if frame.binary else frame.payload.decode()


@given(channels, messages)
def test_v1_is_what_jupyter_server_reads(channel: str, message: dict[str, Any]) -> None:
    frame = V1.encode(channel, parts_of(message))
    assert frame.binary
    assert deserialize_msg_from_ws_v1(frame.payload) == (channel, parts_of(message))


@given(channels, messages)
def test_v1_reads_what_jupyter_server_writes(channel: str, message: dict[str, Any]) -> None:
    read = V1.decode(serialize_msg_to_ws_v1(parts_of(message), channel))
    assert (read.channel, read.parts) == (channel, parts_of(message))
    assert (read.msg_id, read.msg_type) == (message["header"]["msg_id"], message["header"]["msg_type"])


@given(channels, messages)
def test_legacy_is_what_jupyter_server_reads(channel: str, message: dict[str, Any]) -> None:
    frame = LEGACY.encode(channel, parts_of(message))
    read = deserialize_binary_message(frame.payload) if frame.binary else json.loads(frame.payload)
    assert frame.binary == bool(message["buffers"])
    assert {name: read[name] for name in (*NAMES, "buffers")} == message
    assert (read["channel"], read["msg_id"]) == (channel, message["header"]["msg_id"])
    assert read["msg_type"] == message["header"]["msg_type"]


@given(channels, messages)
def test_legacy_reads_what_jupyter_server_writes(channel: str, message: dict[str, Any]) -> None:
    sent = {**message, "channel": channel}
    binary = serialize_binary_message(sent) if message["buffers"] else None
    read = LEGACY.decode(binary if binary is not None else json.dumps(sent))
    assert [json.loads(part) for part in read.parts[:4]] == [message[name] for name in NAMES]
    assert (read.channel, read.parts[4:]) == (channel, message["buffers"])


@pytest.mark.parametrize("framing", [V1, LEGACY])
@given(channel=channels, message=messages)
def test_what_is_framed_reads_back(framing: Framing, channel: str, message: dict[str, Any]) -> None:
    frame = framing.encode(channel, parts_of(message))
    read = framing.decode(client_frame(framing, frame))
    assert (read.channel, read.parts) == (channel, parts_of(message))


@given(messages)
def test_a_legacy_text_frame_is_always_utf8(message: dict[str, Any]) -> None:
    message["buffers"] = []
    frame = LEGACY.encode("iopub", parts_of(message, ensure_ascii=False))
    frame.payload.decode()


@pytest.mark.parametrize("framing", [V1, LEGACY])
@given(junk=st.text() | st.binary() | objects.map(json.dumps) | st.binary().map(lambda tail: b"\0\0\0\2" + tail))
def test_junk_is_malformed_and_nothing_worse(framing: Framing, junk: str | bytes) -> None:
    with pytest.raises(MalformedFrame):
        framing.decode(junk)


@given(messages, st.data())
def test_a_spoilt_v1_frame_is_malformed_or_read(message: dict[str, Any], data: st.DataObject) -> None:
    frame = bytearray(V1.encode("shell", parts_of(message)).payload)
    position = data.draw(st.integers(0, len(frame) - 1))
    frame[position] = data.draw(st.integers(0, 255))
    try:
        V1.decode(bytes(frame))
    except MalformedFrame:
        return


def v1_with_offsets(offsets: list[int], body: bytes = b"shell{}{}{}{}") -> bytes:
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + body


@pytest.mark.parametrize(
    ("offsets", "problem"),
    [
        ([56, 61, 63, 65, 67, 70], "wrong offsets"),
        ([56, 61, 60, 65, 67, 69], "wrong offsets"),
        ([0, 61, 63, 65, 67, 69], "wrong offsets"),
        ([40, 45, 47, 49], "fewer than four parts"),
    ],
)
def test_offsets_must_point_into_the_message_in_order(offsets: list[int], problem: str) -> None:
    with pytest.raises(MalformedFrame, match=problem) as caught:
        V1.decode(v1_with_offsets(offsets))
    assert caught.value.close_code == 1007


def test_a_text_frame_on_v1_is_unsupported_data() -> None:
    with pytest.raises(MalformedFrame) as caught:
        V1.decode("{}")
    assert caught.value.close_code == 1003


@pytest.mark.parametrize("header", [None, [], {}, {"msg_id": "1"}, {"msg_id": 1, "msg_type": "x"}, {"msg_type": "x"}])
def test_a_message_without_a_whole_header_is_only_ignored(header: Any) -> None:
    with pytest.raises(MalformedFrame) as caught:
        LEGACY.decode(json.dumps({"header": header, "channel": "shell"}))
    assert caught.value.close_code is None


def test_json_nested_too_deep_is_malformed() -> None:
    with pytest.raises(MalformedFrame):
        LEGACY.decode("[" * 100_000)


def test_a_binary_frame_that_jupyter_server_passed_on_as_text_is_read() -> None:
    sent = {"header": {"msg_id": "1", "msg_type": "comm_msg"}, "parent_header": {}, "metadata": {}, "channel": "shell"}
    content = {"pad": "x" * 150}  # so that the offsets happen to be UTF-8
    frame = serialize_binary_message({**sent, "content": content, "buffers": [b"abc"]})
    assert JUPYTER_SERVER.decode(frame.decode()).parts[4:] == [b"abc"]


def test_a_lone_surrogate_reaches_the_kernel_as_it_was_spelt() -> None:
    text = '{"header": {"msg_id": "1", "msg_type": "execute_request"}, "content": {"code": "\\ud800"}}'
    assert LEGACY.decode(text).parts[3] == b'{"code": "\\ud800"}'


def test_a_legacy_message_without_a_channel_goes_to_shell() -> None:
    read = LEGACY.decode('{"header": {"msg_id": "1", "msg_type": "execute_request"}}')
    assert (read.channel, read.parts[1:]) == ("shell", [b"{}", b"{}", b"{}"])


def test_a_message_of_a_kernel_without_a_readable_header_is_framed_all_the_same() -> None:
    frame = V1.encode("iopub", [b"\xff", b"{}", b"{}", b"{}"])
    assert deserialize_msg_from_ws_v1(frame.payload)[1][0] == b"\xff"


def test_broken_utf8_of_a_kernel_is_replaced_in_a_text_frame() -> None:
    assert valid_utf8(b"caf\xe9") == "caf�".encode()
    assert valid_utf8("café".encode()) == "café".encode()


def output(text: str, *more: bytes) -> list[bytes]:
    header = {"msg_id": "1", "msg_type": "display_data"}
    return [json.dumps(part).encode() for part in (header, {"msg_id": "0"}, {}, {"data": text})] + list(more)


def test_jupyter_server_gets_a_notice_for_a_message_with_buffers() -> None:
    frame = JUPYTER_SERVER.encode("iopub", output("x", b"\xff\xfe"))
    told = json.loads(frame.payload)
    assert not frame.binary
    assert (told["msg_type"], told["content"]["name"]) == ("stream", "stderr")
    assert "display_data" in told["content"]["text"]
    assert told["parent_header"] == {"msg_id": "0"}


def test_jupyter_server_gets_a_notice_for_a_message_over_its_limit() -> None:
    limit = JUPYTER_SERVER.MAX_BYTES
    frame = JUPYTER_SERVER.encode("iopub", output("x" * limit))
    assert str(limit) in json.loads(frame.payload)["content"]["text"]
    assert len(JUPYTER_SERVER.encode("iopub", output("x" * (limit - 1_000))).payload) > limit - 1_000


def test_a_reply_that_jupyter_server_cannot_read_becomes_an_error_and_not_silence() -> None:
    header = {"msg_id": "1", "msg_type": "execute_reply"}
    parts = [json.dumps(part).encode() for part in (header, {"msg_id": "0"}, {}, {"x": "x" * JUPYTER_SERVER.MAX_BYTES})]
    told = json.loads(JUPYTER_SERVER.encode("shell", parts).payload)
    assert (told["msg_type"], told["content"]["status"], told["channel"]) == ("execute_reply", "error", "shell")


@pytest.mark.parametrize(
    ("subprotocol", "agent", "framing"),
    [
        (V1_SUBPROTOCOL, None, V1),
        (None, None, JUPYTER_SERVER),
        (None, "Tornado/6.5", JUPYTER_SERVER),
        (None, "Mozilla/5.0", LEGACY),
    ],
)
def test_the_framing_follows_from_the_handshake(subprotocol: str | None, agent: str | None, framing: Framing) -> None:
    assert choose(subprotocol, agent) is framing
