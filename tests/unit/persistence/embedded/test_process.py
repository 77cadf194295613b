import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from persistence.embedded.process import DetachedProcess, ProcessId, find_process, start_detached
from tests.cluster.waiting import eventually_now

SLEEPER = ["/bin/sh", "-c", "echo begun; exec tail -f /dev/null"]


class Recorder:
    """Where a process is recorded before it runs."""

    def __init__(self) -> None:
        self.seen: list[ProcessId] = []

    def __call__(self, identity: ProcessId) -> None:
        self.seen.append(identity)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.fixture
async def sleeper(output: Path) -> AsyncIterator[DetachedProcess]:
    """A process that runs until it is ended."""
    process = start_detached(SLEEPER, environment={"PATH": os.defpath}, output=output, record=Recorder())
    yield process
    process.signal(signal.SIGKILL)
    assert await process.wait_ended(10)
    process.close()


def printed(output: Path) -> str:
    return output.read_text()


def run(command: list[str], output: Path) -> DetachedProcess:
    environment = {"PATH": os.defpath, "GIVEN": "yes"}
    return start_detached(command, environment=environment, output=output, record=Recorder())


async def test_a_process_is_recorded_under_the_name_it_runs_with(output: Path) -> None:
    recorder = Recorder()
    process = start_detached(["/bin/sh", "-c", "echo $$"], environment={}, output=output, record=recorder)
    assert await process.wait_ended(10)
    assert recorder.seen == [process.identity]
    assert printed(output) == f"{process.pid}\n"


async def test_a_process_that_can_not_be_recorded_never_runs(output: Path) -> None:
    seen: list[ProcessId] = []

    def full_disk(identity: ProcessId) -> None:
        seen.append(identity)
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        start_detached(SLEEPER, environment={}, output=output, record=full_disk)
    assert find_process(seen[0]) is None
    assert printed(output) == ""


def test_a_process_whose_starter_dies_before_it_has_recorded_it_never_runs(output: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from persistence.embedded.process import start_detached\n"
        "def die(identity):\n    print(identity.pid, identity.start_ticks, flush=True); os.kill(os.getpid(), 9)\n"
        f"start_detached({SLEEPER!r}, environment={{}}, output=Path({str(output)!r}), record=die)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    left = ProcessId(*map(int, done.stdout.split()))
    eventually_now(lambda: find_process(left) is None, "the process that waited has gone")
    assert printed(output) == ""


async def test_it_has_a_session_and_the_root_directory_and_nothing_of_its_starter(output: Path) -> None:
    process = run(["/bin/sh", "-c", 'echo "$(ps -o sid= -p $$) $PWD $GIVEN ${HOME-none}"; cat'], output)
    assert await process.wait_ended(10)
    assert printed(output).split() == [str(process.pid), "/", "yes", "none"]


async def test_what_its_starter_left_open_for_its_children_is_closed_in_it(output: Path) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    process = run(["/bin/sh", "-c", "ls -l /proc/$$/fd"], output)
    assert await process.wait_ended(10)
    assert os.readlink(f"/proc/self/fd/{writer}") not in printed(output)
    os.close(reader)
    os.close(writer)


async def test_how_a_child_ended_is_known(output: Path) -> None:
    process = run(["/bin/sh", "-c", "exit 62"], output)
    assert await process.wait_ended(10)
    assert process.exit_code == 62


async def test_waiting_for_one_that_lives_ends_when_the_time_is_over(sleeper: DetachedProcess) -> None:
    assert not await sleeper.wait_ended(0.01)
    assert not sleeper.ended


async def test_a_living_process_is_found_by_pid_and_start_time(sleeper: DetachedProcess) -> None:
    found = find_process(sleeper.identity)
    assert found is not None
    found.close()
    assert not sleeper.ended


async def test_a_process_that_took_over_a_pid_is_not_found(sleeper: DetachedProcess) -> None:
    former = ProcessId(sleeper.pid, sleeper.identity.start_ticks - 1)
    assert find_process(former) is None


async def test_two_may_wait_for_one_process(sleeper: DetachedProcess) -> None:
    other = find_process(sleeper.identity)
    assert other is not None
    sleeper.signal(signal.SIGTERM)
    assert await sleeper.wait_ended(10)
    assert await other.wait_ended(10)
    assert sleeper.exit_code == -signal.SIGTERM
    other.close()


async def test_a_signal_to_a_dead_process_is_harmless(output: Path) -> None:
    process = run(["/bin/true"], output)
    assert await process.wait_ended(10)
    process.signal(signal.SIGKILL)
    process.close()
    process.signal(signal.SIGKILL)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    ticks = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19])
    assert find_process(ProcessId(child.pid, ticks)) is None
    child.wait()
