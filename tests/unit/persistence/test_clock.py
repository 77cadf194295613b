from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from persistence import clock
from persistence.clock import DatabaseClock, Deadline
from persistence.errors import StoreUnavailable

STORED = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)


class LocalClock:
    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def local() -> LocalClock:
    return LocalClock()


@pytest.fixture
def database_clock(local: LocalClock) -> DatabaseClock:
    return DatabaseClock(now=local)


def test_without_a_reading_there_is_no_time(database_clock: DatabaseClock) -> None:
    assert not database_clock.set
    with pytest.raises(StoreUnavailable):
        database_clock.latest_now()
    with pytest.raises(StoreUnavailable):
        database_clock.earliest_now()


def test_the_latest_now_adds_the_round_trip_and_the_cut_millisecond(
    database_clock: DatabaseClock, local: LocalClock
) -> None:
    database_clock.observe(STORED, sent=98.0, received=99.0)
    assert database_clock.latest_now() == STORED + timedelta(seconds=2, milliseconds=1)


def test_the_earliest_now_adds_none_of_the_round_trip(database_clock: DatabaseClock, local: LocalClock) -> None:
    database_clock.observe(STORED, sent=98.0, received=99.0)
    assert database_clock.earliest_now() == STORED + timedelta(seconds=1)


def test_the_latest_is_rounded_up_and_the_earliest_down(database_clock: DatabaseClock, local: LocalClock) -> None:
    database_clock.observe(STORED, sent=100.0, received=100.0)
    local.now = 100.0625  # 62.5 ms, exact in binary
    assert database_clock.latest_now() == STORED + timedelta(milliseconds=64)
    assert database_clock.earliest_now() == STORED + timedelta(milliseconds=62)


def test_the_real_now_lies_between_the_two(database_clock: DatabaseClock, local: LocalClock) -> None:
    for cut_microseconds in (0, 1, 500, 999):
        for moment_of_writing in (100.0, 100.25, 101.0):
            real = STORED + timedelta(microseconds=cut_microseconds)
            database_clock.observe(STORED, sent=100.0, received=101.0)
            local.now = 107.0625
            now = real + timedelta(seconds=local.now - moment_of_writing)
            assert database_clock.earliest_now() <= now <= database_clock.latest_now()


def test_a_new_reading_takes_the_place_of_the_old_one_also_backwards(
    database_clock: DatabaseClock, local: LocalClock
) -> None:
    database_clock.observe(STORED, sent=100.0, received=100.0)
    database_clock.observe(STORED - timedelta(hours=1), sent=100.0, received=100.0)
    assert database_clock.earliest_now() == STORED - timedelta(hours=1)


def test_a_reading_in_another_zone_is_told_in_utc(database_clock: DatabaseClock) -> None:
    elsewhere = STORED.astimezone(timezone(timedelta(hours=9)))
    database_clock.observe(elsewhere, sent=100.0, received=100.0)
    assert database_clock.earliest_now().tzinfo is UTC


def test_a_reading_without_a_zone_is_refused(database_clock: DatabaseClock) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        database_clock.observe(STORED.replace(tzinfo=None), sent=100.0, received=100.0)


def test_an_answer_before_its_request_is_refused(database_clock: DatabaseClock) -> None:
    with pytest.raises(ValueError, match="before its request"):
        database_clock.observe(STORED, sent=100.0, received=99.0)


def test_a_deadline_has_passed_at_exactly_its_moment(local: LocalClock) -> None:
    deadline = Deadline(5.0, now=local)
    local.now = 104.75
    assert not deadline.passed
    assert deadline.remaining_seconds == 0.25
    local.now = 105.0
    assert deadline.passed
    assert deadline.remaining_seconds == 0.0


def test_a_deadline_may_count_from_an_earlier_moment(local: LocalClock) -> None:
    deadline = Deadline(5.0, since=96.0, now=local)
    assert deadline.remaining_seconds == 1.0
    assert deadline.seconds == 5.0


def test_what_is_left_is_never_negative(local: LocalClock) -> None:
    deadline = Deadline(5.0, now=local)
    local.now = 500.0
    assert deadline.remaining_seconds == 0.0


@pytest.mark.parametrize("read", [clock.monotonic, clock.boottime])
def test_a_local_clock_never_goes_back(read: Callable[[], float]) -> None:
    readings = [read() for _ in range(100)]
    assert readings == sorted(readings)


async def test_a_negative_sleep_only_yields() -> None:
    await clock.sleep(-1.0)


def steps_after(database_clock: DatabaseClock, jump: float, *, trip: float = 0.0) -> list[float]:
    """Read the clock twice, ten seconds apart, with a jump in between; give the steps that were seen."""
    database_clock.observe(STORED, sent=100.0, received=100.0)
    later = STORED + timedelta(seconds=10 + jump)
    database_clock.observe(later, sent=110.0 - trip, received=110.0)
    return [step.seconds for step in database_clock.steps]


def test_a_clock_that_goes_on_as_the_local_one_has_no_steps(database_clock: DatabaseClock) -> None:
    assert steps_after(database_clock, 0.0) == []
    assert database_clock.steps == ()


def test_a_jump_has_happened_since_the_reading_before(database_clock: DatabaseClock) -> None:
    steps_after(database_clock, 60.0, trip=1.0)
    (step,) = database_clock.steps
    assert step.at == STORED + timedelta(seconds=70)
    assert step.within_seconds == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize("jump", [21_600.0, 2.5, -2.5, -21_600.0])
def test_a_jump_of_the_databases_clock_is_seen(database_clock: DatabaseClock, jump: float) -> None:
    assert steps_after(database_clock, jump) == [pytest.approx(jump, abs=0.002)]
    assert database_clock.steps[0].at == STORED + timedelta(seconds=10 + jump)


@pytest.mark.parametrize("jump", [1.9, -1.9])
def test_a_small_jump_is_none(database_clock: DatabaseClock, jump: float) -> None:
    assert steps_after(database_clock, jump) == []


def test_a_slow_answer_is_no_jump(database_clock: DatabaseClock) -> None:
    assert steps_after(database_clock, -4.0, trip=5.0) == []


def test_of_a_jump_the_most_that_it_can_have_been_is_told(database_clock: DatabaseClock) -> None:
    assert steps_after(database_clock, 3.0, trip=2.0) == [pytest.approx(5.0)]


def test_only_the_newest_jumps_are_kept(database_clock: DatabaseClock) -> None:
    for n in range(20):
        database_clock.observe(STORED + timedelta(hours=n), sent=100.0, received=100.0)
    assert len(database_clock.steps) == 8
    assert database_clock.steps[-1].at == STORED + timedelta(hours=19)
