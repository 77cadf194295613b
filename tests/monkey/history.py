"""What clients were told, and what must therefore be true: the oracle of the monkey.

An answer that was given is a fact. A request without an answer may have been carried out, may yet be (its replica may
be paused with the request unread), or never: what it could have changed stays possible from then on.

A kernel may be culled when it was idle for longer than its timeout until the cull was claimed: no use counts that was
sent before that time, and what is used after the claim is lost. A use is known for sure when it was answered, and the
replica that served it has not died soon after.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from persistence import clock

UNWRITTEN_SECONDS = 5.0
"""What a replica that dies may not have written yet, for it may have been cut off from its database before."""
# A restart on a machine that is too busy, or whose replica died twice over it, ends the kernel. So does its death
# meanwhile.
LAUNCH_FAILED = ("did not answer within", "left undone")
KILLED = ("was ended by SIGKILL", "ended before it could become the kernel")


class Violation(AssertionError):
    """Something that was acknowledged is not true."""


@dataclass(frozen=True)
class Use:
    """A request that was answered, and counts as activity from when it was sent.

    Attributes:
        sent: When, on the monotonic clock.
        by: The replica that answered; None: it has written it first.
    """

    sent: float
    by: str | None


@dataclass(frozen=True)
class End:
    """What the database knows of a kernel's end.

    Attributes:
        reason: What the record says; "None" if the kernel has not ended.
        culled: When the cull was claimed, on the monotonic clock; None: it was not, as far as is known.
    """

    reason: str
    culled: float | None = None


@dataclass
class Story:
    """One kernel, as its client knows it. The client does one thing at a time, so facts come in order.

    Attributes:
        kernel_id: Chosen by the client.
        started: A start was acknowledged.
        deleted: A delete was acknowledged.
        open_starts: How many starts have no answer: each may come at any time.
        open_deletes: The same of deletes.
        open_restarts: The same of restarts.
        value: What its variable was last seen or acknowledged to be; None: not set.
        open_values: What cells without an answer may yet set it to.
        pid: The process that serves it; None while unknown.
        killed: Was its process killed, perhaps while it was starting?
        idle_seconds: How long it may be idle before it is culled.
        uses: Those that are known for sure.
    """

    kernel_id: str
    started: bool = False
    deleted: bool = False
    open_starts: int = 0
    open_deletes: int = 0
    open_restarts: int = 0
    value: int | None = None
    open_values: set[int] = field(default_factory=set)
    pid: int | None = None
    killed: bool = False
    idle_seconds: float = math.inf
    uses: list[Use] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Has nobody asked for its end?"""
        return self.started and not self.deleted and not self.open_deletes

    @property
    def surely_alive(self) -> bool:
        """Must it be found, if no cull was claimed before it was used last?"""
        return self.kept and self._unused_seconds(clock.monotonic()) < self.idle_seconds

    @property
    def surely_gone(self) -> bool:
        """Must it not be found?"""
        return self.deleted and not self.open_starts

    def began_start(self) -> None:
        """A start is sent."""
        self.open_starts += 1

    def was_started(self) -> None:
        """201."""
        self.open_starts -= 1
        self.started = True

    def did_not_start(self) -> None:
        """500: the launch that an earlier request began was left undone."""
        self.open_starts -= 1
        if self.surely_alive or not self.open_starts:
            raise Violation(f"{self.kernel_id}: a start failed, and no other was at work")

    def began_write(self, value: int) -> None:
        """A cell that sets the variable is sent."""
        self.open_values.add(value)

    def was_written(self, value: int, pid: int) -> None:
        """The cell was answered: it was done, and won't be again."""
        self._served_by(pid)
        self.open_values.discard(value)
        self.value = value

    def was_read(self, value: int | None, pid: int) -> None:
        """The variable was read."""
        self._served_by(pid)
        if value != self.value and value not in self._possible():
            raise Violation(f"{self.kernel_id}: read {value}, and it was {self.value} or one of {self._possible()}")
        self.value = value

    def began_restart(self) -> None:
        """A restart is sent."""
        self.open_restarts += 1

    def was_restarted(self) -> None:
        """200."""
        self.open_restarts -= 1
        self.value, self.pid = None, None

    def began_delete(self) -> None:
        """A delete is sent."""
        self.open_deletes += 1

    def was_deleted(self) -> None:
        """204."""
        self.open_deletes -= 1
        self.deleted = True

    def was_not_found(self, end: End) -> None:
        """404, or a list lacks it."""
        if self.kept and not self._was_culled(end) and not self._restart_failed(end.reason):
            used = f"was used {self._unused_seconds(end.culled or clock.monotonic()):.1f} s before"
            raise Violation(f"{self.kernel_id}: 404, it was never deleted, {used}, and says: {end.reason}")
        self.deleted = True

    def _was_culled(self, end: End) -> bool:
        return end.culled is not None and self._unused_seconds(end.culled) > self.idle_seconds

    def _unused_seconds(self, at: float) -> float:
        """How long it may have been idle by then, at most."""
        return at - max((use.sent for use in self.uses if use.sent < at), default=-math.inf)

    def _restart_failed(self, reason: str) -> bool:
        failed = self.open_restarts > 0 and any(words in reason for words in LAUNCH_FAILED)
        return failed or (self.open_restarts > 1 and any(words in reason for words in KILLED))

    def _possible(self) -> set[int | None]:
        return self.open_values | ({None} if self.open_restarts else set())

    def _served_by(self, pid: int) -> None:
        if self.pid not in (None, pid) and not self.open_restarts:
            raise Violation(f"{self.kernel_id}: served by process {pid}, and nobody has restarted {self.pid}")
        self.pid = pid


