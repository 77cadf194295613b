"""Real processes of `sh` and `sleep`, with the marks of kernels in their environment."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from enterprise_gateway.provisioners.census import (
    DEPLOYMENT,
    GENERATION,
    KERNEL_ID,
    Census,
    KernelsDirectory,
    KernelsProcess,
    kernels_processes,
    take_census,
)
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from tests.cluster.waiting import PATIENCE_SECONDS, eventually_now

DEPLOYED = uuid4().hex
MARKS = {DEPLOYMENT: DEPLOYED, KERNEL_ID: "k1", GENERATION: "3"}
SLEEP = "echo; exec sleep 1000"
SLEEP_BESIDE = "sleep 1000 & echo $!; wait"

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a script of sh in a session of its own, ready when it has printed a line, which is in `args[-1]`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str = SLEEP, marks: Mapping[str, str] = MARKS) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script],
            env={"PATH": os.environ["PATH"], **marks},
            start_new_session=True,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    # What was started beside a leader is nobody's child here, and dies a little later.
    eventually_now(lambda: not pids(), "nothing is left for the next test to find")


def said(process: subprocess.Popen[bytes]) -> bytes:
    """The first line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def pids(deployment_id: str = DEPLOYED) -> set[int]:
    return {process.pid for process in kernels_processes(deployment_id)}


def only(pid: int) -> KernelsProcess:
    return next(process for process in kernels_processes(DEPLOYED) if process.pid == pid)


def test_a_kernels_process_is_known_by_its_environment(start: Start) -> None:
    process = start()
    said(process)
    found = only(process.pid)
    assert (found.kernel_id, found.generation) == ("k1", 3)


def test_what_a_kernel_has_started_is_found_when_the_kernel_is_gone(start: Start) -> None:
    kernel = start(SLEEP_BESIDE)
    child = int(said(kernel))
    kernel.kill()
    kernel.wait()
    assert pids() == {child}
    assert only(child).kill()


def test_the_kernels_of_another_deployment_are_not_found(start: Start) -> None:
    said(start(marks={**MARKS, DEPLOYMENT: uuid4().hex}))
    assert pids() == set()


@pytest.mark.parametrize(
    "marks",
    [
        {},
        {DEPLOYMENT: DEPLOYED},
        {DEPLOYMENT: DEPLOYED, KERNEL_ID: "k1"},
        {DEPLOYMENT: DEPLOYED, KERNEL_ID: "k1", GENERATION: "x"},
        {"OTHER": f"{DEPLOYMENT}={DEPLOYED}", KERNEL_ID: "k1", GENERATION: "1"},
    ],
    ids=["none", "deployment alone", "no generation", "no number", "in another's value"],
)
def test_a_process_without_all_the_marks_is_nobodys(start: Start, marks: dict[str, str]) -> None:
    said(start(marks=marks))
    assert pids() == set()


def test_the_gateway_never_finds_itself(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    process = start()
    said(process)
    monkeypatch.setattr(os, "getpid", lambda: process.pid)
    assert pids() == set()


def test_the_processes_of_other_users_are_not_looked_at(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    said(start())
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert pids() == set()


def test_a_process_that_is_killed_takes_its_group_along(start: Start) -> None:
    kernel = start(SLEEP_BESIDE)
    child = int(said(kernel))
    descriptor = os.pidfd_open(child)
    assert only(kernel.pid).kill()
    assert kernel.wait() == -signal.SIGKILL
    ended, _, _ = select.select([descriptor], [], [], PATIENCE_SECONDS)
    assert ended
    assert child not in pids()
    os.close(descriptor)


def test_a_pid_that_is_another_processs_by_now_is_not_killed(start: Start) -> None:
    process = start()
    said(process)
    former = KernelsProcess(pid=process.pid, start_ticks=1, kernel_id="k1", generation=3)
    assert not former.kill()
    assert process.poll() is None


def test_a_process_that_has_ended_meanwhile_is_no_error(start: Start) -> None:
    process = start()
    said(process)
    found = only(process.pid)
    process.kill()
    process.wait()
    assert not found.kill()


def test_a_census_names_processes_and_directories_and_whose_they_are(start: Start, tmp_path: Path) -> None:
    process = start()
    said(process)
    directories = RuntimeDirectories(tmp_path)
    (tmp_path / "k2.1").mkdir()
    census = take_census(DEPLOYED, directories)
    assert [each.pid for each in census.processes] == [process.pid]
    assert list(census.directories) == [KernelsDirectory(kernel_id="k2", generation=1)]
    assert census.kernel_ids == {"k1", "k2"}


def test_a_host_without_kernels_has_an_empty_census(tmp_path: Path) -> None:
    assert take_census(DEPLOYED, RuntimeDirectories(tmp_path / "gone")) == Census(processes=[], directories=[])
