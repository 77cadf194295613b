"""How processes ended, and the reaping of those that are this process's own children.

Only the parent learns how a process ended. So every child is reaped here, by its pidfd, and what it left is remembered
by pid and start time: whoever asks later finds it, be it another object for the same process. The parent's knowledge is
lost with the parent: of a kernel that another replica started it is only known *that* it ended.
"""

from __future__ import annotations

import os
import signal
from collections import OrderedDict
from dataclasses import dataclass

REMEMBERED = 4096  # small, and a watcher that comes this late has more serious trouble

_SIGNAL_HINTS: dict[int, str] = {
    signal.SIGKILL: "out of memory, or somebody's kill -9",
    signal.SIGSEGV: "a fault in compiled code",
    signal.SIGABRT: "its own assertion, or out of memory",
    signal.SIGBUS: "a fault in compiled code, or a full disk under mapped memory",
}
_CODE_HINTS = {
    126: "its command could not be executed",
    127: "its command was not found",
}


@dataclass(frozen=True, kw_only=True)
class ExitStatus:
    """How a process ended: by a code, by a signal, or nobody here knows (both None)."""

    code: int | None = None
    signal: int | None = None

    @property
    def known(self) -> bool:
        """Whether this process, as the parent, was told."""
        return self.code is not None or self.signal is not None

    @property
    def returncode(self) -> int:
        """As `subprocess` has it: the code, or the signal's number negated; 0 where it is unknown."""
        return -self.signal if self.signal is not None else self.code or 0

    @property
    def sentence(self) -> str:
        """Tell a person what happened, as the predicate of a sentence: "exited with code 1"."""
        if self.signal is not None:
            return f"was ended by {_signal_name(self.signal)}{_hint(_SIGNAL_HINTS.get(self.signal))}"
        if self.code is not None:
            return f"exited with code {self.code}{_hint(_CODE_HINTS.get(self.code))}"
        return "ended (only the replica that started it could have known how)"


UNKNOWN = ExitStatus()

_known: OrderedDict[tuple[int, int], ExitStatus] = OrderedDict()


def collect(pidfd: int, pid: int, start_ticks: int) -> ExitStatus | None:
    """Reap the process if it is a dead child of this one, and tell how it ended.

    Returns:
        What is known, now or from an earlier call for the same process; None where nothing is, or it lives.
    """
    key = (pid, start_ticks)
    try:
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return _known.get(key)  # somebody else's child, or reaped before
    if found is None:
        return None
    status = _from_waitid(found)
    _known[key] = status
    while len(_known) > REMEMBERED:
        _known.popitem(last=False)
    return status


def remembered(pid: int, start_ticks: int) -> ExitStatus | None:
    """Tell how a child that has been reaped ended, if it is among the last ones."""
    return _known.get((pid, start_ticks))


def _from_waitid(found: os.waitid_result) -> ExitStatus:
    if found.si_code == os.CLD_EXITED:
        return ExitStatus(code=found.si_status)
    return ExitStatus(signal=found.si_status)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _hint(text: str | None) -> str:
    return "" if text is None else f" ({text})"
