"""Who lives, stepped to exactly the limit and past it on a clock of the test's own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from culling.observation import Observation
from culling.timings import MembershipTimings
from persistence.documents import HostDoc, ReplicaRecord, ReplicaState

LEASE = 15.0
TIMINGS = MembershipTimings(lease_duration_seconds=LEASE, renew_interval_seconds=4.0, jitter=0.0)
OTHER = ReplicaRecord(
    replica_id="b",
    url="http://b:8888",
    host=HostDoc(id="h", machine="m", boot="b", name="n"),
    version="1",
    key_ids=("k",),
)


class Watch:
    """An observation whose reads take no time unless they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.observation = Observation(TIMINGS, logging.getLogger("test"), monotonic=lambda: self.now)

    def read(self, *records: ReplicaRecord, lasting: float = 0.0) -> None:
        began = self.now
        self.now += lasting
        self.observation.observe(records, began=began)

    def later(self, seconds: float, *records: ReplicaRecord) -> None:
        self.now += seconds
        self.read(*records)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def beaten(record: ReplicaRecord, beat: int) -> ReplicaRecord:
    return replace(record, beat=beat)


def test_who_was_seen_once_is_unknown(watch: Watch) -> None:
    watch.read(OTHER)
    assert watch.observation.live("b") is None


def test_who_was_seen_to_beat_lives(watch: Watch) -> None:
    watch.read(OTHER)
    watch.later(4.0, beaten(OTHER, 1))
    assert watch.observation.live("b") is True


def test_who_comes_while_others_look_lives(watch: Watch) -> None:
    watch.read()
    watch.later(4.0, OTHER)
    assert watch.observation.live("b") is True


def test_unchanged_for_less_than_a_lease_is_unknown_and_for_a_whole_one_no_longer_live(watch: Watch) -> None:
    watch.read(OTHER)
    for seconds in (5.0, 5.0, 4.75):
        watch.later(seconds, OTHER)
    assert watch.observation.live("b") is None
    watch.later(0.25, OTHER)
    assert watch.observation.live("b") is False


def test_what_was_not_read_does_not_count_as_unchanged(watch: Watch) -> None:
    watch.read(OTHER)
    for seconds in (5.0, 5.0, 4.0):
        watch.later(seconds, OTHER)
    watch.now += 2.0  # a lease has passed by now, but no read has shown it
    assert watch.observation.live("b") is None


def test_a_slow_read_counts_from_its_beginning(watch: Watch) -> None:
    watch.read(OTHER)
    for seconds in (5.0, 5.0, 4.0):
        watch.later(seconds, OTHER)
    watch.read(OTHER, lasting=2.0)
    assert watch.observation.live("b") is None


def test_a_beat_brings_the_suspected_back(watch: Watch) -> None:
    watch.read(OTHER)
    for _ in range(4):
        watch.later(4.0, OTHER)
    assert watch.observation.live("b") is False
    watch.later(4.0, beaten(OTHER, 1))
    assert watch.observation.live("b") is True


def test_a_failed_read_starts_the_observation_anew(watch: Watch) -> None:
    watch.read(OTHER)
    for _ in range(3):
        watch.later(4.0, OTHER)
    watch.observation.restart()
    watch.later(4.0, OTHER)
    assert watch.observation.live("b") is None
    for _ in range(3):
        watch.later(4.0, OTHER)
    assert watch.observation.live("b") is None
    watch.later(3.0, OTHER)
    assert watch.observation.live("b") is False


def test_after_an_outage_nobody_is_known_to_live_either(watch: Watch) -> None:
    watch.read(OTHER)
    watch.later(4.0, beaten(OTHER, 1))
    watch.observation.restart()
    assert watch.observation.live("b") is None
    watch.later(4.0, beaten(OTHER, 1))
    assert watch.observation.live("b") is None


def test_a_gap_of_two_intervals_is_none_and_a_longer_one_starts_anew(watch: Watch) -> None:
    watch.read(OTHER)
    watch.later(8.0, OTHER)
    watch.later(8.0, OTHER)
    assert watch.observation.live("b") is False
    watch.later(8.25, OTHER)
    assert watch.observation.live("b") is None


def test_when_the_last_read_is_too_old_nothing_is_known(watch: Watch) -> None:
    watch.read(OTHER)
    watch.later(4.0, beaten(OTHER, 1))
    watch.now += 8.25
    assert watch.observation.live("b") is None


