"""Real processes of `sh` and `sleep`: what is promised here can't be shown on a fake."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enterprise_gateway.provisioners.errors import ProcessStillAlive
from enterprise_gateway.provisioners.exits import ExitStatus
from enterprise_gateway.provisioners.process import KernelProcess, read_start_ticks

# The first wait ends with the trap, the second with the sleep. (A shell lets its background jobs ignore SIGINT.)
SURVIVES_ITS_CHILD = "sleep 1000 & trap : USR1; echo; wait $!; wait $!; exit 5"
Start = Callable[[str], KernelProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a shell script in a session of its own, ready once it has printed a line."""
    started: list[tuple[subprocess.Popen[bytes], KernelProcess]] = []

    def start(script: str) -> KernelProcess:
        popen = subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE)
        assert popen.stdout is not None
        with popen.stdout:
            popen.stdout.readline()
        process = KernelProcess.of_child(popen.pid)
        started.append((popen, process))
        return process

    yield start
    for popen, process in started:
        if not process._closed:
            process.signal_group(signal.SIGKILL)
            process.close()
        popen.wait()


@pytest.fixture
def old_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pidfd_send_signal refuse the flag for groups, as Linux before 6.9 does."""
    real = signal.pidfd_send_signal

    def refuse_flags(pidfd: int, signum: int, siginfo: None = None, flags: int = 0) -> None:
        if flags:
            raise OSError(22, "Invalid argument")
        real(pidfd, signum, siginfo, flags)

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse_flags)


def test_a_process_is_found_by_pid_and_start_time(start: Start) -> None:
    process = start("echo; exec sleep 1000")
    found = KernelProcess.find(process.pid, process.start_ticks)
    assert found is not None
    assert found.alive()


def test_a_pid_with_another_start_time_is_not_found(start: Start) -> None:
    process = start("echo; exec sleep 1000")
    assert KernelProcess.find(process.pid, process.start_ticks - 1) is None


@pytest.mark.parametrize("pid", [-1, 0, 1])
def test_groups_and_init_are_never_found(pid: int) -> None:
    assert KernelProcess.find(pid, read_start_ticks(1) or 0) is None


def test_the_id_of_a_thread_is_not_found() -> None:
    import threading

    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert thread.native_id is not None
    assert KernelProcess.find(thread.native_id, read_start_ticks(thread.native_id) or 0) is None
    done.set()
    thread.join()


def test_a_program_named_like_the_end_of_its_field_is_read_rightly(tmp_path: Path) -> None:
    odd = tmp_path / "a) S 1 (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([str(odd), "1000"]) as popen:
        ticks = read_start_ticks(popen.pid)
        popen.kill()
    own = read_start_ticks(os.getpid())
    assert ticks is not None
    assert own is not None
    assert ticks >= own


async def test_a_zombie_is_dead(start: Start) -> None:
    process = start("echo; exit 3")
    assert await process.wait(10)
    assert not process.alive()
    assert (Path("/proc") / str(process.pid)).exists()  # nobody has reaped it yet


async def test_the_code_of_a_child_is_known_and_it_is_reaped(start: Start) -> None:
    process = start("echo; exit 3")
    await process.wait(10)
    assert process.exit_status == ExitStatus(code=3)
    assert not (Path("/proc") / str(process.pid)).exists()


async def test_a_second_object_knows_how_the_child_ended_after_the_first_reaped_it(start: Start) -> None:
    process = start("echo; exec sleep 1000")
    second = KernelProcess.find(process.pid, process.start_ticks)
    assert second is not None
    process.signal_group(signal.SIGKILL)
    await process.wait(10)
    assert process.exit_status == ExitStatus(signal=signal.SIGKILL)
    assert second.exit_status == ExitStatus(signal=signal.SIGKILL)


async def test_how_a_process_ended_that_is_no_child_is_unknown(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    start(f"sleep 1000 & echo $! > {file}; echo; wait")
    pid = int(file.read_text())
    grandchild = KernelProcess.find(pid, read_start_ticks(pid) or 0)
    assert grandchild is not None
    os.kill(pid, signal.SIGKILL)
    assert await grandchild.wait(10)
    status = grandchild.exit_status
    assert status is not None
    assert not status.known


async def test_a_wait_ends_with_its_time(start: Start) -> None:
    assert not await start("echo; exec sleep 1000").wait(0.01)


async def test_all_who_wait_are_told(start: Start) -> None:
    process = start("echo; exec sleep 1000")
    waiters = [asyncio.create_task(process.wait()) for _ in range(3)]
    while process._death is None:
        await asyncio.wait(waiters, timeout=0.001)
    process.signal_group(signal.SIGKILL)
    assert await asyncio.gather(*waiters) == [True, True, True]


async def test_a_cancelled_wait_leaves_the_others_waiting(start: Start) -> None:
    process = start("echo; exec sleep 1000")
    cancelled, other = asyncio.create_task(process.wait()), asyncio.create_task(process.wait())
    while process._death is None:
        await asyncio.wait({other}, timeout=0.001)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    process.signal_group(signal.SIGKILL)
    assert await other


async def test_who_waits_on_a_closed_process_is_told_that_it_was_not_seen_dead(start: Start) -> None:
    process = start("echo; exec sleep 1000")
    second = KernelProcess.find(process.pid, process.start_ticks)
    assert second is not None
    waiter = asyncio.create_task(second.wait())
    while second._death is None:
        await asyncio.wait({waiter}, timeout=0.001)
    second.close()
    assert not await waiter


def test_a_closed_process_is_not_asked_by_a_number_that_may_be_another_files(start: Start) -> None:
    process = start("echo; exec sleep 1000")
    second = KernelProcess.find(process.pid, process.start_ticks)
    assert second is not None
    second.close()
    with pytest.raises(ValueError, match="closed"):
        second.alive()


async def test_a_shared_process_is_open_until_the_last_holder_has_closed_it(start: Start) -> None:
    process = start("echo; exec sleep 1000")
    first = KernelProcess.find(process.pid, process.start_ticks)
    assert first is not None
    second = first.shared()
    first.close()
    assert second.alive()
    second.close()
    with pytest.raises(ValueError, match="closed"):
        second.alive()


async def test_a_signal_reaches_what_the_process_started(start: Start) -> None:
    process = start(SURVIVES_ITS_CHILD)
    assert process.signal_group(signal.SIGUSR1)
    assert await process.wait(10)
    assert process.exit_status == ExitStatus(code=5)


@pytest.mark.usefixtures("old_linux")
async def test_a_signal_reaches_what_the_process_started_on_older_linux(start: Start) -> None:
    process = start(SURVIVES_ITS_CHILD)
    assert process.signal_group(signal.SIGUSR1)
    assert await process.wait(10)
    assert process.exit_status == ExitStatus(code=5)


@pytest.mark.usefixtures("old_linux")
async def test_on_older_linux_nothing_is_sent_once_the_pid_is_free_for_others(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start("echo; exit 0")
    await process.wait(10)
    assert process.exit_status is not None
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("sent to a number that may be anybody's"))
    assert not process.signal_group(signal.SIGTERM)


def test_a_signal_that_does_not_exist_is_an_error(start: Start) -> None:
    process = start("echo; exec sleep 1000")
    with pytest.raises(OSError, match="Invalid"):
        process.signal_group(4711)


async def test_ending_asks_first(start: Start) -> None:
    process = start("trap 'exit 6' TERM; sleep 1000 & echo; wait")
    assert await process.end(10) == ExitStatus(code=6)


async def test_ending_kills_what_does_not_listen(start: Start) -> None:
    process = start("trap '' TERM; echo; while :; do sleep 1000; done")
    assert await process.end(0.05) == ExitStatus(signal=signal.SIGKILL)


async def test_ending_without_grace_kills_at_once(start: Start) -> None:
    process = start("trap 'exit 6' TERM; sleep 1000 & echo; wait")
    assert await process.end(0) == ExitStatus(signal=signal.SIGKILL)


async def test_ending_ends_what_outlives_its_leader(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    process = start(f"(trap '' TERM; exec sleep 1000) & echo $! > {file}; echo; exec sleep 1000")
    pid = int(file.read_text())
    left = KernelProcess.find(pid, read_start_ticks(pid) or 0)
    assert left is not None
    await process.end(10)
    assert await left.wait(10)


async def test_ending_a_dead_process_again_is_harmless(start: Start) -> None:
    process = start("echo; exec sleep 1000")
    await process.end(0)
    assert await process.end(1) == ExitStatus(signal=signal.SIGKILL)


async def test_a_process_that_does_not_die_is_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start("echo; exec sleep 1000")
    with monkeypatch.context() as deaf:
        deaf.setattr(process, "signal_group", lambda _: True)
        with pytest.raises(ProcessStillAlive, match=str(process.pid)):
            await process.end(0, kill_wait_seconds=0.01)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (ExitStatus(code=0), "exited with code 0"),
        (ExitStatus(code=127), "exited with code 127 (its command was not found)"),
        (ExitStatus(signal=signal.SIGKILL), "was ended by SIGKILL (out of memory, or somebody's kill -9)"),
        (ExitStatus(signal=40), "was ended by signal 40"),
        (ExitStatus(), "ended (only the replica that started it could have known how)"),
    ],
)
def test_an_exit_status_tells_itself(status: ExitStatus, sentence: str) -> None:
    assert status.sentence == sentence


@pytest.mark.parametrize(
    ("status", "returncode"),
    [(ExitStatus(code=3), 3), (ExitStatus(signal=signal.SIGTERM), -15), (ExitStatus(), 0)],
)
def test_an_exit_status_has_the_number_that_subprocess_gives(status: ExitStatus, returncode: int) -> None:
    assert status.returncode == returncode
