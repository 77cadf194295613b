"""How busy a kernel is and when it was last used, as this replica sees it; what of that is still to be written.

Pure bookkeeping in memory. Busy or idle is what *requests* say: a status counts by the message id of its parent, and
those of control requests and of the gateway's own never count (during a long cell a control answer carries `idle` too).
A kernel is busy while any request is.

When something was seen is remembered by the local clock, and told by the database's as it is when it is written: the
one may have jumped since the other was read. What was written before a jump was noticed is written again.

What is absolute (execution state, connection count) carries a number that rises with each change, so that a late write
can't undo a newer one; once acknowledged it is not written again. A change is pending until its flush was
acknowledged; a change that comes between stays pending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from persistence.clock import DatabaseClock
from persistence.kernels import ActivityEntry

# Requests of the control channel: their busy and idle say nothing about the cells.
CONTROL_REQUESTS = frozenset(
    {
        "debug_request",
        "interrupt_request",
        "shutdown_request",
        "usage_request",
        "create_subshell_request",
        "delete_subshell_request",
        "list_subshell_request",
    }
)
# Requests whose `idle` may be missed (the kernel was restarted, IOPub was joined late) must not add up for ever.
MAX_OPEN_REQUESTS = 10_000
# Of a kernel that was not used as far as this replica knows; older than whatever the record holds.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True)
class Question:
    """The gateway's own to a kernel, on shell: which requests were open when it was sent."""

    open: Sequence[str]
    was_busy: bool
    """Was it busy before it answered?"""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a flush has said, by the numbers of what is absolute; 0: nothing."""

    mark: int
    state_n: int
    connections_n: int


class Activity:
    """What this replica knows of one kernel's activity, across its generations.

    Args:
        kernel_id: The kernel.
        clock: The database's.
        turned: Called when the kernel turns busy or idle.
    """

    def __init__(self, kernel_id: str, *, clock: DatabaseClock, turned: Callable[[], None]) -> None:
        self._kernel_id = kernel_id
        self._clock = clock
        self._turned = turned
        self._busy: dict[str, None] = {}
        self._changes = 0
        self._acknowledged = 0
        self._used_at: float | None = None
        self._state: str | None = None
        self._state_n = self._info_n = self._written_state_n = 0
        self._heard_at: float | None = None
        self._confirmed = False
        self._kernel_info: dict[str, Any] | None = None
        self.connections = 0
        self.connections_n = self._written_connections_n = 0
        self._sent: Sent | None = None

    @property
    def execution_state(self) -> str | None:
        """The state as requests tell it; None while unknown."""
        return self._state

    def touch(self) -> None:
        """Something was sent by the kernel or by a client: now."""
        self._used_at = self._heard_at = self._clock.local_now()
        self._confirmed = False
        self._changes += 1

    def status(self, execution_state: str, *, parent_id: str, parent_type: str, own: bool) -> None:
        """A status on IOPub. `own`: its parent is a request of the gateway itself."""
        if own or parent_type in CONTROL_REQUESTS:
            return
        self.touch()
        if execution_state == "busy":
            if len(self._busy) >= MAX_OPEN_REQUESTS:
                self._busy.pop(next(iter(self._busy)))
            self._busy[parent_id] = None
        elif execution_state == "idle":
            self._busy.pop(parent_id, None)
        self._set_state("busy" if self._busy else "idle")

    def in_doubt(self, silent_seconds: float) -> bool:
        """Is nothing known, or was nothing heard for so long that what came last may have been missed?

        Who was idle when asked is in no doubt until something is heard again.
        """
        if self._confirmed:
            return False
        if self._state is None or self._heard_at is None:
            return True
        return self._clock.local_now() - self._heard_at >= silent_seconds

    def asked(self) -> Question:
        """The gateway asks on shell: a kernel that is not known to be idle is busy until it has answered."""
        question = Question(open=tuple(self._busy), was_busy=self._state == "busy")
        if self._state != "idle":
            self._set_state("busy")
        return question

    def unanswered(self, question: Question) -> None:
        """An idle kernel would have answered by now."""
        question.was_busy = True
        self._set_state("busy")

    def answered(self, question: Question) -> None:
        """The kernel is through with all that it was asked before: idle as of now, if nothing came since."""
        for request in question.open:
            self._busy.pop(request, None)
        if question.was_busy:
            self.touch()  # nobody knows since when it is idle
        self._set_state("busy" if self._busy else "idle")
        self._confirmed = not self._busy

    def new_generation(self, execution_state: str | None) -> None:
        """Another process serves the kernel: what the former one was asked is over."""
        self._busy.clear()
        self._state = execution_state
        # As the record has it, of a new generation and of a kernel that has changed hands.
        self._state_n = self._info_n = self._written_state_n = 0
        self._sent = None
        self._heard_at = self._clock.local_now()
        self._confirmed = False

    def learned(self, kernel_info: dict[str, Any]) -> None:
        """The kernel told `kernel_info`."""
        if kernel_info != self._kernel_info:
            self._kernel_info = kernel_info
            self._state_n += 1  # it goes by the number of the state
            self._info_n = self._state_n
            self._changes += 1

    def connections_are(self, count: int) -> int:
        """Set how many WebSockets are open here; returns the number of this change."""
        self.connections = count
        self.connections_n += 1
        self._changes += 1
        return self.connections_n

    def used(self) -> None:
        """It is written elsewhere that it is used now."""
        self._used_at = self._clock.local_now()

    def clock_jumped(self) -> None:
        """What was written of its last use may be of before the jump: write it again."""
        if self._used_at is not None:
            self._changes += 1

    def report_anew(self) -> None:
        """This replica has a new id: all that it knows is to be written under it."""
        self._written_connections_n = 0
        self._sent = None
        self._changes += 1

    def pending(self, generation: int, *, owner: bool) -> tuple[int, ActivityEntry] | None:
        """Return (mark, entry) of what is not yet acknowledged, or None. Only an owner reports the execution state."""
        if self._changes == self._acknowledged:
            return None
        reports_state = owner and self._state is not None and self._state_n > self._written_state_n
        reports_info = reports_state and self._info_n > self._written_state_n
        reports_connections = self.connections_n > self._written_connections_n
        self._sent = Sent(
            mark=self._changes,
            state_n=self._state_n if reports_state else 0,
            connections_n=self.connections_n if reports_connections else 0,
        )
        return self._changes, ActivityEntry(
            kernel_id=self._kernel_id,
            generation=generation,
            last_activity=NEVER if self._used_at is None else self._clock.latest_at(self._used_at),
            execution_state=self._state if reports_state else None,
            execution_n=self._state_n,
            connection_count=self.connections if reports_connections else None,
            connection_n=self.connections_n,
            kernel_info=self._kernel_info if reports_info else None,
            owner=owner,
        )

    def acknowledge(self, mark: int) -> None:
        """What was pending at `mark` is in the database."""
        self._acknowledged = max(self._acknowledged, mark)
        if self._sent is not None and self._sent.mark == mark:
            self._written_state_n = max(self._written_state_n, self._sent.state_n)
            self._written_connections_n = max(self._written_connections_n, self._sent.connections_n)

    def _set_state(self, execution_state: str) -> None:
        if execution_state == self._state:
            return
        self._state = execution_state
        self._state_n += 1
        self._changes += 1
        self._turned()
