"""Whatever a client sends: never a 5xx, and always an answer that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.handlers.bodies import parse_json, session_changes, session_request, start_request
from tests.unit.handlers.server import KERNEL_ID, OTHER_ID, serving

# Lone surrogates too: JSON can carry them as \ud800.
TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
IDS = st.sampled_from([KERNEL_ID, OTHER_ID.upper(), "", "x", "../.."]) | ANYTHING
ENV = st.dictionaries(st.sampled_from(["KERNEL_ID", "KERNEL_USERNAME", "A=B", ""]) | TEXT, IDS | TEXT, max_size=4)
KERNEL = st.fixed_dictionaries({}, optional={"name": TEXT | ANYTHING, "id": IDS, "env": ENV | ANYTHING})
KERNEL_BODIES = ANYTHING | st.fixed_dictionaries(
    {}, optional={"name": TEXT | ANYTHING, "path": TEXT | ANYTHING, "kernel_id": IDS, "env": ENV | ANYTHING}
)
SESSION_BODIES = ANYTHING | st.fixed_dictionaries(
    {},
    optional={
        "path": TEXT | ANYTHING,
        "type": TEXT | ANYTHING,
        "name": TEXT | ANYTHING,
        "kernel": KERNEL | ANYTHING,
        "notebook": st.fixed_dictionaries({}, optional={"path": ANYTHING, "name": TEXT}) | ANYTHING,
    },
)
BYTES = st.binary(max_size=200) | (KERNEL_BODIES | SESSION_BODIES).map(lambda body: json.dumps(body).encode())
KEYS = st.none() | st.text(max_size=10)


def check(read: Any, raw: bytes, key: str | None) -> None:
    """A body is read, or refused with 400 in words that any answer can carry."""
    refusal = refusal_of(lambda: read(parse_json(raw), process_user="alice", idempotency_key=key))
    if refusal is not None:
        assert refusal.status == 400
        assert refusal.message
        assert refusal.message.encode()


def refusal_of(call: Callable[[], Any]) -> GatewayError | None:
    try:
        call()
    except GatewayError as error:
        return error
    return None


@settings(max_examples=150, deadline=None)
@given(raw=BYTES, key=KEYS)
@pytest.mark.parametrize("read", [start_request, session_request, session_changes])
def test_any_body_is_read_or_refused(read: Any, raw: bytes, key: str | None) -> None:
    check(read, raw, key)


@settings(max_examples=200, deadline=None)
@given(body=KERNEL_BODIES)
def test_what_is_read_of_a_kernels_body_can_be_stored_and_run(body: Any) -> None:
    try:
        request = start_request(parse_json(json.dumps(body).encode()), process_user="alice", idempotency_key=None)
    except GatewayError:
        return
    for text in (request.name, request.path, request.username, request.kernel_id, *request.env, *request.env.values()):
        assert text is None or "\0" not in text.encode().decode()


CASES = [("POST", "/api/kernels"), ("POST", "/api/sessions"), ("PATCH", f"/api/sessions/{OTHER_ID}")]


async def test_no_body_gets_a_5xx_over_http() -> None:
    bodies = [raw for raw, _ in examples()]
    async with serving(max_body_bytes=1000) as server:
        for method, path in CASES:
            for raw in bodies:
                response = await server.ask(method, path, raw=raw)
                assert response.code in {200, 201, 400, 413}, raw
                json.loads(response.body)


def examples() -> list[tuple[bytes, None]]:
    """Return some bodies of each kind. Hypothesis can't drive coroutines, so they are collected first."""
    collected: list[tuple[bytes, None]] = []

    @settings(max_examples=80, deadline=None, database=None)
    @given(raw=BYTES | st.binary(min_size=900, max_size=1500))
    def collect(raw: bytes) -> None:
        collected.append((raw, None))

    collect()
    return collected
