"""What a replica holds of its own health, by what it knows of its duties."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from culling.timings import MembershipTimings
from enterprise_gateway.handlers.services import Check
from enterprise_gateway.lifecycle import Background
from enterprise_gateway.replica import Health, Replica
from tests.cluster.waiting import eventually

TIMINGS = MembershipTimings(lease_duration_seconds=15.0)


@dataclass
class Known:
    """What health is judged by; all is well unless the test says otherwise."""

    since_beat: float | None = 1.0
    since_renewal: float | None = None
    available: bool = True
    draining: bool = False
    background: Background = field(default_factory=lambda: Background(logging.getLogger("health")))

    @property
    def health(self) -> Health:
        replica = SimpleNamespace(
            membership=SimpleNamespace(seconds_since_attempt=self.since_beat, timings=TIMINGS),
            leader=SimpleNamespace(seconds_since_attempt=self.since_renewal),
            store=SimpleNamespace(available=self.available),
            draining=self.draining,
            background=self.background,
        )
        return Health(cast(Replica, replica))

    @property
    def unwell(self) -> list[Check]:
        return [check for check in self.health.ready() if not check.ok]


@pytest.mark.parametrize(
    ("since_beat", "since_renewal", "alive"),
    [
        pytest.param(None, None, True, id="before the first beat"),
        pytest.param(15.0, None, True, id="within a lease"),
        pytest.param(15.1, None, False, id="no beat for a lease"),
        pytest.param(15.1, 3.0, True, id="no beat, but a leader that renews"),
        pytest.param(3.0, 60.0, True, id="no leader any more, but it beats"),
        pytest.param(60.0, 15.1, False, id="a leader that does neither"),
    ],
)
def test_a_replica_lives_that_has_tried_to_beat_or_to_renew_within_a_lease(
    since_beat: float | None, since_renewal: float | None, alive: bool
) -> None:
    (check,) = Known(since_beat=since_beat, since_renewal=since_renewal).health.alive()
    assert check.ok is alive


def test_one_that_hangs_says_since_when() -> None:
    (check,) = Known(since_beat=61.0, since_renewal=42.0).health.alive()
    assert check == Check(name="beat", ok=False, message="no beat or renewal was attempted for 42 s")


def test_the_database_may_be_away_and_the_replica_lives() -> None:
    (check,) = Known(available=False).health.alive()
    assert check == Check(name="beat", ok=True)


def test_a_replica_that_drains_lives_though_its_beats_have_ended() -> None:
    (check,) = Known(since_beat=60.0, draining=True).health.alive()
    assert check.ok


def test_a_replica_is_ready_when_all_is_well() -> None:
    assert Known().unwell == []


def test_without_a_database_it_is_not_ready() -> None:
    assert Known(available=False).unwell == [Check(name="database", ok=False, message="away")]


def test_while_it_drains_it_is_not_ready() -> None:
    assert Known(draining=True).unwell == [Check(name="serving", ok=False, message="draining")]


async def test_when_a_task_has_died_it_is_not_ready() -> None:
    known = Known()
    known.background.forever("beat", _die)
    known.background.forever("flush", _die)
    await eventually(lambda: known.background.broken == {"beat", "flush"}, "both are known to have died")
    assert known.unwell == [Check(name="tasks", ok=False, message="ended: beat, flush")]
    await known.background.stop()


async def _die() -> None:
    raise ValueError
