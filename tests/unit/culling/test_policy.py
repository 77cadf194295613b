from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from culling.policy import Bounds, CullRules, Verdict, Why, judge
from persistence.documents import ClockStep, ConnectionCount, KernelCandidate
from tests.records import NOW, request, running_kernel

TIMEOUT = 3600.0
RULES = CullRules(idle_timeout_seconds=TIMEOUT)
ONE = {"r1": ConnectionCount(count=1, n=1)}


def kernel(**changes: Any) -> KernelCandidate:
    return KernelCandidate.from_document(running_kernel(**changes).to_document())


def after(seconds: float, rules: CullRules = RULES, **changes: Any) -> Verdict:
    """Judge a kernel so long after its last activity."""
    return judge(kernel(**changes), NOW + timedelta(seconds=seconds), rules, live={"r1", "r2"})


def test_at_its_timeout_a_kernel_is_kept_and_right_after_it_culled() -> None:
    assert after(TIMEOUT).why is Why.ACTIVE
    assert after(TIMEOUT + 0.001).cull


def test_a_cull_says_in_words_how_long_it_was_idle_and_might_be() -> None:
    assert after(4000.4).reason == "culled: it was idle for 4000 s, and may be for 3600"


def test_without_a_timeout_no_kernel_is_culled() -> None:
    assert after(10**9, CullRules()).why is Why.FOR_EVER
    assert CullRules().shortest_timeout_seconds is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"execution_state": "busy"}, Why.BUSY),
        ({"execution_state": "unknown"}, Why.UNASKED),
        ({"owner": "dead"}, Why.UNOWNED),
        ({"owner": None}, Why.UNOWNED),
        ({"connections": ONE}, Why.CONNECTED),
    ],
)
def test_a_kernel_is_kept_that_works_or_is_connected_or_of_which_too_little_is_known(
    changes: dict[str, Any], why: Why
) -> None:
    verdict = after(2 * TIMEOUT, **changes)
    assert (verdict.cull, verdict.why) == (False, why)


@pytest.mark.parametrize(
    ("rules", "changes"),
    [
        (CullRules(idle_timeout_seconds=TIMEOUT, busy=True), {"execution_state": "busy"}),
        (CullRules(idle_timeout_seconds=TIMEOUT, connected=True), {"connections": ONE}),
    ],
)
def test_busy_and_connected_ones_are_culled_where_the_settings_say_so(
    rules: CullRules, changes: dict[str, Any]
) -> None:
    assert after(2 * TIMEOUT, rules, **changes).cull


def test_one_that_nobody_has_asked_is_kept_also_where_busy_ones_are_culled() -> None:
    rules = CullRules(idle_timeout_seconds=TIMEOUT, busy=True, connected=True)
    assert not after(2 * TIMEOUT, rules, execution_state="unknown").cull


def test_connections_to_the_dead_and_the_unknown_do_not_count() -> None:
    assert after(2 * TIMEOUT, connections={"dead": ConnectionCount(count=3, n=9)}).cull


def test_a_kernelspec_may_have_another_timeout_and_a_user_before_it() -> None:
    rules = CullRules(idle_timeout_seconds=TIMEOUT, by_kernelspec={"python3": 60.0}, by_user={"ann": 600.0})
    assert rules.timeout_seconds(kernel(username="bob")) == 60.0
    assert rules.timeout_seconds(kernel(username="ann")) == 600.0
    assert rules.timeout_seconds(kernel(username="bob", kernel_name="r")) == TIMEOUT
    assert rules.shortest_timeout_seconds == 60.0


def test_a_user_may_be_spared() -> None:
    rules = CullRules(idle_timeout_seconds=TIMEOUT, by_user={"ann": 0.0})
    assert after(10**9, rules).why is Why.FOR_EVER


