"""A child that is forked, known by pid and start time, and waits: it becomes the kernel only when the gate opens.

Between fork and record nobody else knows the pid. So the child stands at a gate, a pipe, until its pid and start time
are stored; the pipe's end ends it. If the gateway is killed before, the child ends by itself, and has run nothing. The
one at the gate is `/bin/sh` with a line of script, which costs a millisecond and replaces itself with the command.

The child leads its own session and group, has no descriptor of the gateway's, the null device as stdin, and one file
as stdout and stderr. Its environment is the one given and no other, but for what any shell does: it sets `PWD` where
that is not given, and leaves out variables whose names are no identifiers. What a shell would take for its own, stumble
over or change (`OPTIND`, `IFS`, `UID`) is kept from it. Forking is done by a thread, off the event loop.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import subprocess
import weakref
from collections.abc import Mapping, Sequence

from enterprise_gateway.provisioners.errors import EnvironmentTooLong, LaunchError, NoRoom
from enterprise_gateway.provisioners.kernel_log import KernelLog
from enterprise_gateway.provisioners.process import KernelProcess
from enterprise_gateway.shortage import shortage

SHELL = "/bin/sh"
_OPEN = b"go\n"
# `read` fails at the end of the pipe. The pipe is stdin, as descriptors above 9 can't be named in every sh.
_GATE = 'IFS= read -r word && [ "$word" = go ] && exec "$@" </dev/null'
# The variables that dash or bash sets, reads or can't set, and the gate's own. These are given by `env`, as arguments.
_SHELLS_OWN = re.compile(
    "_|word|BASH(?:OPTS|PID|_.*)?|CHILD_MAX|COMP_WORDBREAKS|DIRSTACK|ENV|EPOCH(?:REALTIME|SECONDS)|E?UID|FUNC(?:NAME|NEST)"
    "|GROUPS|HISTCMD|IFS|LINENO|(?:OLD)?PWD|OPT(?:ARG|ERR|IND)|PIPESTATUS|POSIXLY_CORRECT|PPID|PS[1-4]|S?RANDOM|REPLY"
    "|SECONDS|SHELLOPTS|SHLVL|TMOUT"
)
_SET = "/usr/bin/env"
_NAME = "kernel"  # what the shell calls itself in "kernel: 1: exec: foo: not found"
_ABANDON_SECONDS = 5.0
_NO_ROOM = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT})


class GatedChild:
    """A child at its gate. If the object is dropped, the gate's pipe ends, and so does the child.

    Attributes:
        process: The child; from the opening on, the kernel.
    """

    def __init__(self, process: KernelProcess, gate: int) -> None:
        self.process = process
        self._reaper = process.shared()  # until it is dead, whenever whoever holds the kernel closes it
        self._gate = gate
        self._closer = weakref.finalize(self, os.close, gate)

    @property
    def pid(self) -> int:
        """The child's pid, which remains the kernel's."""
        return self.process.pid

    @property
    def start_ticks(self) -> int:
        """When the child started, in clock ticks since boot; `exec` does not change it."""
        return self.process.start_ticks

    def open(self) -> None:
        """Let the child become the kernel. Calling it again is harmless.

        Raises:
            LaunchError: The child has ended at the gate, or was abandoned.
        """
        if not self._closer.alive:
            if self.process.alive():
                return
            raise LaunchError(f"The process {self.pid} that was to become the kernel has ended")
        try:
            os.write(self._gate, _OPEN)
        except BrokenPipeError as error:
            raise LaunchError(f"The process {self.pid} ended before it could become the kernel") from error
        finally:
            self._closer()

    def reap_when_dead(self) -> None:
        """See to it that the child leaves no zombie, whoever watches the kernel by then."""
        self._reaper.reap_when_dead()

    def close(self) -> None:
        """End the child if it is still at its gate, without waiting for it. A kernel goes on."""
        self._closer()

    async def abandon(self) -> None:
        """End the child at its gate, and see it dead. One that was let through is ended too, without grace.

        Raises:
            ProcessStillAlive: It did not die of SIGKILL.
        """
        at_the_gate = self._closer.alive
        self.close()
        if not at_the_gate or not await self.process.wait(_ABANDON_SECONDS):
            await self.process.end(0)


async def fork_gated(argv: Sequence[str], *, env: Mapping[str, str], cwd: str, log: KernelLog) -> GatedChild:
    """Fork a child that waits at its gate. Cancelled meanwhile, it ends the child.

    Args:
        argv: The command to become; its first part is searched for in the PATH of `env`.
        env: The whole environment.
        cwd: Where it is to run; must exist.
        log: Gets its stdout and stderr.

    Raises:
        LaunchError: It can't be forked. A command that isn't found is only known when the gate opens: exit code 127.
    """
    forking = asyncio.ensure_future(asyncio.to_thread(_fork, tuple(argv), dict(env), cwd, log))
    try:
        child = await asyncio.shield(forking)
    except asyncio.CancelledError:
        # The thread can't be stopped: the child that it may yet bring is left at the gate, and reaped.
        forking.add_done_callback(_drop)
        raise
    child.reap_when_dead()
    return child


def _fork(argv: tuple[str, ...], env: dict[str, str], cwd: str, log: KernelLog) -> GatedChild:
    if not argv:
        raise LaunchError("The kernelspec has an empty command (argv)")
    try:
        return _fork_child(argv, env, cwd, log)
    except OSError as error:
        if error.errno in _NO_ROOM:
            lacking = shortage(error) or error.strerror
            raise NoRoom(f"this host has no room for another process: {lacking}") from error
        if error.errno == errno.E2BIG:
            raise EnvironmentTooLong(_size(env)) from error
        raise LaunchError(_reason(error, argv, cwd)) from error
    except ValueError as error:  # its message may quote what it is about: an environment
        raise LaunchError("The command or the environment holds a character that Linux does not allow (NUL)") from error


def _fork_child(argv: tuple[str, ...], env: dict[str, str], cwd: str, log: KernelLog) -> GatedChild:
    gate_read, gate_write = os.pipe()
    try:
        output = log.open_for_writing()
        try:
            popen = subprocess.Popen(
                [SHELL, "-c", _GATE, _NAME, *_setting(env), *argv],
                stdin=gate_read,
                stdout=output,
                stderr=output,
                env={name: value for name, value in env.items() if not _SHELLS_OWN.fullmatch(name)},
                cwd=cwd,
                start_new_session=True,
            )
        finally:
            os.close(output)
        return GatedChild(_hold(popen), gate_write)
    except BaseException:
        os.close(gate_write)
        raise
    finally:
        os.close(gate_read)


def _setting(env: Mapping[str, str]) -> list[str]:
    """Return the words before a command that set what the shell is not told of."""
    kept = [f"{name}={value}" for name, value in env.items() if _SHELLS_OWN.fullmatch(name)]
    return [_SET, *kept] if kept else []


def _hold(popen: subprocess.Popen[bytes]) -> KernelProcess:
    """Take the child over from Popen, which would warn about it and reap it by its number."""
    try:
        held = KernelProcess.of_child(popen.pid)
    except OSError:  # no descriptor is left for a pidfd
        popen.kill()
        popen.wait()
        raise
    popen.returncode = 0
    return held


def _reason(error: OSError, argv: tuple[str, ...], cwd: str) -> str:
    if error.filename == cwd:
        return f"The working directory {cwd} can't be used: {error.strerror}"
    return f"The command {argv[0]} could not be started: {error.strerror}"


def _size(env: dict[str, str]) -> str:
    size = sum(len(os.fsencode(name)) + len(os.fsencode(value)) for name, value in env.items())
    return f"The environment ({size} bytes, {len(env)} variables) or one of its values is too long for Linux"


def _drop(forking: asyncio.Future[GatedChild]) -> None:
    if not forking.cancelled() and forking.exception() is None:
        child = forking.result()
        child.reap_when_dead()
        child.close()
