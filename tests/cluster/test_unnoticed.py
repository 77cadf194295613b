"""What another replica does to a kernel is not overlooked by a replica that has yet to notice it.

These two never notice by themselves: there are no change streams, and looks come hourly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.httpclient import HTTPClientError

from tests.cluster import light_kernels
from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import SELDOM, Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually
from tests.replica_set import Standalone

pytestmark = pytest.mark.mongod


@pytest.fixture(scope="module")
def trio(mongod_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two replicas."""
    with (
        Standalone(mongod_binary, tmp_path_factory.mktemp("mongod")) as server,
        Cluster(server.uri, settings={**light_kernels.SETTINGS, **SELDOM}) as cluster,
    ):
        light_kernels.install(cluster)
        cluster.start(2)
        yield cluster


@pytest.fixture
async def kernel_id(rest: Rest) -> str:
    """A kernel of replica 0, to which no WebSocket has opened yet."""
    return await rest.start(on=0, name=LIGHT)


async def refused(rest: Rest, kernel_id: str, *, on: int) -> int:
    """How the opening of a WebSocket is refused."""
    with pytest.raises(HTTPClientError) as error:
        await rest.open(kernel_id, on=on)
    return error.value.code


async def test_a_kernel_that_was_ended_elsewhere_is_not_there(rest: Rest, kernel_id: str) -> None:
    await rest.delete(f"/api/kernels/{kernel_id}", on=1)
    assert await refused(rest, kernel_id, on=0) == 404
    await rest.delete(f"/api/kernels/{kernel_id}", on=0, expect=404)


async def test_a_kernel_that_was_restarted_elsewhere_is_ended_as_it_is_now(
    rest: Rest, trio: Cluster, kernel_id: str
) -> None:
    (former,) = trio.kernel_processes()
    await rest.post(f"/api/kernels/{kernel_id}/restart", on=1, expect=200)
    await rest.delete(f"/api/kernels/{kernel_id}", on=0)
    await eventually(lambda: not trio.kernel_processes(), f"what came after {former} has ended")
    await rest.get(f"/api/kernels/{kernel_id}", on=1, expect=404)


async def test_a_first_websocket_to_a_kernel_that_was_restarted_elsewhere_reaches_what_it_is_now(
    rest: Rest, kernel_id: str
) -> None:
    await rest.post(f"/api/kernels/{kernel_id}/restart", on=1, expect=200)
    async with await rest.open(kernel_id, on=0) as socket:
        await socket.execute("1")


async def test_a_session_that_was_elsewhere_first_goes_on_here(rest: Rest, kernel_id: str) -> None:
    async with await rest.open(kernel_id, on=1, session_id="one") as there:
        await there.execute("1")
    async with await rest.open(kernel_id, on=0, session_id="one") as here:
        await here.execute("2")


async def test_who_end_a_kernel_at_once_are_told_that_it_has_ended_or_that_it_is_gone(
    rest: Rest, kernel_id: str
) -> None:
    path = f"/api/kernels/{kernel_id}"
    answers = await asyncio.gather(*(rest.request("DELETE", path, on=on) for on in (0, 1, 0, 1)))
    assert {answer.status_code for answer in answers} == {204}, (
        "it lived when they asked, and is gone when they are told"
    )
    await rest.get(path, on=0, expect=404)
