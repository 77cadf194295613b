"""A replica that dies or is paused between any two steps of an act: nothing is left undone, and nothing is done twice.

The points are found by the tests themselves, so a new step can't be forgotten. `make test` tries each with one of the
faults, by turns, and `make faults` each with each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.cluster.fault_cases import ACTS, FAULTS, SETTINGS, Trial, every, spread
from tests.cluster.replicas import Cluster

pytestmark = pytest.mark.timeout(900)

Complaints = Mapping[tuple[str, str], list[str]]


@pytest.fixture(scope="module", params=["spread", pytest.param("every", marks=pytest.mark.soak)])
def complaints(request: pytest.FixtureRequest, mongod_uri: str) -> Complaints:
    """What was wrong after the faults, by fault and act."""
    with Cluster(mongod_uri, settings=SETTINGS) as cluster:
        return asyncio.run(tried(cluster, whole=request.param == "every"))


async def tried(cluster: Cluster, *, whole: bool) -> Complaints:
    trial = Trial(cluster)
    points = await trial.points()
    await trial.run(every(points) if whole else spread(points))
    return trial.complaints


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_at_a_step_the_kernel_is_usable_or_ended_and_nothing_else_is_left(
    complaints: Complaints, fault: str, act: str
) -> None:
    assert complaints.get((fault, act), []) == []
