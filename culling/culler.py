"""Culls: finds kernels that were idle for too long, and claims each by compare-and-set before it is ended.

Guaranteed: a kernel of which anything has been acknowledged since it was read (activity, an opened WebSocket, a
restart, another leader) is not claimed, nor one that a replica which is not dead has seen used before its timeout was
over, written or not; nothing is claimed without the right to lead. Whoever has claimed a kernel ends it; where only
another replica can, it is marked, and its owner does. Not guaranteed: that a claim whose outcome is unknown is told as
an event. It ends the kernel all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from logging import Logger, LoggerAdapter
from typing import Any, Protocol
from uuid import uuid4

from culling.election import Term
from culling.jumps import unknown
from culling.membership import Membership
from culling.policy import NEVER, CullRules, Verdict, judge
from culling.vouching import Vouching, beats_of
from persistence import steps
from persistence.documents import (
    Act,
    ClockStep,
    EventKind,
    EventRecord,
    KernelCandidate,
    KernelRecord,
    Step,
)
from persistence.errors import StaleWrite, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager

PAGE = 500
MOST_STEPS = 8


class KernelStopper(Protocol):
    """Ends kernels, where this replica can."""

    def reaches(self, kernel: KernelCandidate) -> bool:
        """Say whether this replica can end the kernel."""

    def stop_soon(self, claimed: KernelRecord) -> None:
        """Begin to end a kernel whose stop this replica has claimed; what was begun goes on without the lead."""


@dataclass(kw_only=True)
class Culled:
    """What one pass has seen and done."""

    seen: int = 0
    culled: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    due: set[str] = field(default_factory=set)
    waiting: int = 0
    """Of these: not all replicas have had the time yet to write what they know of it."""
    dry_run: bool = False

    def __str__(self) -> str:
        what = "would be culled (dry run)" if self.dry_run else "culled"
        kept = "".join(f", {number} {why}" for why, number in sorted(self.kept.items()))
        waits = f", {self.waiting} due when all replicas have beaten twice" if self.waiting else ""
        return f"culling: {self.seen} not used for long, {self.culled} {what}{kept}{waits}"


class Culler:
    """The leader's work on kernels that nobody uses.

    Args:
        store: Open.
        membership: Of the leader.
        stopper: Ends kernels.
        rules: Which are culled.
        tell: Takes what has happened, and tells it as soon as that can be told.
        vouching: Says when everybody has had the time to write what he saw of a kernel.
        log: Told of each kernel that is culled.
    """

    def __init__(
        self,
        store: KernelSessionManager,
        membership: Membership,
        stopper: KernelStopper,
        *,
        rules: CullRules,
        tell: Callable[[EventRecord], None],
        vouching: Vouching,
        log: Logger | LoggerAdapter[Any],
    ) -> None:
        self._store = store
        self._membership = membership
        self._stopper = stopper
        self._rules = rules
        self._tell = tell
        self._vouching = vouching
        self._log = log

    async def cull(self, term: Term) -> Culled:
        """Make one pass.

        Raises:
            StoreUnavailable: It was cut short.
        """
        done = Culled(dry_run=self._rules.dry_run)
        if self._rules.max_lifetime_seconds > NEVER:
            before = self._store.clock.earliest_now() - timedelta(seconds=self._rules.max_lifetime_seconds)
            await self._judge_all(await self._store.kernels.older_than(before, limit=PAGE), term, done)
        shortest = self._rules.shortest_timeout_seconds
        if shortest is not None:
            await self._idle_ones(shortest, term, done)
        self._vouching.keep(done.due)
        return done

    async def _idle_ones(self, shortest_seconds: float, term: Term, done: Culled) -> None:
        before = self._store.clock.earliest_now() - timedelta(seconds=shortest_seconds)
        last: KernelCandidate | None = None
        while not term.over:
            page = await self._store.kernels.idle_since(before, after=last, limit=PAGE)
            await self._judge_all(page, term, done)
            if len(page) < PAGE:
                break
            last = page[-1]

    async def _judge_all(self, page: Sequence[KernelCandidate], term: Term, done: Culled) -> None:
        if not page:
            return
        # The members after the kernels: an id that is met, and missing in a later list, is nobody's.
        await self._membership.look()
        beats = beats_of(self._membership.replicas)
        steps_of_the_clock = await self.clock_steps(term)
        for kernel in page:
            now = self._store.clock.earliest_now()
            verdict = judge(kernel, now, self._rules, live=beats.keys(), clock_steps=steps_of_the_clock)
            done.seen += 1
            if not verdict.cull:
                done.kept[verdict.why.value] += 1
                continue
            done.due.add(kernel.kernel_id)
            if not self._vouching.vouched(kernel, beats):
                done.waiting += 1
            elif not term.over and await self._cull(kernel, verdict, term):
                done.culled += 1

    async def clock_steps(self, term: Term) -> list[ClockStep]:
        """Give the jumps that were seen here and by former leaders; what is new is written down for those to come.

        A jump that nobody has seen, as no replica was there, is not known.
        """
        known = list(term.lease.clock_steps)
        new = unknown(self._store.clock.steps, known)
        if new and not term.over:
            await self._store.leases.note_clock_steps(term.lease, (known + new)[-MOST_STEPS:])
        return known + new

    async def _cull(self, kernel: KernelCandidate, verdict: Verdict, term: Term) -> bool:
        if self._rules.dry_run:
            self._log.info("Kernel %s of %s would be %s", kernel.kernel_id, kernel.username, verdict.reason)
            return True
        claimed = await self._claim(kernel, verdict)
        if claimed is None:
            return False
        self._log.info("Kernel %s of %s is %s", kernel.kernel_id, kernel.username, verdict.reason)
        if claimed.act is not None:
            self._stopper.stop_soon(claimed)
        self._tell(self._event(kernel, verdict, term))
        return True

    async def _claim(self, kernel: KernelCandidate, verdict: Verdict) -> KernelRecord | None:
        """Win the kernel, or not; whatever became of the answer, what the record shows is what was won."""
        act: Act | None = None
        if self._stopper.reaches(kernel):
            since = self._store.clock.latest_now()
            act = Act(id=uuid4().hex, replica=self._membership.replica_id, since=since)
        step = steps.claim_cull(kernel, act=act, reason=verdict.reason)
        try:
            return await self._store.kernels.apply(step)
        except StaleWrite:
            return await self._won(step, act)
        except StoreUnavailable:
            if (won := await self._won(step, act)) is not None:
                return won
            raise

    async def _won(self, step: Step, act: Act | None) -> KernelRecord | None:
        found = await self._store.kernels.get_surely(step.kernel_id)
        mine = found is not None and found.act is not None and act is not None and found.act.id == act.id
        return found if mine else None

    def _event(self, kernel: KernelCandidate, verdict: Verdict, term: Term) -> EventRecord:
        return EventRecord(
            event_id=f"{kernel.kernel_id} {kernel.generation} {EventKind.CULLED.value}",
            kind=EventKind.CULLED.value,
            at=self._store.clock.latest_now(),
            replica=self._membership.replica_id,
            kernel_id=kernel.kernel_id,
            username=kernel.username,
            reason=verdict.reason,
            details={"idle_seconds": round(verdict.idle_seconds, 3), "term": term.number},
        )
