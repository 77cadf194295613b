from __future__ import annotations

import pytest

from culling.timings import MembershipTimings
from persistence.errors import ConfigurationError


def test_the_defaults_fit_together() -> None:
    timings = MembershipTimings()
    assert timings.longest_interval_seconds == 5.5


def test_the_times_of_tests_fit_together() -> None:
    MembershipTimings(
        operation_timeout_seconds=0.5,
        renew_interval_seconds=0.5,
        renew_deadline_seconds=1.2,
        lease_duration_seconds=2.0,
    )


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ({"operation_timeout_seconds": 10.0}, "operation timeout .* before it is known whether it was renewed"),
        ({"renew_deadline_seconds": 15.0}, "lease duration .* takes over before the former one has stopped"),
        ({"renew_interval_seconds": 9.5}, "renew interval .* before its renewal is due"),
        ({"jitter": 1.0}, "renew interval with its jitter"),
        ({"renew_interval_seconds": 0.0}, "above 0 s"),
        ({"operation_timeout_seconds": 0.0}, "above 0 s"),
        ({"jitter": -0.1}, "not below 0"),
    ],
)
def test_times_that_do_not_fit_are_refused_with_the_reason(times: dict[str, float], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        MembershipTimings(**times)
