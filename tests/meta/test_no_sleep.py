from __future__ import annotations

from tests.meta.sources import uses


def test_no_test_waits_for_time_to_pass() -> None:
    assert uses("tests", {"time.sleep", "asyncio.sleep"}) == {}
