"""Threads that run before they are needed."""

from __future__ import annotations

import threading

from enterprise_gateway.threads import started_pool


def test_all_threads_of_the_pool_run_before_there_is_work() -> None:
    before = threading.active_count()
    with started_pool(5) as pool:
        assert threading.active_count() == before + 5
        assert pool.submit(lambda: 7).result() == 7
        assert threading.active_count() == before + 5