@pytest.mark.parametrize(("wish", "counts"), [(30.0, 60.0), (100.0, 100.0), (10**6, 600.0)])
def test_a_kernels_own_wish_counts_within_bounds(wish: float, counts: float) -> None:
    rules = CullRules(idle_timeout_seconds=TIMEOUT, own=Bounds(least_seconds=60.0, most_seconds=600.0))
    wishful = kernel(request=request(cull_idle_timeout_seconds=wish))
    assert rules.timeout_seconds(wishful) == counts
    assert rules.timeout_seconds(kernel()) == TIMEOUT
    assert rules.shortest_timeout_seconds == 60.0


def test_where_it_is_not_allowed_a_wish_counts_for_nothing() -> None:
    assert RULES.timeout_seconds(kernel(request=request(cull_idle_timeout_seconds=1.0))) == TIMEOUT


def test_past_its_lifetime_a_kernel_is_culled_whatever_it_does() -> None:
    rules = CullRules(max_lifetime_seconds=100.0)
    assert not after(100.0, rules).cull
    verdict = after(100.5, rules, execution_state="busy", connections=ONE, last_activity=NOW + timedelta(seconds=100))
    assert (verdict.cull, verdict.why) == (True, Why.TOO_OLD)


def stepped(seconds_after: float, step: float, at: float) -> bool:
    """Is it culled so long after its last activity, where the clock jumped by `step`, `at` after the activity?"""
    steps = [ClockStep(seconds=step, at=NOW + timedelta(seconds=at))]
    return judge(kernel(), NOW + timedelta(seconds=seconds_after), RULES, live={"r1"}, clock_steps=steps).cull


def test_a_jump_of_the_clock_makes_no_kernel_older_than_it_is() -> None:
    # Idle for a minute; then the clock jumped by six hours, and a minute later it is looked at.
    assert not stepped(60 + 21_600 + 60, step=21_600, at=60 + 21_600)


def test_when_the_kernel_was_idle_for_its_timeout_after_a_jump_it_is_culled() -> None:
    assert stepped(60 + 21_600 + TIMEOUT + 1, step=21_600, at=60 + 21_600)


def test_a_jump_back_makes_no_kernel_younger_than_the_clock_says() -> None:
    assert stepped(TIMEOUT + 1, step=-100.0, at=10)


JUMPS = st.lists(st.tuples(st.floats(0, TIMEOUT / 4), st.floats(-10 * TIMEOUT, 10 * TIMEOUT)), max_size=6)


def is_culled(idle: float, jumps: Iterable[tuple[float, float]]) -> bool:
    """Judge a kernel after it was idle for so long, in true time; each jump comes so long after the one before."""
    true, ahead, steps = 0.0, 0.0, []
    for wait, jump in jumps:
        if true + wait > idle:
            break
        true, ahead = true + wait, ahead + jump
        steps.append(ClockStep(seconds=jump, at=NOW + timedelta(seconds=true + ahead)))
    now = NOW + timedelta(seconds=idle + ahead)
    return judge(kernel(), now, RULES, live={"r1"}, clock_steps=steps).cull


def test_a_jump_that_looks_old_for_another_came_after_it_still_counts() -> None:
    assert not is_culled(39.0, [(16.0, 1.3 * TIMEOUT), (12.0, 1.6 * TIMEOUT)])


@given(idle=st.floats(0, TIMEOUT), jumps=JUMPS)
def test_no_jumps_cull_early(idle: float, jumps: list[tuple[float, float]]) -> None:
    assert not is_culled(idle - 0.001, jumps)


@given(idle=st.floats(0, TIMEOUT), jumps=JUMPS)
def test_no_jumps_forward_cull_late(idle: float, jumps: list[tuple[float, float]]) -> None:
    assert is_culled(TIMEOUT + 0.001 + idle, [(wait, abs(jump)) for wait, jump in jumps])


def test_the_same_rules_have_the_same_digest_in_whatever_order() -> None:
    one = CullRules(by_user={"a": 1.0, "b": 2.0})
    other = CullRules(by_user={"b": 2.0, "a": 1.0})
    assert one.digest == other.digest
    assert one.digest != CullRules(by_user={"a": 1.0, "b": 3.0}).digest
