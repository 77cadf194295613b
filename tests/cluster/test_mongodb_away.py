"""MongoDB is away, in every way that it can be: what goes on, what is refused, and that all comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import product
from uuid import uuid4

import pytest
from tornado.httpclient import HTTPError

from tests.cluster.cells import ENDLESS
from tests.cluster.kernel_socket import Closed
from tests.cluster.light_kernels import LIGHT
from tests.cluster.outages import KINDS, Database, Outage, behind_a_proxy, known_away, known_back
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

HELD_ON = (0, 1)


@pytest.fixture(scope="module")
def trio(database: Database) -> Iterator[Cluster]:
    with behind_a_proxy(database) as cluster:
        cluster.start(3)
        yield cluster


@pytest.fixture
async def kernel_id(rest: Rest, request: pytest.FixtureRequest) -> str:
    """A light kernel, or of the kind that is asked for, which replicas 0 (its owner) and 1 hold, and 2 has not met."""
    kernel_id = await rest.start(on=0, name=getattr(request, "param", LIGHT))
    for number in HELD_ON:
        await rest.run(kernel_id, "import time", on=number)
    return kernel_id


@pytest.fixture(params=KINDS)
def outage(request: pytest.FixtureRequest, database: Database) -> Outage:
    way: Outage = getattr(database, request.param)
    return way


async def test_what_needs_it_is_503_and_never_404_nor_a_list_that_lacks_something(
    rest: Rest, kernel_id: str, outage: Outage
) -> None:
    requests = [
        *(("GET", path) for path in ("kernels", "sessions", f"kernels/{kernel_id}", f"kernels/{uuid4()}")),
        *(("POST", path) for path in ("kernels", f"kernels/{kernel_id}/restart", f"kernels/{uuid4()}/interrupt")),
        ("DELETE", f"kernels/{kernel_id}"),
    ]
    with outage():
        await known_away(rest)
        for (method, path), on in product(requests, range(3)):
            answer = await rest.request(method, f"/api/{path}", on=on)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2"), (method, path)
            assert "database" in answer.json()["message"]
        for on in range(3):
            await rest.get("/healthz", on=on)
            with pytest.raises(HTTPError, match="503"):
                await rest.open(str(uuid4()), on=on)
    await known_back(rest)
    assert await rest.listed() == {kernel_id}


@pytest.mark.parametrize("kernel_id", ["python3"], indirect=True)
async def test_kernels_that_a_replica_holds_run_open_and_interrupt(rest: Rest, kernel_id: str, outage: Outage) -> None:
    async with await rest.open(kernel_id, on=0) as before:
        with outage():
            await known_away(rest)
            assert (await before.execute("print(1)")).printed() == "1"
            for on in HELD_ON:
                async with await rest.open(kernel_id, on=on) as opened:
                    assert (await opened.execute("print(2)")).printed() == "2"
                    msg_id = await opened.begin(ENDLESS)
                    await opened.until(lambda message: message.type == "stream")
                    await rest.post(f"/api/kernels/{kernel_id}/interrupt", on=on, expect=204)
                    assert (await opened.finish(msg_id)).reply["ename"] == "KeyboardInterrupt"
        await known_back(rest)
        assert (await before.execute("print(3)")).printed() == "3"


async def test_activity_and_connections_are_written_when_it_is_back(
    rest: Rest, trio: Cluster, kernel_id: str, outage: Outage
) -> None:
    gone = await rest.open(kernel_id, on=0)
    async with await rest.open(kernel_id, on=1):
        with outage():
            await known_away(rest)
            async with await rest.open(kernel_id, on=0) as last:
                used = float((await last.execute("print(time.time())")).printed())
                await gone.close()
                async with await rest.open(kernel_id, on=0):
                    pass
        await known_back(rest)
        # Tests, kernels and mongod have one clock here.
        await eventually(lambda: last_activity(trio, kernel_id) >= used, "the activity is written")
        await eventually(lambda: open_connections(trio, kernel_id) == [0, 1], "the connections are written")
    await eventually(lambda: open_connections(trio, kernel_id) == [0, 0], "the last end is written")


async def test_a_replica_that_is_told_to_stop_meanwhile_leaves_its_kernels_to_the_others(
    rest: Rest, trio: Cluster, database: Database
) -> None:
    (leaving,) = trio.start()
    async with Rest([leaving.url], trio.token) as there:
        kernel_id = await there.start(name=LIGHT)
        async with await there.open(kernel_id) as opened:
            await opened.execute("x = 7")
            with database.silent():
                await known_away(there)
                assert leaving.stop() == 0
                with pytest.raises(Closed) as closed:
                    await opened.until(lambda message: False)
                assert closed.value.code == 1012
            await known_back(rest)
    assert await rest.run(kernel_id, "print(x)") == "7"


def last_activity(trio: Cluster, kernel_id: str) -> float:
    written: datetime = trio.document(kernel_id)["last_activity"]
    return written.timestamp()


def open_connections(trio: Cluster, kernel_id: str) -> list[int]:
    """By replica, in no order."""
    return sorted(entry["count"] for entry in trio.document(kernel_id)["connections"].values())
