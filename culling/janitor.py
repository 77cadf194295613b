"""What the leader does about the dead: declares them, and sees to it that others go on with what they have left.

It works from what the records say at every pass, never from the event of a death, so a pass that is cut short is made
good by the next one, of whichever leader. A replica that does not know yet that it is dead may still write its id.

Guaranteed: nothing of a replica moves before its death is written; a kernel is never ended for want of a way to reach
it before `lost_host_timeout`. Not guaranteed: that a kernel whose host has no live replica is watched by anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from logging import Logger, LoggerAdapter
from typing import Any, Protocol

from culling.election import Term
from culling.membership import Membership
from culling.spreading import reaches, spread
from persistence import steps
from persistence.documents import EventKind, EventRecord, KernelNotice, ReplicaRecord, ReplicaState, Step
from persistence.errors import StaleWrite
from persistence.kernel_session_manager import KernelSessionManager
from persistence.phases import Phase

MOST_A_PASS = 1000
FORGET_AFTER_SECONDS = 7 * 86_400.0


class ActFinisher(Protocol):
    """Finishes acts that were left undone, where this replica can."""

    async def met(self, notice: KernelNotice) -> None:
        """Do what is left to do for a live kernel, if anything is."""


@dataclass(kw_only=True)
class Tidied:
    """What one pass has done."""

    dead: int = 0
    handed_on: int = 0
    lost: int = 0
    unattended: int = 0
    """Kernels without a live owner that no live replica can reach."""

    def __str__(self) -> str:
        return (
            f"{self.dead} replicas declared dead, {self.handed_on} kernels handed on, {self.lost} ended with their "
            f"lost host, {self.unattended} out of everybody's reach"
        )

    @property
    def anything(self) -> bool:
        """Whether anything was done."""
        return bool(self.dead or self.handed_on or self.lost)


class Janitor:
    """The leader's work on what the dead have left.

    Args:
        store: Open.
        membership: Of the leader; who lives is what it has seen.
        finisher: Finishes acts.
        lost_host_timeout_seconds: How long a host may be without a live replica before its kernels' records are ended.
        tell: Takes what has happened, and tells it as soon as that can be told.
        log: Told of each death and of each kernel that changes hands.
    """

    def __init__(
        self,
        store: KernelSessionManager,
        membership: Membership,
        finisher: ActFinisher,
        *,
        lost_host_timeout_seconds: float,
        tell: Callable[[EventRecord], None],
        log: Logger | LoggerAdapter[Any],
    ) -> None:
        self._store = store
        self._membership = membership
        self._finisher = finisher
        self._lost_host_timeout = timedelta(seconds=lost_host_timeout_seconds)
        self._tell = tell
        self._log = log

    async def tidy(self, term: Term) -> Tidied:
        """Make one pass.

        Raises:
            StoreUnavailable: It was cut short; the next one makes it good.
        """
        done = Tidied()
        while not term.over:
            # First the kernels, then the members: an id that is met, and missing in a later list, is nobody's.
            left = await self._store.kernels.unattended(self._attending(), limit=MOST_A_PASS)
            await self._membership.look()
            await self._hand_on(left, term, done)
            await self._clear(term)
            if not await self._declare_deaths(term, done):
                break
        return done

    def _attending(self) -> list[str]:
        return [record.replica_id for record in self._membership.replicas if record.state != ReplicaState.DEAD]

    # Deaths

    async def _declare_deaths(self, term: Term, done: Tidied) -> bool:
        before = done.dead
        for record in self._membership.replicas:
            suspected = record.state != ReplicaState.DEAD and self._membership.live(record.replica_id) is False
            if suspected and not term.over and await self._declare_dead(record):
                done.dead += 1
                self._tell(self._death(record, term))
        if done.dead > before:
            await self._membership.look()
        return done.dead > before

    async def _declare_dead(self, record: ReplicaRecord) -> bool:
        try:
            await self._store.replicas.declare_dead(record.replica_id, record.beat)
        except StaleWrite:
            return False
        self._log.warning("Replica %s at %s is declared dead", record.replica_id, record.url)
        return True

    def _death(self, record: ReplicaRecord, term: Term) -> EventRecord:
        return EventRecord(
            event_id=f"{record.replica_id} {EventKind.REPLICA_DEAD.value}",
            kind=EventKind.REPLICA_DEAD.value,
            at=self._store.clock.latest_now(),
            replica=self._membership.replica_id,
            reason="no beat was seen for a lease",
            details={"dead": record.replica_id, "url": record.url, "term": term.number},
        )

    async def _clear(self, term: Term) -> None:
        """Drop the counts of the dead, and forget those that are dead for long."""
        for record in self._membership.replicas:
            if record.state == ReplicaState.DEAD and not record.cleared and not term.over:
                await self._store.kernels.drop_connections(record.replica_id, now=self._store.clock.latest_now())
                await self._store.replicas.clear(record.replica_id)
        oldest = self._store.clock.earliest_now() - max(
            2 * self._lost_host_timeout, timedelta(seconds=FORGET_AFTER_SECONDS)
        )
        if any(record.beat_at is not None and record.beat_at < oldest for record in self._membership.replicas):
            await self._store.replicas.forget(before=oldest)

    # What they have left

    async def _hand_on(self, left: Sequence[KernelNotice], term: Term, done: Tidied) -> None:
        attending = set(self._attending())
        orphans: list[KernelNotice] = []
        for notice in left:
            if self._inhabited(notice):
                if notice.phase != Phase.RUNNING.value:
                    await self._finisher.met(notice)
                elif notice.owner not in attending:
                    orphans.append(notice)
            elif not term.over:
                await self._out_of_reach(notice, attending, done)
        if orphans:
            await self._give_owners(orphans, term, done)

    async def _give_owners(self, orphans: Collection[KernelNotice], term: Term, done: Tidied) -> None:
        live = [record for record in self._membership.replicas if self._membership.live(record.replica_id) is True]
        chosen = spread(orphans, live, await self._store.kernels.owned())
        for notice in orphans:
            replica_id = chosen.get(notice.kernel_id)
            if replica_id is None or term.over:
                continue
            step = steps.adopt(notice, replica=replica_id, now=self._store.clock.latest_now())
            if await self._apply(step):
                done.handed_on += 1
                self._log.info("Kernel %s is handed on to replica %s", notice.kernel_id, replica_id)

    async def _out_of_reach(self, notice: KernelNotice, attending: Collection[str], done: Tidied) -> None:
        """A host without a replica that lives, or may: is it lost?"""
        actor = None if notice.act is None else notice.act.replica
        if notice.owner in attending or actor in attending:
            return
        done.unattended += 1
        gone_since = self._gone_since(notice)
        if notice.host is None or self._store.clock.earliest_now() - gone_since <= self._lost_host_timeout:
            return
        reason = f"its host {notice.host.name} was out of reach for {self._lost_host_timeout.total_seconds():g} s"
        step = steps.end_with_host(notice, reason=reason, now=self._store.clock.latest_now())
        if await self._apply(step):
            done.lost += 1
            self._log.warning("Kernel %s is given up: %s", notice.kernel_id, reason)

    def _inhabited(self, notice: KernelNotice) -> bool:
        return any(
            reaches(record, notice) and self._membership.live(record.replica_id) is not False
            for record in self._membership.replicas
        )

    def _gone_since(self, notice: KernelNotice) -> datetime:
        """When a replica that could reach the kernel was last there, as far as is known."""
        beats = [
            record.beat_at
            for record in self._membership.replicas
            if record.beat_at is not None and reaches(record, notice)
        ]
        return max([notice.last_activity, *beats])

    async def _apply(self, step: Step) -> bool:
        try:
            await self._store.kernels.apply(step)
        except StaleWrite:
            return False
        return True
