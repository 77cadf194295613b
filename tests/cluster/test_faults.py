"""A replica that dies or is paused between any two steps of an act: nothing is left undone, and nothing is done twice.

The points are found by the tests themselves, so a new step can't be forgotten: one that no act here passes fails a
test. `make test` tries each with one of the faults, by turns, and `make faults` each of each act with each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.cluster.fault_acts import ACTS
from tests.cluster.fault_cases import FAULTS, SETTINGS, Trial, every, spread
from tests.cluster.fault_legacies import LEGACIES, LegacyTrial, claimed
from tests.cluster.replicas import Cluster
from tests.meta.test_failure_modes import points as all_points

pytestmark = pytest.mark.timeout(1800)


@dataclass(frozen=True)
class Tried:
    """What was wrong after the faults, by fault and act, and the points that the acts pass."""

    complaints: Mapping[tuple[str, str], list[str]]
    points: Mapping[str, Sequence[str]]


@pytest.fixture(scope="module", params=["spread", pytest.param("every", marks=pytest.mark.soak)])
def tried(request: pytest.FixtureRequest, mongod_uri: str) -> Tried:
    """All cases, once they were tried."""
    whole = request.param == "every"
    with Cluster(mongod_uri, settings=SETTINGS) as cluster:
        asked = asyncio.run(try_all(cluster, whole=whole))
    found = asyncio.run(try_legacies(mongod_uri, whole=whole))
    return Tried({**asked.complaints, **found.complaints}, {**asked.points, **found.points})


async def try_all(cluster: Cluster, *, whole: bool) -> Tried:
    trial = Trial(cluster)
    points = await trial.points()
    await trial.run(every(points) if whole else spread(points))
    return Tried(trial.complaints, points)


async def try_legacies(mongod_uri: str, *, whole: bool) -> Tried:
    trial = LegacyTrial(mongod_uri)
    points = await trial.points() if whole else claimed()
    await trial.run(every(points) if whole else spread(points))
    return Tried(trial.complaints, points)


@pytest.mark.parametrize("act", [*ACTS, *LEGACIES])
@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_at_a_step_the_kernel_is_usable_or_ended_and_nothing_else_is_left(
    tried: Tried, fault: str, act: str
) -> None:
    assert tried.complaints.get((fault, act), []) == []


def test_every_point_is_tried(tried: Tried) -> None:
    passed = {point.rpartition(":")[2] for points in tried.points.values() for point in points}
    assert all_points() == passed