class History:
    """All stories.

    Args:
        idle_seconds: How long each kernel may be idle before it is culled.
    """

    def __init__(self, idle_seconds: float = math.inf) -> None:
        self.stories: list[Story] = []
        self._idle_seconds = idle_seconds
        self._unheard: set[str] = set()

    def new(self, kernel_id: str) -> Story:
        """Begin a kernel's story."""
        story = Story(kernel_id, idle_seconds=self._idle_seconds)
        self.stories.append(story)
        return story

    def was_used(self, story: Story, sent: float, by: str | None) -> None:
        """A request that counts as activity was answered by a replica."""
        if by not in self._unheard:
            story.uses.append(Use(sent, by))

    def dies(self, replica: str, unwritten_seconds: float = UNWRITTEN_SECONDS) -> None:
        """A replica is killed, or held for dead: what it saw last may be written nowhere."""
        since = clock.monotonic() - unwritten_seconds
        for story in self.stories:
            story.uses = [use for use in story.uses if use.by != replica or use.sent < since]

    @contextmanager
    def unheard(self, replica: str) -> Iterator[None]:
        """A replica serves its clients, and is held for dead by the others: nobody else knows of what it sees."""
        self._unheard.add(replica)
        yield
        self._unheard.discard(replica)
        self.dies(replica)

    def killed(self, kernel_id: str) -> None:
        """Somebody kills the kernel's process: it is restarted, at a time that nobody is told."""
        for story in self.stories:
            if story.kernel_id == kernel_id:
                story.killed = True
                story.began_restart()

    def alive_before(self) -> set[str]:
        """The kernels that a list must show which is asked for now, unless they are deleted meanwhile."""
        return {story.kernel_id for story in self.stories if story.surely_alive}

    def gone_before(self) -> set[str]:
        """The kernels that no list may show which is asked for now."""
        return {story.kernel_id for story in self.stories if story.surely_gone}

    def was_listed(self, listed: set[str], alive_before: set[str], gone_before: set[str]) -> list[Story]:
        """Check a list that was answered; returns whom it lacks, for each of whom there must be an end."""
        revived = listed & gone_before & self.gone_before()
        if revived:
            raise Violation(f"a list shows {revived}, which were deleted")
        lacking = (alive_before & self.alive_before()) - listed
        return [story for story in self.stories if story.kernel_id in lacking and not story.open_restarts]
