"""Busy or idle by requests, and what is still to be written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from enterprise_gateway.kernels.activity import MAX_OPEN_REQUESTS, Activity
from persistence.kernels import ActivityEntry
from tests.fakes.database_clock import SetClock

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(START)


@pytest.fixture
def turned() -> list[str]:
    return []


@pytest.fixture
def activity(clock: SetClock, turned: list[str]) -> Activity:
    return Activity("k1", clock=clock, turned=lambda: turned.append("k1"))


def tell(activity: Activity, state: str, request: str, kind: str = "execute_request", own: bool = False) -> None:
    activity.status(state, parent_id=request, parent_type=kind, own=own)


def pending(activity: Activity) -> ActivityEntry:
    found = activity.pending(1, owner=True)
    assert found is not None
    return found[1]


def test_nothing_is_known_of_a_kernel_that_has_said_nothing(activity: Activity) -> None:
    assert activity.execution_state is None
    assert activity.pending(1, owner=True) is None


def test_a_kernel_is_busy_while_any_request_is(activity: Activity) -> None:
    tell(activity, "busy", "a")
    tell(activity, "busy", "b")
    tell(activity, "idle", "a")
    assert activity.execution_state == "busy"
    tell(activity, "idle", "b")
    assert activity.execution_state == "idle"


@pytest.mark.parametrize("kind", ["interrupt_request", "shutdown_request", "debug_request"])
def test_the_idle_of_a_control_request_does_not_end_a_cell(activity: Activity, kind: str) -> None:
    tell(activity, "busy", "cell")
    tell(activity, "busy", "control", kind)
    tell(activity, "idle", "control", kind)
    assert activity.execution_state == "busy"


def test_the_gateways_own_requests_are_no_activity(activity: Activity) -> None:
    tell(activity, "busy", "own", "kernel_info_request", own=True)
    tell(activity, "idle", "own", "kernel_info_request", own=True)
    assert activity.execution_state is None
    assert activity.pending(1, owner=True) is None


def test_each_turn_to_busy_or_idle_is_told_once(activity: Activity, turned: list[str]) -> None:
    tell(activity, "busy", "a")
    tell(activity, "busy", "b")
    assert turned == ["k1"]
    tell(activity, "idle", "a")
    tell(activity, "idle", "b")
    assert turned == ["k1", "k1"]


def test_only_an_owner_reports_the_execution_state(activity: Activity) -> None:
    tell(activity, "busy", "a")
    found = activity.pending(1, owner=False)
    assert found is not None
    assert found[1].execution_state is None
    found = activity.pending(1, owner=True)
    assert found is not None
    assert found[1].execution_state == "busy"


def test_what_changed_after_a_flush_was_sent_stays_pending(activity: Activity, clock: SetClock) -> None:
    tell(activity, "busy", "a")
    found = activity.pending(1, owner=True)
    assert found is not None
    clock.now += timedelta(seconds=1)
    tell(activity, "idle", "a")
    activity.acknowledge(found[0])
    again = activity.pending(1, owner=True)
    assert again is not None
    assert again[1].execution_state == "idle"
    assert again[1].execution_n > found[1].execution_n
    assert again[1].last_activity == clock.now


def test_what_was_acknowledged_is_not_written_again(activity: Activity) -> None:
    activity.touch()
    found = activity.pending(1, owner=True)
    assert found is not None
    activity.acknowledge(found[0])
    assert activity.pending(1, owner=True) is None


def flushed(activity: Activity) -> ActivityEntry:
    """What is written next, and acknowledged."""
    found = activity.pending(1, owner=True)
    assert found is not None
    activity.acknowledge(found[0])
    return found[1]


def test_of_a_kernel_that_goes_on_printing_only_the_activity_is_written_again(activity: Activity) -> None:
    activity.connections_are(1)
    activity.learned({"status": "ok"})
    tell(activity, "busy", "a")
    first = flushed(activity)
    assert (first.execution_state, first.kernel_info, first.connection_count) == ("busy", {"status": "ok"}, 1)

    activity.touch()
    again = flushed(activity)
    assert (again.execution_state, again.kernel_info, again.connection_count) == (None, None, None)


def test_what_a_kernel_says_of_itself_is_not_written_with_each_turn(activity: Activity) -> None:
    activity.learned({"status": "ok"})
    tell(activity, "busy", "a")
    flushed(activity)
    tell(activity, "idle", "a")
    turned = flushed(activity)
    assert (turned.execution_state, turned.kernel_info) == ("idle", None)


def test_what_an_idle_kernel_says_of_itself_has_a_number_of_its_own(activity: Activity) -> None:
    tell(activity, "idle", "a")
    first = flushed(activity)
    activity.learned({"status": "ok"})
    then = flushed(activity)
    assert then.kernel_info == {"status": "ok"}
    assert then.execution_n > first.execution_n


def test_what_was_not_acknowledged_is_written_again(activity: Activity) -> None:
    activity.connections_are(1)
    activity.learned({"status": "ok"})
    tell(activity, "busy", "a")
    assert activity.pending(1, owner=True) is not None
    tell(activity, "idle", "a")
    again = flushed(activity)
    assert (again.execution_state, again.kernel_info, again.connection_count) == ("idle", {"status": "ok"}, 1)


def test_a_late_acknowledgement_of_another_generation_takes_nothing_for_written(activity: Activity) -> None:
    tell(activity, "busy", "a")
    tell(activity, "idle", "a")
    found = activity.pending(1, owner=True)
    assert found is not None
    activity.new_generation(None)
    activity.acknowledge(found[0])
    tell(activity, "busy", "b")
    assert flushed(activity).execution_state == "busy"


def test_who_becomes_the_owner_reports_what_it_knew_before(activity: Activity) -> None:
    tell(activity, "busy", "a")
    found = activity.pending(1, owner=False)
    assert found is not None
    activity.acknowledge(found[0])
    activity.touch()
    assert flushed(activity).execution_state == "busy"


def test_each_change_of_the_count_has_a_higher_number(activity: Activity) -> None:
    first = activity.connections_are(1)
    second = activity.connections_are(0)
    assert second > first
    found = activity.pending(1, owner=False)
    assert found is not None
    assert (found[1].connection_count, found[1].connection_n) == (0, second)


def test_a_count_that_never_changed_is_not_reported(activity: Activity) -> None:
    activity.touch()
    found = activity.pending(1, owner=False)
    assert found is not None
    assert found[1].connection_count is None


def test_under_a_new_id_open_connections_are_reported_again(activity: Activity) -> None:
    activity.connections_are(2)
    found = activity.pending(1, owner=False)
    assert found is not None
    activity.acknowledge(found[0])
    activity.report_anew()
    again = activity.pending(1, owner=False)
    assert again is not None
    assert again[1].connection_count == 2


def test_a_new_generation_knows_nothing_of_the_former_ones_requests(activity: Activity) -> None:
    tell(activity, "busy", "a")
    activity.new_generation("idle")
    tell(activity, "busy", "b")
    tell(activity, "idle", "b")
    assert activity.execution_state == "idle"


def test_a_kernel_that_is_asked_is_busy_until_it_answers(activity: Activity) -> None:
    question = activity.asked()
    assert activity.execution_state == "busy"
    activity.answered(question)
    assert activity.execution_state == "idle"


def test_an_answer_forgets_requests_whose_end_was_missed_and_counts_as_activity(
    activity: Activity, clock: SetClock
) -> None:
    tell(activity, "busy", "missed")
    clock.now += timedelta(hours=1)
    activity.answered(activity.asked())
    assert activity.execution_state == "idle"
    assert not activity.in_doubt(0)
    found = activity.pending(1, owner=True)
    assert found is not None
    assert found[1].last_activity == clock.now


def test_what_a_kernel_was_asked_after_the_question_goes_on(activity: Activity) -> None:
    question = activity.asked()
    tell(activity, "busy", "next")
    activity.answered(question)
    assert activity.execution_state == "busy"
    tell(activity, "idle", "next")
    assert activity.execution_state == "idle"


def test_an_adopted_kernel_that_answers_was_not_used_by_that(activity: Activity) -> None:
    activity.answered(activity.asked())
    found = activity.pending(1, owner=True)
    assert found is not None
    assert found[1].last_activity.year == 1970


@pytest.mark.parametrize("state", ["busy", "idle"])
def test_a_kernel_that_was_silent_for_long_is_in_doubt(activity: Activity, clock: SetClock, state: str) -> None:
    tell(activity, state, "a")
    clock.now += timedelta(seconds=59)
    assert not activity.in_doubt(60)
    clock.now += timedelta(seconds=1)
    assert activity.in_doubt(60)


def test_one_that_was_idle_when_asked_is_in_doubt_again_when_it_was_heard_and_is_silent(
    activity: Activity, clock: SetClock
) -> None:
    tell(activity, "idle", "a")
    activity.answered(activity.asked())
    clock.now += timedelta(hours=1)
    assert not activity.in_doubt(60)
    activity.touch()
    clock.now += timedelta(hours=1)
    assert activity.in_doubt(60)


def test_an_idle_kernel_that_is_asked_stays_idle_and_is_not_used_by_that(activity: Activity, clock: SetClock) -> None:
    tell(activity, "idle", "a")
    used = clock.now
    clock.now += timedelta(hours=1)
    question = activity.asked()
    assert activity.execution_state == "idle"
    activity.answered(question)
    found = activity.pending(1, owner=True)
    assert found is not None
    assert (found[1].execution_state, found[1].last_activity) == ("idle", used)


def test_one_that_does_not_answer_is_busy_and_was_used_until_it_does(activity: Activity, clock: SetClock) -> None:
    tell(activity, "idle", "a")
    question = activity.asked()
    activity.unanswered(question)
    assert activity.execution_state == "busy"
    clock.now += timedelta(hours=1)
    activity.answered(question)
    found = activity.pending(1, owner=True)
    assert found is not None
    assert (found[1].execution_state, found[1].last_activity) == ("idle", clock.now)


def test_requests_without_an_end_do_not_grow_without_bound(activity: Activity) -> None:
    for number in range(MAX_OPEN_REQUESTS + 10):
        tell(activity, "busy", str(number))
    for number in range(10, MAX_OPEN_REQUESTS + 10):
        tell(activity, "idle", str(number))
    assert activity.execution_state == "idle"


def test_when_it_was_used_is_told_by_the_clock_as_it_is_when_that_is_written(
    activity: Activity, clock: SetClock
) -> None:
    activity.touch()
    clock.now += timedelta(seconds=5)
    clock.ahead = timedelta(minutes=1)
    assert pending(activity).last_activity == START + timedelta(minutes=1)


def test_what_was_written_before_a_jump_was_noticed_is_written_again(activity: Activity, clock: SetClock) -> None:
    activity.touch()
    found = activity.pending(1, owner=True)
    assert found is not None
    activity.acknowledge(found[0])
    clock.ahead = timedelta(minutes=1)
    activity.clock_jumped()
    assert pending(activity).last_activity == START + timedelta(minutes=1)


def test_a_jump_makes_no_kernel_used_that_was_not(activity: Activity) -> None:
    activity.clock_jumped()
    assert activity.pending(1, owner=True) is None


def test_a_use_that_is_written_elsewhere_is_written_again_after_a_jump(activity: Activity, clock: SetClock) -> None:
    activity.used()
    assert activity.pending(1, owner=True) is None
    clock.now += timedelta(seconds=5)
    activity.clock_jumped()
    assert pending(activity).last_activity == START
