"""A process named so that no signal can reach another: by its pid *and* the time it started.

Linux reuses pids. A pidfd, once open, stays with its process for ever; so it is opened first, and only then pid and
start time are compared. From there on nothing is done by pid alone.

Signals go to the whole process group, so that what the kernel started ends with it. The kernel leads its own session
and group. From Linux 6.9 the pidfd itself names the group, even when its leader is gone. On older ones `killpg` is
called right after the pidfd has shown that the leader still exists (a zombie too holds its pid); once it is gone,
nothing is sent, and what the leader left behind is for the host's sweep. `/bin/kill` is never called: that of procps
4.0.2 reads a negative pid as something else and can signal the whole machine.

A zombie is dead here. Objects belong to the event loop they are first waited on.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import weakref
from pathlib import Path

from enterprise_gateway.provisioners.errors import ProcessStillAlive
from enterprise_gateway.provisioners.exits import UNKNOWN, ExitStatus, collect

PROC = Path("/proc")
KILL_WAIT_SECONDS = 5.0
"""How long a process may take to die of SIGKILL. Only an uninterruptible wait in Linux itself takes longer."""

_PIDFD_SIGNAL_PROCESS_GROUP = 4  # linux/pidfd.h, since 6.9
_START_TICKS_FIELD = 22  # proc(5), counted from 1


class KernelProcess:
    """One process, alive or dead, and its process group.

    Made by `find` (any process, by what a record names) or `of_child`. Holds a file descriptor until `close`.

    Attributes:
        pid: Its number, meaningless without the next.
        start_ticks: When it started, in clock ticks since boot.
    """

    def __init__(self, pid: int, start_ticks: int, pidfd: int) -> None:
        self.pid = pid
        self.start_ticks = start_ticks
        self._pidfd = pidfd
        self._closer = weakref.finalize(self, os.close, pidfd)
        self._holders = 1
        self._death: asyncio.Future[None] | None = None

    @classmethod
    def find(cls, pid: int, start_ticks: int) -> KernelProcess | None:
        """Find the process that had this pid and started then.

        Returns:
            None if there is none such any more. A zombie is found, and not `alive`.
        """
        found = cls._open(pid)
        if found is not None and found.start_ticks != start_ticks:
            found.close()
            return None
        return found

    @classmethod
    def of_child(cls, pid: int) -> KernelProcess:
        """Open a child of this process that nobody has reaped yet, whose pid therefore can't be another's.

        Raises:
            ProcessLookupError: It has been reaped, or never was.
        """
        found = cls._open(pid)
        if found is None:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        return found

    @classmethod
    def _open(cls, pid: int) -> KernelProcess | None:
        if pid <= 1:  # init is no kernel; 0 and below would mean groups
            return None
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):  # gone, or by now the id of a thread
                return None
            raise
        # Only now: what is read here is of the process that the pidfd holds, or that one is dead.
        ticks = read_start_ticks(pid)
        if ticks is None:
            os.close(pidfd)
            return None
        return cls(pid, ticks, pidfd)

    def shared(self) -> KernelProcess:
        """Return this object for one more holder, who closes it too: only the last one ends it."""
        self._holders += 1
        return self

    def alive(self) -> bool:
        """Whether the process runs. A zombie does not. Costs one system call."""
        return not _readable(self._descriptor)

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended; None while it lives, `known` only if it was a child of this process. Reaps it."""
        if self.alive():
            return None
        return collect(self._descriptor, self.pid, self.start_ticks) or UNKNOWN

    async def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait for the process to die, without polling.

        Args:
            timeout_seconds: How long at most; None: as long as it takes.

        Returns:
            Whether it is dead; False when the time is over, or the object was closed meanwhile.
        """
        if self.alive():
            await asyncio.wait({self._watch()}, timeout=timeout_seconds)
        return not self._closed and not self.alive()

    def signal_alone(self, signum: int) -> bool:
        """Send a signal to the process alone; says whether it was there."""
        try:
            signal.pidfd_send_signal(self._descriptor, signum)
        except ProcessLookupError:
            return False
        return True

    def signal_group(self, signum: int) -> bool:
        """Send a signal to the process and its group.

        Returns:
            Whether there was somebody to send it to.

        Raises:
            PermissionError: None of them is the gateway's user's.
            OSError: There is no such signal.
        """
        try:
            return self._signal_group(signum)
        except ProcessLookupError:
            return False

    def _signal_group(self, signum: int) -> bool:
        try:
            signal.pidfd_send_signal(self._descriptor, signum, None, _PIDFD_SIGNAL_PROCESS_GROUP)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._signal_group_of_leader(signum)
        return True

    def _signal_group_of_leader(self, signum: int) -> None:
        """Do it as Linux before 6.9 can. Nothing may stand between the two calls."""
        signal.pidfd_send_signal(self._descriptor, 0)  # raises ProcessLookupError once the pid is free for others
        os.killpg(self.pid, signum)

    async def end(self, grace_seconds: float, *, kill_wait_seconds: float = KILL_WAIT_SECONDS) -> ExitStatus:
        """End the process and its group: SIGTERM, and after `grace_seconds` at most SIGKILL. Sees the process dead.

        A grace of 0 or less sends SIGKILL at once. Calling it for a dead process ends what is left of its group, where
        Linux can name that safely. Cancelled in between it leaves a process that was asked to end.

        Raises:
            ProcessStillAlive: It was not seen to die within `kill_wait_seconds` of SIGKILL.
        """
        if grace_seconds > 0 and self.alive():
            self.signal_group(signal.SIGTERM)
            await self.wait(grace_seconds)
        # Also after a death in time: a member of the group may have ignored SIGTERM. Before the reaping, which is what
        # frees the pid on older Linux.
        self.signal_group(signal.SIGKILL)
        if not await self.wait(kill_wait_seconds):
            raise ProcessStillAlive(f"Process {self.pid} did not die within {kill_wait_seconds:g} s of SIGKILL")
        return self.exit_status or UNKNOWN

    def reap_when_dead(self) -> None:
        """Have the running loop reap this child when it dies, remember how it ended, and close this object."""
        self._watch().add_done_callback(lambda _: self._reap())

    def _reap(self) -> None:
        if not self._closed and self.exit_status is not None:
            self.close()

    def close(self) -> None:
        """Give the file descriptor back; the process goes on. Who still waits is told that it was not seen dead."""
        self._holders -= 1
        if self._holders <= 0 and not self._closed:
            self._stop_watching()
            self._closer()

    @property
    def _closed(self) -> bool:
        return not self._closer.alive

    @property
    def _descriptor(self) -> int:
        if self._closed:
            raise ValueError(f"process {self.pid} was closed: its descriptor's number may be another file's by now")
        return self._pidfd

    def _watch(self) -> asyncio.Future[None]:
        """Give the future of the death. All who wait share it, as a loop has one reader for a descriptor."""
        if self._death is None:
            loop = asyncio.get_running_loop()
            self._death = loop.create_future()
            loop.add_reader(self._pidfd, self._stop_watching)
        return self._death

    def _stop_watching(self) -> None:
        if self._death is not None and not self._death.done():
            loop = self._death.get_loop()
            if not loop.is_closed():
                loop.remove_reader(self._pidfd)
                self._death.set_result(None)


def read_start_ticks(pid: int) -> int | None:
    """Read when the process with this pid started, in clock ticks since boot; None if there is none."""
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses, in which anything may stand, parentheses too.
    after_name = stat.rpartition(b")")[2].split()
    return int(after_name[_START_TICKS_FIELD - 3])


def _readable(descriptor: int) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))
