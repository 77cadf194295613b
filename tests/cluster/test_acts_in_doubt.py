"""One replica loses the database at the first step of an act, and says 503; its client goes on by another replica.

What was not made by then is never made: the client may have done something else since.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.cluster import light_kernels
from tests.cluster.light_kernels import LIGHT
from tests.cluster.outages import Database
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.test_acts_in_an_outage import LAUNCH, RESTART, STOP
from tests.cluster.waiting import eventually
from tests.mongo_proxy import Fate, Wanted

CUT_OFF, OTHER = 0, 1


@pytest.fixture(scope="module")
def trio(database: Database) -> Iterator[Cluster]:
    """Two replicas, the first of which reaches the database through the proxy."""
    with Cluster(database.server.uri, settings={**light_kernels.SETTINGS, "EG_OPERATION_TIMEOUT": "1.5"}) as cluster:
        light_kernels.install(cluster)
        cluster.start(1, settings={"EG_MONGODB_URI": database.proxy.uri})
        cluster.start(1)
        yield cluster


@pytest.fixture
async def rest(trio: Cluster, database: Database) -> AsyncIterator[Rest]:
    """A client; afterwards no kernel is left."""
    async with Rest(trio.urls, trio.token) as client:
        yield client
        database.proxy.pass_on()
        for kernel_id in await client.listed(on=OTHER):
            await client.delete(f"/api/kernels/{kernel_id}", on=OTHER)


def body_of(kernel_id: str) -> dict[str, Any]:
    return {"name": LIGHT, "kernel_id": kernel_id}


async def refused(rest: Rest, database: Database, step: Wanted, method: str, path: str, **options: Any) -> None:
    """Ask the replica whose write is lost, and everything that it says from then on."""
    database.proxy.swallow_at(step, Fate.LOST)
    await rest.expect(503, method, path, on=CUT_OFF, **options)


async def is_back(trio: Cluster, database: Database, kernel_id: str) -> None:
    """Let it have its database back; return when it has given up what was in doubt."""
    database.proxy.pass_on()
    given_up = f"kernel {kernel_id}: the write was not made"
    await eventually(lambda: given_up in trio.replicas[CUT_OFF].log, "it has given up")


@pytest.mark.parametrize("anew", [True, False])
async def test_a_shutdown_ends_nothing_that_was_started_since(
    rest: Rest, trio: Cluster, database: Database, anew: bool
) -> None:
    kernel_id = await rest.start(on=OTHER, **body_of(str(uuid4())))
    kernel = f"/api/kernels/{kernel_id}"
    await refused(rest, database, STOP["claim stop"], "DELETE", kernel)
    if anew:
        await rest.delete(kernel, on=OTHER)
        await rest.start(on=OTHER, **body_of(kernel_id))
    else:
        await rest.post(f"{kernel}/restart", on=OTHER, expect=200)
    await rest.run(kernel_id, "x = 1", on=OTHER)
    await is_back(trio, database, kernel_id)
    assert await rest.run(kernel_id, "print(x)", on=OTHER) == "1"


@pytest.mark.parametrize("started", [True, False])
async def test_a_start_brings_nothing_back_that_was_deleted_since(
    rest: Rest, trio: Cluster, database: Database, started: bool
) -> None:
    body = body_of(str(uuid4()))
    kernel = f"/api/kernels/{body['kernel_id']}"
    await refused(rest, database, LAUNCH["insert"], "POST", "/api/kernels", body=body)
    if started:
        await rest.start(on=OTHER, **body)
    await rest.delete(kernel, on=OTHER, expect=204 if started else 404)
    await is_back(trio, database, body["kernel_id"])
    await rest.get(kernel, on=OTHER, expect=404)
    assert not trio.kernel_processes()


async def test_a_restart_loses_nothing_that_was_made_since(rest: Rest, trio: Cluster, database: Database) -> None:
    kernel_id = await rest.start(on=OTHER, **body_of(str(uuid4())))
    await refused(rest, database, RESTART["claim restart"], "POST", f"/api/kernels/{kernel_id}/restart")
    await rest.run(kernel_id, "x = 1", on=OTHER)
    await is_back(trio, database, kernel_id)
    assert await rest.run(kernel_id, "print(x)", on=OTHER) == "1"
