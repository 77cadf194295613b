"""A process that belongs to nobody: started so that its pid is known before it runs, and found again by others.

A pid alone may be another process by now; pid and start time together name one for as long as the machine runs. Signals
go through a pidfd that was opened before the start time was compared, so they never reach another process.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# It waits for a line before it runs the command; end of file, because its starter died before he had recorded it, ends
# it. mongod wants many files (its own advice is 64,000), and must not keep the starter's directory busy.
_GATE = 'read -r go || exit 1; ulimit -Sn "$(ulimit -Hn)"; cd / && exec "$@" </dev/null'

_START_TICKS = 19  # field 22 of /proc/PID/stat, counted from behind the name, which may hold spaces
_STATE = 0


@dataclass(frozen=True)
class ProcessId:
    """What names a process for ever, within one run of the machine and one pid namespace."""

    pid: int
    start_ticks: int


class DetachedProcess:
    """A process, held by a pidfd until `close`, which does not end it.

    Attributes:
        identity: What names it.
        exit_code: How it ended, negative for a signal; None while it lives, and for ever if it is another's child.
    """

    def __init__(self, identity: ProcessId, pidfd: int) -> None:
        self.identity = identity
        self.exit_code: int | None = None
        self._pidfd: int | None = pidfd

    @property
    def pid(self) -> int:
        """Its pid, for people."""
        return self.identity.pid

    @property
    def ended(self) -> bool:
        """Whether it is dead; a zombie is."""
        if self._pidfd is None:
            return True
        ready = select.poll()  # unlike `select` it takes descriptors above 1023
        ready.register(self._pidfd, select.POLLIN)
        return bool(ready.poll(0))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal. Harmless if it is dead."""
        if self._pidfd is not None:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return

    async def wait_ended(self, timeout_seconds: float) -> bool:
        """Wait until it is dead, at most that long; say whether it is. Whose child it was, reaps it."""
        if not self.ended:
            await self._wait_readable(timeout_seconds)
        if self.ended:
            self._reap()
            return True
        return False

    def close(self) -> None:
        """Let go of it."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def __del__(self) -> None:
        self.close()

    async def _wait_readable(self, timeout_seconds: float) -> None:
        assert self._pidfd is not None
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        # A duplicate: the loop knows a descriptor once, and another task may wait for the same process.
        watched = os.dup(self._pidfd)
        loop.add_reader(watched, readable.set)
        try:
            async with asyncio.timeout(timeout_seconds):
                await readable.wait()
        except TimeoutError:
            return
        finally:
            loop.remove_reader(watched)
            os.close(watched)

    def _reap(self) -> None:
        try:
            reaped, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return  # adopted: somebody else's child
        if reaped:
            self.exit_code = os.waitstatus_to_exitcode(status)


def find_process(identity: ProcessId) -> DetachedProcess | None:
    """Take hold of the process that `identity` names; None if it is dead."""
    try:
        pidfd = os.pidfd_open(identity.pid)
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):  # gone, or by now the id of a thread
            return None
        raise
    if _start_ticks(identity.pid) != identity.start_ticks:
        os.close(pidfd)
        return None
    return DetachedProcess(identity, pidfd)


def start_detached(
    command: Sequence[str], *, environment: Mapping[str, str], output: Path, record: Callable[[ProcessId], None]
) -> DetachedProcess:
    """Start a process in a session of its own, which outlives this one. Blocks.

    Args:
        command: What to run, as a whole path and its arguments.
        environment: All of its environment.
        output: What it prints; overwritten.
        record: Called before the command runs. What it raises keeps the command from running.

    Raises:
        OSError: It can't be started.
    """
    gate, opener = os.pipe()
    try:
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _GATE, "sh", *command],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, gate, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_CLOSE, inherited) for inherited in _inheritable_descriptors()),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ),
        )
        process = _own_child(pid)
        try:
            record(process.identity)
            os.write(opener, b"go\n")
        except BaseException:
            process.signal(signal.SIGKILL)
            process.close()
            os.waitpid(pid, 0)
            raise
        return process
    finally:
        os.close(gate)
        os.close(opener)


def _inheritable_descriptors() -> list[int]:
    """List what our own starter left open for all our children: a pipe in a mongod never comes to its end."""
    found = []
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        try:
            if descriptor > 2 and os.get_inheritable(descriptor):
                found.append(descriptor)
        except OSError:
            continue  # the one that read the list
    return found


def _own_child(pid: int) -> DetachedProcess:
    """Hold a child that nobody has reaped yet, so that the pid is still its."""
    ticks = _start_ticks(pid)
    if ticks is None:
        raise ProcessLookupError(f"process {pid} ended at once")
    return DetachedProcess(ProcessId(pid, ticks), os.pidfd_open(pid))


def _start_ticks(pid: int) -> int | None:
    """Read when a process started, in clock ticks since the machine did; None if it is dead or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[_STATE] in "ZX" else int(fields[_START_TICKS])
