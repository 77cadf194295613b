from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence import faults, steps
from persistence.errors import ConfigurationError, StaleWrite
from persistence.testing import mock_store
from tests.records import queued_kernel

PASSES_TWO_POINTS = """
import sys
from persistence import faults
faults.arm(sys.argv[1])
faults.reach("first", "k1")
faults.reach("second", "k1")
faults.reach("second", "k1")
"""


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "points"
    faults.arm(f"trace@{file}")
    yield file
    faults.arm("")


def noted(trace: Path) -> list[str]:
    return trace.read_text().splitlines()


def passing_two_points(plan: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PASSES_TWO_POINTS, plan])


def test_a_process_kills_itself_at_the_point_that_is_asked_for() -> None:
    with passing_two_points("kill@second@k1") as process:
        assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("plan", ["kill@third@k1", "kill@second@k2"])
def test_a_point_that_is_not_reached_or_another_kernels_changes_nothing(plan: str) -> None:
    with passing_two_points(plan) as process:
        assert process.wait() == 0


def test_a_process_stops_itself_once_and_goes_on_when_told() -> None:
    with passing_two_points("stop@second@k1") as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.wait() == 0


def test_what_is_reached_is_noted_in_its_order(trace: Path) -> None:
    faults.reach("first", "k1")
    faults.reach("second", "k1")
    assert noted(trace) == ["k1 first", "k1 second"]


def test_nothing_is_noted_any_more_when_it_is_switched_off(trace: Path) -> None:
    faults.arm("")
    faults.reach("first", "k1")
    assert not trace.exists()


@pytest.mark.parametrize("plan", ["burn@first@k1", "kill@first", "kill", "trace", "trace@a@b@c"])
def test_a_plan_that_makes_no_sense_is_refused(plan: str) -> None:
    with pytest.raises(ConfigurationError, match="kill@POINT"):
        faults.arm(plan)


async def test_every_write_of_a_kernels_record_is_a_pair_of_points(trace: Path) -> None:
    record = queued_kernel()
    async with mock_store() as store:
        await store.kernels.insert(record)
        await store.kernels.apply(steps.begin_launch(record))
    assert noted(trace) == [
        "k1 before:insert",
        "k1 after:insert",
        "k1 before:begin launch",
        "k1 after:begin launch",
    ]


async def test_a_step_that_lost_is_never_behind_it(trace: Path) -> None:
    async with mock_store() as store:
        with pytest.raises(StaleWrite):
            await store.kernels.apply(steps.begin_launch(queued_kernel()))
    assert noted(trace) == ["k1 before:begin launch"]
