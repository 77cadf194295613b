from __future__ import annotations

import gc
import os
import subprocess
import time

import pytest

from benchmarks.process import children, cpu_seconds, holdings, on_cpu_seconds, parent, private_mib, threads

SMAPS = """\
00400000-7ffd3a5f6000 ---p 00000000 00:00 0                              [rollup]
Rss:               30720 kB
Shared_Clean:       8192 kB
Private_Clean:      1024 kB
Private_Dirty:      2048 kB
"""


def test_only_memory_of_its_own_is_counted() -> None:
    assert private_mib(SMAPS) == 3.0


def test_time_on_a_cpu_is_the_first_number() -> None:
    assert on_cpu_seconds("1500000000 42 7\n") == 1.5


def test_a_parent_is_found_behind_any_name() -> None:
    assert parent("17 (a) 99 (b)) S 4 17 17 0") == 4


def test_the_cpu_clock_is_that_of_the_process() -> None:
    before = time.process_time()
    assert before <= cpu_seconds(os.getpid()) <= time.process_time()


def test_its_threads_have_their_share_of_it() -> None:
    (main,) = (use for thread, use in threads(os.getpid()).items() if thread == os.getpid())
    assert 0 < main.cpu_seconds <= cpu_seconds(os.getpid())


def test_an_open_file_is_counted() -> None:
    gc.collect()  # what is left to it would be closed in between
    before = holdings(os.getpid()).descriptors
    with open(os.devnull):
        assert holdings(os.getpid()).descriptors == before + 1


def test_a_child_is_found() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert child.pid in children(os.getpid())


def test_a_process_that_has_ended_has_no_clock() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    with pytest.raises(OSError, match="Invalid argument"):
        cpu_seconds(child.pid)
