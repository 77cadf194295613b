"""A kernel's record as clients see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from enterprise_gateway.kernels.models import WAITS, execution_state, kernel_model, timestamp
from persistence.documents import ConnectionCount
from tests.records import running_kernel


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC), "2026-01-02T03:04:05.678000Z"),
        (datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T03:04:05.000000Z"),
    ],
)
def test_times_always_have_six_digits_and_z(value: datetime, text: str) -> None:
    assert timestamp(value) == text
    # As jupyter_server's gateway client parses it.
    assert datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC) == value


@pytest.mark.parametrize(
    ("phase", "state", "said"),
    [
        ("queued", "starting", "starting"),
        ("launching", "starting", "starting"),
        ("running", "idle", "idle"),
        ("running", "busy", "busy"),
        ("running", "unknown", "busy"),
        ("restarting", "idle", "restarting"),
        ("restarting", "autorestarting", "autorestarting"),
        ("stopping", "idle", "terminating"),
        ("ended", "idle", "dead"),
        ("hibernating", "idle", "idle"),
    ],
)
def test_a_phase_says_more_than_the_kernels_last_word(phase: str, state: str, said: str) -> None:
    assert execution_state(phase, state) == said


def test_connections_of_replicas_that_are_gone_do_not_count() -> None:
    record = running_kernel(
        connections={"r1": ConnectionCount(count=2, n=1), "dead": ConnectionCount(count=5, n=9)},
    )
    assert kernel_model(record, lambda replica: replica == "dead")["connections"] == 2


def test_a_kernel_that_waits_for_its_launch_says_so() -> None:
    waiting = kernel_model(running_kernel(phase="queued"), lambda _: False)
    assert (waiting["execution_state"], waiting["reason"]) == ("starting", WAITS)
    assert "reason" not in kernel_model(running_kernel(), lambda _: False)
