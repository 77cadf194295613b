from __future__ import annotations

from dataclasses import replace

import pytest

from enterprise_gateway.kernels.leftovers import left_over, why_left_over
from enterprise_gateway.provisioners.census import Census, Found, KernelsDirectory, KernelsProcess
from enterprise_gateway.provisioners.host import HostIdentity
from persistence.documents import HostDoc, KernelNotice
from tests.records import running_kernel

HERE = HostIdentity.current()
PROCESS = KernelsProcess(pid=4711, start_ticks=9, kernel_id="k1", generation=2)
DIRECTORY = KernelsDirectory(kernel_id="k1", generation=2)

# What is of generation 2, beside what the record says. "goes": it is left over.
TABLE = """
phase        generation  verdict
-            -           goes
queued       2           stays
launching    2           stays
running      2           stays
restarting   2           stays
stopping     2           stays
ended        2           goes
hibernating  2           stays
queued       3           goes
launching    3           goes
running      3           goes
restarting   3           goes
stopping     3           goes
ended        3           goes
hibernating  3           stays
running      1           stays
ended        1           goes
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()[1:]]


def notice(phase: str = "running", generation: int = 2, host: HostDoc | None = None) -> KernelNotice:
    stored = running_kernel(phase=phase, generation=generation, host=host or HERE.to_doc()).to_document()
    return KernelNotice.from_document(stored)


def found(kernel: KernelNotice | None, *there: Found) -> list[Found]:
    census = Census(
        processes=[each for each in there if isinstance(each, KernelsProcess)],
        directories=[each for each in there if isinstance(each, KernelsDirectory)],
    )
    return list(left_over(census, {} if kernel is None else {kernel.kernel_id: kernel}, HERE))


@pytest.mark.parametrize(("phase", "generation", "verdict"), ROWS)
def test_what_is_left_over_is_what_the_table_says(phase: str, generation: str, verdict: str) -> None:
    kernel = None if phase == "-" else notice(phase, int(generation))
    assert (why_left_over(2, kernel) is not None) is (verdict == "goes")


def test_each_thing_that_is_left_over_has_its_reason() -> None:
    census = Census(processes=[PROCESS], directories=[])
    assert left_over(census, {"k1": notice("ended")}, HERE) == {PROCESS: "its kernel has ended"}


def test_a_directory_stays_while_a_process_of_its_generation_runs() -> None:
    assert found(notice("ended"), PROCESS, DIRECTORY) == [PROCESS]
    assert found(notice("ended"), DIRECTORY) == [DIRECTORY]


def test_a_directory_goes_though_the_next_generation_runs() -> None:
    next_one = replace(PROCESS, generation=3)
    assert found(notice(generation=3), next_one, DIRECTORY) == [DIRECTORY]


def test_a_directory_of_a_host_that_shares_the_disk_is_that_hosts() -> None:
    beside = replace(HERE, pid_namespace=1)
    assert found(notice("ended", host=beside.to_doc()), DIRECTORY) == []


def test_a_directory_from_before_the_machine_was_started_anew_goes() -> None:
    before = replace(HERE, boot="another")
    assert found(notice("ended", host=before.to_doc()), DIRECTORY) == [DIRECTORY]


def test_a_process_that_is_seen_here_is_this_hosts_whatever_the_record_says() -> None:
    beside = replace(HERE, mount_namespace=1)
    assert found(notice("ended", host=beside.to_doc()), PROCESS) == [PROCESS]
