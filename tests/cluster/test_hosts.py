"""A local kernel can be reached on its own host only: elsewhere the answer is 503, for nothing is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tornado.httpclient import HTTPError

from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually
from tests.requirements import own_mounts

pytestmark = pytest.mark.mounts

HERE, ELSEWHERE = 0, 1


@pytest.fixture(scope="module")
def pair(mongod_uri: str) -> Iterator[Cluster]:
    """A replica here and one that believes itself on another host."""
    with Cluster(mongod_uri) as cluster:
        cluster.start()
        cluster.start(prefix=own_mounts())  # another mount namespace is another host identity
        yield cluster


@pytest.fixture
async def rest(pair: Cluster) -> AsyncIterator[Rest]:
    async with Rest(pair.urls, pair.token) as client:
        yield client


@pytest.fixture
async def kernel_id(rest: Rest) -> AsyncIterator[str]:
    kernel_id = await rest.start(on=HERE)
    yield kernel_id
    await rest.request("DELETE", f"/api/kernels/{kernel_id}", on=HERE)


@pytest.mark.parametrize(("method", "path"), [("POST", "/interrupt"), ("POST", "/restart")])
async def test_what_must_reach_the_kernel_is_503_and_says_so(
    rest: Rest, kernel_id: str, method: str, path: str
) -> None:
    answer = await rest.request(method, f"/api/kernels/{kernel_id}{path}", on=ELSEWHERE, body={})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "host" in answer.json()["message"]
    assert await rest.run(kernel_id, "print(1)", on=HERE) == "1"


async def test_its_channels_are_503(rest: Rest, kernel_id: str) -> None:
    with pytest.raises(HTTPError) as refused:
        await rest.open(kernel_id, on=ELSEWHERE)
    assert refused.value.code == 503


async def test_it_is_never_404_and_is_listed_everywhere(rest: Rest, kernel_id: str) -> None:
    answer = await rest.request("GET", f"/api/kernels/{kernel_id}", on=ELSEWHERE)
    assert answer.status_code in (200, 503)
    assert kernel_id in await rest.listed(on=ELSEWHERE)


async def test_a_delete_elsewhere_is_done_by_its_host(rest: Rest, kernel_id: str, pair: Cluster) -> None:
    answer = await rest.request("DELETE", f"/api/kernels/{kernel_id}", on=ELSEWHERE)
    assert answer.status_code in (204, 503), answer.text
    await eventually(lambda: not pair.kernel_processes(kernel_id), "its own host has ended it")
    assert kernel_id not in await rest.listed(on=HERE)
