"""A MongoDB of three members whose primary goes, under clients at work: nothing that was acknowledged is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import light_kernels
from tests.cluster.replicas import IMPATIENT, Cluster
from tests.cluster.rest import Rest
from tests.cluster.traffic import Traffic
from tests.cluster.waiting import eventually
from tests.replica_set import Mongod, ThreeMembers


@pytest.fixture(scope="module")
def three(mongod_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeMembers]:
    with ThreeMembers(mongod_binary, tmp_path_factory.mktemp("three")) as members:
        yield members


@pytest.fixture(scope="module")
def trio(three: ThreeMembers) -> Iterator[Cluster]:
    with Cluster(three.uri, settings={**light_kernels.SETTINGS, **IMPATIENT}) as cluster:
        light_kernels.install(cluster)
        cluster.start(2)
        yield cluster


def step_down(three: ThreeMembers, primary: Mongod) -> Callable[[], None]:
    """It hands over."""
    three.step_down()
    return lambda: None


def kill(three: ThreeMembers, primary: Mongod) -> Callable[[], None]:
    """SIGKILL; it comes back as a follower."""
    primary.kill()
    return primary.start


def freeze(three: ThreeMembers, primary: Mongod) -> Callable[[], None]:
    """SIGSTOP; it comes back and believes for a moment that it still is the primary."""
    primary.pause()
    return primary.resume


@pytest.mark.parametrize("go", [step_down, kill, freeze])
async def test_clients_are_served_through_it_and_lose_nothing(
    rest: Rest, trio: Cluster, three: ThreeMembers, go: Callable[[ThreeMembers, Mongod], Callable[[], None]]
) -> None:
    async with Traffic(rest, clients=3) as traffic:
        primary = three.primary()
        come_back = go(three, primary)
        assert three.primary() is not primary
        await traffic.goes_on()
        come_back()
        await traffic.goes_on()
        three.wait_until_whole()
    assert await rest.listed() == set()
    await eventually(lambda: not trio.kernel_processes(), "no kernel is left on the host")
