"""The gate, on real processes: who is not let through has run nothing, and does not stay."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from enterprise_gateway.provisioners import child as module
from enterprise_gateway.provisioners.child import GatedChild, fork_gated
from enterprise_gateway.provisioners.errors import LaunchError, NoRoom
from enterprise_gateway.provisioners.exits import ExitStatus
from enterprise_gateway.provisioners.kernel_log import KernelLog
from enterprise_gateway.provisioners.process import KernelProcess, read_start_ticks

Fork = Callable[..., Awaitable[GatedChild]]
ENV = {"PATH": os.defpath}
SHELLS = [shell for shell in ("/bin/dash", "/bin/bash") if Path(shell).exists()]
SHELLS_OWN = (
    "BASH BASHOPTS BASHPID BASH_ARGV0 BASH_COMMAND BASH_EXECUTION_STRING BASH_SUBSHELL BASH_VERSINFO BASH_VERSION "
    "COMP_WORDBREAKS ENV EPOCHREALTIME EPOCHSECONDS HISTCMD IFS LINENO OLDPWD OPTARG OPTERR OPTIND POSIXLY_CORRECT "
    "EUID PPID PS1 PS2 PS4 PWD RANDOM SECONDS SHELLOPTS SHLVL SRANDOM TMOUT UID _ word"
)


@pytest.fixture
def log(tmp_path: Path) -> KernelLog:
    return KernelLog(tmp_path / "log")


@pytest.fixture
async def fork(log: KernelLog) -> AsyncIterator[Fork]:
    children: list[GatedChild] = []

    async def fork(*argv: str, env: dict[str, str] = ENV, cwd: str = "/") -> GatedChild:
        children.append(await fork_gated(argv, env=env, cwd=cwd, log=log))
        return children[-1]

    yield fork
    for child in children:
        await child.abandon()
        child.process.close()


async def run(child: GatedChild) -> ExitStatus | None:
    child.open()
    await child.process.wait(10)
    return child.process.exit_status


async def test_a_child_runs_nothing_before_the_gate_opens(fork: Fork, tmp_path: Path) -> None:
    child = await fork("touch", str(tmp_path / "ran"))
    await child.abandon()
    assert not (tmp_path / "ran").exists()


async def test_the_opened_gate_lets_it_become_the_command(fork: Fork) -> None:
    child = await fork("sh", "-c", "exit 7")
    assert await run(child) == ExitStatus(code=7)


async def test_pid_and_start_time_stay_when_it_becomes_the_command(fork: Fork, log: KernelLog) -> None:
    child = await fork("sh", "-c", "echo $$; cut -d' ' -f22 /proc/$$/stat")
    await run(child)
    assert log.tail(2) == [str(child.pid), str(child.start_ticks)]


async def test_it_leads_a_session_of_its_own(fork: Fork) -> None:
    child = await fork("sleep", "1000")
    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid


async def test_its_environment_is_the_one_given(fork: Fork, log: KernelLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_GATEWAY", "1")
    await run(await fork("env", env={**ENV, "A": "b c\n'"}, cwd="/usr"))
    assert sorted(log.tail(9)) == sorted([f"PATH={os.defpath}", "PWD=/usr", "A=b c", "'"])


@pytest.mark.parametrize("shell", SHELLS)
async def test_what_a_shell_takes_for_its_own_is_given_as_it_is(
    fork: Fork, log: KernelLog, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setattr(module, "SHELL", shell)
    env = {**ENV, **dict.fromkeys(SHELLS_OWN.split(), "noexec")}
    assert await run(await fork("env", env=env)) == ExitStatus(code=0)
    assert sorted(log.tail(99)) == sorted(f"{name}={value}" for name, value in env.items())


async def test_it_has_no_descriptor_of_the_gateways(fork: Fork, log: KernelLog) -> None:
    inherited = os.open("/", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    await run(await fork("sh", "-c", "ls -l /proc/self/fd"))
    os.close(inherited)
    targets = {line.partition(" -> ")[2] for line in log.tail(9) if " -> " in line}
    assert {target for target in targets if not target.startswith("/proc/")} == {"/dev/null", str(log.path)}


async def test_a_command_that_is_not_found_is_told_by_code_and_log(fork: Fork, log: KernelLog) -> None:
    status = await run(await fork("no-such-command"))
    assert status is not None
    assert status.sentence == "exited with code 127 (its command was not found)"
    assert "no-such-command" in log.tail(1)[0]


async def test_an_argument_is_passed_on_as_it_is(fork: Fork, log: KernelLog) -> None:
    await run(await fork("printf", "%s\n", "$(id) 'a\" *"))
    assert log.tail(1) == ["$(id) 'a\" *"]


async def test_opening_twice_is_harmless(fork: Fork) -> None:
    child = await fork("sleep", "1000")
    child.open()
    child.open()
    assert child.process.alive()


async def test_opening_the_gate_of_a_dead_child_fails(fork: Fork) -> None:
    child = await fork("sleep", "1000")
    os.kill(child.pid, signal.SIGKILL)
    await child.process.wait(10)
    with pytest.raises(LaunchError, match="ended before"):
        child.open()


async def test_an_abandoned_child_can_not_be_let_through(fork: Fork) -> None:
    child = await fork("sleep", "1000")
    await child.abandon()
    with pytest.raises(LaunchError, match="has ended"):
        child.open()


async def test_abandoning_after_the_opening_ends_the_command(fork: Fork) -> None:
    child = await fork("sleep", "1000")
    child.open()
    await child.abandon()
    assert not child.process.alive()


async def test_a_child_whose_object_is_dropped_ends(fork: Fork, log: KernelLog) -> None:
    child = await fork_gated(["sleep", "1000"], env=ENV, cwd="/", log=log)
    process = child.process
    del child
    assert await process.wait(10)


async def test_a_dead_child_leaves_no_zombie_though_nobody_asks(fork: Fork) -> None:
    child = await fork("true")
    second = KernelProcess.find(child.pid, child.start_ticks)
    assert second is not None
    await run(child)
    while (Path("/proc") / str(child.pid)).exists():
        await second.wait(0.01)
    assert second.exit_status == ExitStatus(code=0)


async def test_cancelled_while_it_forks_the_child_ends(log: KernelLog, monkeypatch: pytest.MonkeyPatch) -> None:
    forked: list[KernelProcess] = []
    begun, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    real = module._fork

    def slow(*args: object) -> GatedChild:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        child = real(*args)  # type: ignore[arg-type]
        found = KernelProcess.find(child.pid, child.start_ticks)
        assert found is not None
        forked.append(found)
        return child

    monkeypatch.setattr(module, "_fork", slow)
    task = asyncio.create_task(fork_gated(["sleep", "1000"], env=ENV, cwd="/", log=log))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    go_on.set()
    while not forked:
        await asyncio.wait({asyncio.ensure_future(asyncio.to_thread(bool))})
    assert await forked[0].wait(10)


@pytest.mark.parametrize(
    ("argv", "env", "cwd", "reason"),
    [
        (["true"], ENV, "/no/such/directory", "working directory /no/such/directory can't be used: No such file"),
        (["true"], ENV, "/etc/passwd", "working directory /etc/passwd can't be used: Not a directory"),
        (["true"], {**ENV, "A": "x" * 200_000}, "/", "200018 bytes, 2 variables.* too long for Linux"),
        (["true"], {**ENV, "A": "x\0"}, "/", "NUL"),
        ([], ENV, "/", "empty command"),
    ],
)
async def test_why_it_can_not_be_forked_is_told(
    log: KernelLog, argv: list[str], env: dict[str, str], cwd: str, reason: str
) -> None:
    with pytest.raises(LaunchError, match=reason):
        await fork_gated(argv, env=env, cwd=cwd, log=log)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
async def test_a_child_that_can_not_be_held_is_ended_and_reaped(
    log: KernelLog, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    forked: list[int] = []

    def short(pid: int) -> int:
        forked.append(pid)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", short)
    with pytest.raises(NoRoom, match=r"as many files .*open"):
        await fork_gated(["true"], env=ENV, cwd="/", log=log)
    assert not (Path("/proc") / str(forked[0])).exists()


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
async def test_a_host_without_room_for_a_process_is_told_apart(
    log: KernelLog, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", full)
    with pytest.raises(NoRoom, match="no room for another process"):
        await fork_gated(["true"], env=ENV, cwd="/", log=log)


async def test_a_log_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="could not be started"):
        await fork_gated(["true"], env=ENV, cwd="/", log=KernelLog(tmp_path / "no" / "log"))


def test_a_child_at_its_gate_ends_when_the_gateway_is_killed(tmp_path: Path) -> None:
    script = f"""
import asyncio, pathlib
from enterprise_gateway.provisioners.child import fork_gated
from enterprise_gateway.provisioners.kernel_log import KernelLog

async def main():
    log = KernelLog(pathlib.Path({str(tmp_path)!r}) / "log")
    child = await fork_gated(["touch", {str(tmp_path / "ran")!r}], env={ENV!r}, cwd="/", log=log)
    print(child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        pid = int(gateway.stdout.readline())
        child = KernelProcess.find(pid, read_start_ticks(pid) or 0)
        assert child is not None
        assert child.alive()
        gateway.kill()
    assert asyncio.run(child.wait(10))
    child.close()
    assert not (tmp_path / "ran").exists()