def test_dead_by_its_document_is_dead_whatever_else_is_seen(watch: Watch) -> None:
    watch.read(replace(OTHER, state=ReplicaState.DEAD))
    assert watch.observation.live("b") is False
    assert watch.observation.gone("b")


def test_a_replica_that_only_looks_dead_is_not_gone(watch: Watch) -> None:
    watch.read(OTHER)
    for _ in range(4):
        watch.later(4.0, OTHER)
    assert watch.observation.live("b") is False
    assert not watch.observation.gone("b")


def test_who_is_missing_from_a_list_read_afterwards_is_gone(watch: Watch) -> None:
    watch.read()
    assert not watch.observation.gone("b")
    assert watch.observation.live("b") is None
    watch.later(4.0)
    assert watch.observation.gone("b")
    assert watch.observation.live("b") is False


def test_who_registered_after_the_last_list_is_not_gone(watch: Watch) -> None:
    watch.read()
    assert not watch.observation.gone("b")
    watch.later(4.0, OTHER)
    assert not watch.observation.gone("b")


def test_a_list_whose_read_began_before_the_question_answers_nothing(watch: Watch) -> None:
    began = watch.now
    watch.now += 1.0
    assert not watch.observation.gone("b")
    watch.observation.observe([], began=began)
    assert not watch.observation.gone("b")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was logged so far, of one replica."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage().removeprefix("Replica b at http://b:8888 ") for record in caplog.records]


def test_comings_and_goings_are_logged_by_name(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watch.read()
    watch.later(4.0, OTHER)
    assert caplog.records[0].getMessage() == "Replica b at http://b:8888 is ready"


def test_a_replica_that_falls_silent_and_comes_back_is_told(watch: Watch, told: Callable[[], list[str]]) -> None:
    watch.read()
    watch.later(4.0, OTHER)
    for _ in range(5):
        watch.later(4.0, OTHER)
    watch.later(4.0, beaten(OTHER, 1))
    assert told() == ["is ready", "is suspected to be dead: no beat was seen for 16.0 s", "beats again"]


def test_a_replica_that_leaves_in_order_has_stopped(watch: Watch, told: Callable[[], list[str]]) -> None:
    watch.read()
    watch.later(4.0, OTHER)
    watch.later(4.0, replace(OTHER, beat=1, state=ReplicaState.DRAINING))
    watch.later(4.0, replace(OTHER, beat=2, state=ReplicaState.DEAD))
    watch.later(4.0)
    assert told() == ["is ready", "is draining", "has stopped", "is not listed any more"]


def test_a_replica_that_is_declared_dead_is_dead(watch: Watch, told: Callable[[], list[str]]) -> None:
    watch.read()
    watch.later(4.0, OTHER)
    watch.later(4.0, replace(OTHER, state=ReplicaState.DEAD))
    assert told() == ["is ready", "is dead"]


def test_who_was_there_before_is_known_and_ready_when_it_was_seen_to_beat(
    watch: Watch, told: Callable[[], list[str]]
) -> None:
    watch.read(OTHER)
    watch.later(4.0, OTHER)
    assert told() == ["is known"]
    watch.later(4.0, beaten(OTHER, 1))
    watch.later(4.0, beaten(OTHER, 2))
    assert told() == ["is known", "is ready"]


def test_a_beat_in_a_gap_of_the_observation_is_told_once_too(watch: Watch, told: Callable[[], list[str]]) -> None:
    watch.read(OTHER)
    watch.observation.restart()
    watch.later(4.0, beaten(OTHER, 1))
    watch.later(4.0, beaten(OTHER, 2))
    assert told() == ["is known", "is ready"]


def test_who_was_known_and_suspected_beats_again(watch: Watch, told: Callable[[], list[str]]) -> None:
    watch.read(OTHER)
    for _ in range(4):
        watch.later(4.0, OTHER)
    watch.later(4.0, beaten(OTHER, 1))
    assert told() == ["is known", "is suspected to be dead: no beat was seen for 16.0 s", "beats again"]


def test_of_oneself_nothing_is_told(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watch.observation.observe([OTHER], began=watch.now, own_id="b")
    watch.observation.observe([replace(OTHER, state=ReplicaState.DRAINING)], began=watch.now, own_id="b")
    watch.observation.observe([], began=watch.now, own_id="b")
    assert not caplog.records


def test_those_who_died_before_are_no_news(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watch.read(replace(OTHER, state=ReplicaState.DEAD))
    assert not caplog.records
