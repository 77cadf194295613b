"""Culling by replicas whose wall clocks are twelve hours apart goes as it goes by others: the tests are the same."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests import requirements
from tests.cluster import light_kernels
from tests.cluster.conftest import MakeCluster
from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import IMPATIENT, Cluster
from tests.cluster.rest import Rest
from tests.cluster.test_culling import (
    CULLING,
    culled,
    test_a_connected_kernel_lives_until_its_client_is_gone_for_its_timeout,
    test_a_kernel_that_nobody_touches_after_its_replica_was_killed_is_culled,
    test_a_leader_that_was_paused_does_nothing_more,
    test_one_whose_replicas_all_died_is_judged_when_one_is_back,
)

__all__ = [
    "test_a_connected_kernel_lives_until_its_client_is_gone_for_its_timeout",
    "test_a_kernel_that_nobody_touches_after_its_replica_was_killed_is_culled",
    "test_a_leader_that_was_paused_does_nothing_more",
    "test_one_whose_replicas_all_died_is_judged_when_one_is_back",
]

pytestmark = pytest.mark.cc
HOURS = (6, -6)
A_MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def wall_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that gives the process which loads it another wall clock."""
    library = tmp_path_factory.mktemp("clock") / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run([requirements.require("cc"), "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def pair(make_cluster: MakeCluster, wall_clock: Path) -> Cluster:
    """Their kernels' environments are not theirs, so the kernels' clocks are right."""
    cluster = make_cluster(**light_kernels.SETTINGS, **CULLING, **IMPATIENT)
    light_kernels.install(cluster)
    shifts = (("env", f"LD_PRELOAD={wall_clock}", f"WALL_CLOCK_SHIFT={hours * 3600}") for hours in HOURS)
    for replica in [cluster.launch(prefix=shift) for shift in shifts]:
        replica.wait_until_ready("/readyz")
    return cluster


@pytest.fixture
def mortals(pair: Cluster) -> Cluster:
    return pair


async def test_the_clocks_are_wrong_and_what_is_stored_is_right(pair: Cluster) -> None:
    async with Rest(pair.urls, pair.token) as rest:
        for on, hours in enumerate(HOURS):
            kernel_id = await rest.start(on=on, name=LIGHT)
            answer = await rest.request("GET", "/api/kernels", on=on)
            shown = parsedate_to_datetime(answer.headers["Date"])
            event = await culled(pair, kernel_id)
            record = pair.document(kernel_id)
            stored = [record["created_at"], record["last_activity"], record["ended_at"], event["at"]]
            assert all(abs(shown - timedelta(hours=hours) - each) < A_MINUTE for each in stored)
