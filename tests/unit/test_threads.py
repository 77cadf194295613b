"""Threads that run before they are needed."""

from __future__ import annotations

import threading

from enterprise_gateway.threads import PATIENCE_SECONDS, started_pool


def test_all_threads_of_the_pool_run_before_there_is_work() -> None:
    before = set(threading.enumerate())  # others may end meanwhile
    with started_pool(5) as pool:
        started = set(threading.enumerate()) - before
        assert len(started) == 5
        assert pool.submit(lambda: 7).result() == 7
        assert set(threading.enumerate()) - before == started


def test_sixty_calls_that_hang_on_a_disk_stop_no_other() -> None:
    disk_is_back = threading.Event()
    with started_pool() as pool:
        try:
            for _ in range(60):
                pool.submit(disk_is_back.wait)
            assert pool.submit(lambda: 7).result(PATIENCE_SECONDS) == 7
        finally:
            disk_is_back.set()
