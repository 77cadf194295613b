"""A start that is sent twice is made once; one that nobody waits for is withdrawn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

KEY = "Idempotency-Key"


async def both(rest: Rest, bodies: Iterable[Any], key: str | None = None) -> list[httpx.Response]:
    """Send starts at once, each to another replica."""
    headers = {KEY: key} if key else {}
    return await asyncio.gather(*(rest.request("POST", "/api/kernels", body=body, headers=headers) for body in bodies))


async def test_the_same_start_twice_at_once_with_a_key_makes_one_kernel(rest: Rest, trio: Cluster) -> None:
    answers = await both(rest, [{"name": LIGHT}] * 2, key=uuid4().hex)
    assert [answer.status_code for answer in answers] == [201, 201]
    ids = {answer.json()["id"] for answer in answers}
    assert len(ids) == 1
    assert {process.kernel_id for process in trio.kernel_processes()} == ids


@pytest.mark.parametrize("place", ["kernel_id", "env"])
async def test_the_same_start_twice_at_once_with_an_id_makes_one_kernel(rest: Rest, trio: Cluster, place: str) -> None:
    chosen = str(uuid4())
    named = {"kernel_id": chosen} if place == "kernel_id" else {"env": {"KERNEL_ID": chosen}}
    answers = await both(rest, [{"name": LIGHT, **named}] * 2)
    assert [(answer.status_code, answer.json()["id"]) for answer in answers] == [(201, chosen)] * 2
    assert len(trio.kernel_processes(chosen)) == 1
    assert [process.kernel_id for process in trio.kernel_processes()] == [chosen]


async def test_another_request_under_the_same_key_or_id_is_a_conflict(rest: Rest) -> None:
    chosen, key = str(uuid4()), uuid4().hex
    first = {"name": LIGHT, "kernel_id": chosen, "env": {"KERNEL_X": "1"}}
    await rest.expect(201, "POST", "/api/kernels", body=first)
    await rest.expect(201, "POST", "/api/kernels", body={"name": LIGHT}, headers={KEY: key})
    for other in ({"KERNEL_X": "2"}, {"KERNEL_X": "1", "KERNEL_USERNAME": "grace"}):
        await rest.expect(409, "POST", "/api/kernels", body={**first, "env": other})
    body = {"name": LIGHT, "env": {"KERNEL_X": "2"}}
    await rest.expect(409, "POST", "/api/kernels", body=body, headers={KEY: key})


async def test_a_key_is_each_users_own(rest: Rest) -> None:
    key = uuid4().hex
    answers = await both(rest, [{"name": LIGHT, "env": {"KERNEL_USERNAME": name}} for name in ("ada", "grace")], key)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json()["id"] for answer in answers}) == 2


async def test_an_ended_kernels_id_may_be_started_anew_but_its_key_may_not(rest: Rest) -> None:
    chosen, key = str(uuid4()), uuid4().hex
    await rest.start(name=LIGHT, kernel_id=chosen)
    await rest.run(chosen, "x = 1")
    await rest.delete(f"/api/kernels/{chosen}")
    assert await rest.start(name=LIGHT, kernel_id=chosen) == chosen
    assert await rest.run(chosen, "print('x' in globals())") == "False"
    once = await rest.expect(201, "POST", "/api/kernels", body={"name": LIGHT}, headers={KEY: key})
    await rest.delete(f"/api/kernels/{once.json()['id']}")
    await rest.expect(409, "POST", "/api/kernels", body={"name": LIGHT}, headers={KEY: key})


async def start_and_hang_up(rest: Rest, trio: Cluster, user: str, **fields: str) -> None:
    """Send a start, and close the connection as soon as its record is there."""
    body = json.dumps({"name": LIGHT, "env": {"KERNEL_USERNAME": user}, **fields})
    url = urlsplit(rest.urls[0])
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    head = f"POST /api/kernels HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: token {rest.token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    await eventually(lambda: records_of(trio, user), "the start is recorded")
    writer.close()
    await writer.wait_closed()


def records_of(trio: Cluster, user: str) -> list[dict[str, Any]]:
    return [document for document in trio.documents("kernels") if document["username"] == user]


async def test_a_client_that_goes_before_the_answer_withdraws_its_start(rest: Rest, trio: Cluster) -> None:
    user = f"gone-{uuid4().hex}"
    await start_and_hang_up(rest, trio, user)
    await eventually(lambda: records_of(trio, user)[0]["phase"] == "ended", "the start is withdrawn")
    assert not await rest.listed()
    assert not trio.kernel_processes()


async def test_a_start_with_an_id_goes_on_without_its_client(rest: Rest, trio: Cluster) -> None:
    user, chosen = f"back-{uuid4().hex}", str(uuid4())
    await start_and_hang_up(rest, trio, user, kernel_id=chosen)
    await eventually(lambda: records_of(trio, user)[0]["phase"] == "running", "the kernel runs")
    assert await rest.run(chosen, "print(1)") == "1"
