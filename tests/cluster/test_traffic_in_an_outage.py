"""Clients at work while their database is in trouble: it costs them time, and nothing that they were told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import pytest

from persistence import clock
from tests.cluster.outages import Database, behind_a_proxy, known_away
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.traffic import Traffic
from tests.cluster.waiting import eventually
from tests.mongo_proxy import Command, MongoProxy

WRITES = ("insert", "findAndModify", "update")
SLOW_SECONDS = 0.1  # several operations make a start; each may take its time
LONG_SECONDS = 20.0

in_soak = pytest.mark.soak


@pytest.fixture(scope="module")
def trio(database: Database) -> Iterator[Cluster]:
    with behind_a_proxy(database) as cluster:
        cluster.start(2)
        yield cluster


@pytest.fixture
async def traffic(rest: Rest, trio: Cluster) -> AsyncIterator[Traffic]:
    """Clients at work. Afterwards all kernels are gone that they have shut down, and there were no others."""
    async with Traffic(rest, clients=3) as traffic:
        yield traffic
    assert await rest.listed() == set()
    await eventually(lambda: not trio.kernel_processes(), "no kernel is left on the host")


@pytest.mark.parametrize(
    "kind",
    ["stopped", "killed", "frozen", *(pytest.param(kind, marks=in_soak) for kind in ("refused", "silent", "slow"))],
)
async def test_it_is_away(rest: Rest, traffic: Traffic, database: Database, kind: str) -> None:
    with getattr(database, kind)():
        await known_away(rest)
    await traffic.goes_on()


@in_soak
@pytest.mark.parametrize("kind", ["frozen", "silent"])
async def test_it_is_away_for_long(rest: Rest, traffic: Traffic, database: Database, kind: str) -> None:
    with getattr(database, kind)():
        await clock.sleep(LONG_SECONDS)
    await traffic.goes_on()


def loses_answers(proxy: MongoProxy) -> None:
    """Every third write is made, and its answer lost."""
    turns = count()

    def wanted(command: Command) -> bool:
        return any(name in command for name in WRITES) and next(turns) % 3 == 0

    proxy.lose_answers(wanted, times=1_000_000)


def delays(proxy: MongoProxy) -> None:
    """Each answer comes late, but in time."""
    proxy.delay(SLOW_SECONDS)


@pytest.mark.parametrize("trouble", [loses_answers, pytest.param(delays, marks=in_soak)])
async def test_it_is_there_and_the_network_is_bad(
    traffic: Traffic, database: Database, trouble: Callable[[MongoProxy], None]
) -> None:
    trouble(database.proxy)
    await traffic.goes_on()
    database.proxy.pass_on()
    await traffic.goes_on()


async def test_connections_are_cut_again_and_again(traffic: Traffic, database: Database) -> None:
    for _ in range(3):
        database.proxy.cut()
        await traffic.goes_on()
