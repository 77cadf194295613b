"""A simulated replica: the real membership, election, janitor and culler, over a link; kernels are played by the world.

What the gateway does between a kernel and the database (activity, counts, ownership, stops) is played here in short.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from culling.chronicle import Chronicle
from culling.culler import Culler
from culling.election import Election, Term
from culling.janitor import Janitor
from culling.leader import Leader, may_lead
from culling.membership import Membership
from culling.policy import CullRules
from culling.timings import MembershipTimings
from culling.vouching import Vouching
from persistence import clock, steps
from persistence.clock import DatabaseClock
from persistence.documents import ClockStep, KernelCandidate, KernelNotice, KernelRecord, Step
from persistence.driver import Database
from persistence.errors import PersistenceError, StaleWrite, StoreUnavailable
from persistence.events import EventStore
from persistence.flush import ActivityEntry
from persistence.kernel_session_manager import KernelSessionManager
from persistence.kernels import KernelStore
from persistence.leases import LeaseStore
from persistence.phases import Phase, Target
from persistence.replicas import ReplicaStore
from persistence.sealing import Sealer
from tests.records import HOST
from tests.simulation.network import Link

if TYPE_CHECKING:
    from tests.simulation.world import World

LOG = logging.getLogger("simulation")
LOG.setLevel(logging.CRITICAL)
TIMINGS = MembershipTimings(lease_duration_seconds=10.5)  # as near to the deadline as may be
RULES = CullRules(idle_timeout_seconds=60.0, interval_seconds=10.0)
STOP_LIMIT_SECONDS = 20.0  # then a stop is overdue, and anybody finishes it
KEY = "A" * 43 + "="

current: contextvars.ContextVar[Replica | None] = contextvars.ContextVar("current", default=None)
"""The replica whose code runs: its clocks are the ones that `persistence.clock` gives."""


class SimulatedLeader(Leader):
    """Tells the world when a term begins to be used."""

    replica: Replica

    async def _lead(self, term: Term) -> None:
        self.replica.term = term
        self.replica.world.began(term)
        await super()._lead(term)


class Replica:
    """One replica, from its start to its death.

    Attributes:
        slept: How long its machine was suspended: CLOCK_MONOTONIC stood still then.
        running: Cleared while its process is paused.
        faulted_at: When something went wrong with this replica alone.
        named_at: When it has got its id.
    """

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.slept = 0.0
        self.offset = 1000.0 * number
        self.rate = 1.0 + 0.0005 * (number % 3 - 1)
        self.running = asyncio.Event()
        self.running.set()
        self.dead = self.cut = False
        self.faulted_at = self.named_at = -1.0
        self.term: Term | None = None
        self.owned: set[str] = set()
        self.pending: dict[str, tuple[float | None, float]] = {}
        self.used: dict[str, tuple[float | None, float]] = {}
        self.clock_steps: Sequence[ClockStep] = ()
        self.counts: dict[str, tuple[int, int]] = {}
        self.unreported: set[str] = set()
        self.states: dict[str, tuple[str, int]] = {}
        self.link = Link(world.name, self, world)
        self.store = self._store()
        self.membership = Membership(
            self.store, url="http://x:1", host=HOST, version="1", timings=TIMINGS, log=LOG, monotonic=self.monotonic
        )
        self.membership.on_new_identity(self._new_identity)
        self._context = contextvars.copy_context()
        self._context.run(current.set, self)
        self._tasks: list[asyncio.Task[Any]] = []
        self.run(self._live())

    # Clocks

    def monotonic(self) -> float:
        return self.boottime() - self.slept

    def boottime(self) -> float:
        return self.offset + self.rate * self.world.loop.now

    @property
    def term_number(self) -> int | None:
        return None if self.term is None else self.term.number

    @property
    def leads(self) -> bool:
        return not self.dead and self.term is not None and not self.term.over

    def run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something as this replica."""
        task = self.world.loop.create_task(work, context=self._context)
        self._tasks.append(task)
        return task

    def _store(self) -> KernelSessionManager:
        store = KernelSessionManager(mongodb_uri="mongomock://")
        store.database = Database(
            self.link,
            "simulation",
            is_replica_set=False,
            operation_timeout_seconds=TIMINGS.operation_timeout_seconds,
            log=LOG,
        )
        store._opened = store.database
        store.kernels, store.replicas = KernelStore(store.database), ReplicaStore(store.database)
        store.leases, store.events = LeaseStore(store.database), EventStore(store.database)
        store.clock, store.sealer = DatabaseClock(now=self.boottime), Sealer([KEY])
        return store

    async def _live(self) -> None:
        while True:
            try:
                await self.membership.register()
                break
            except StoreUnavailable:
                await clock.sleep(1.0)
        for duty in (self._beat(), self._look(), self._leader().lead_for_ever()):
            self.run(duty)

    def _leader(self) -> Leader:
        vouching = Vouching()
        chronicle = Chronicle(self.store, replica_id=lambda: self.membership.replica_id, log=LOG)
        self.run(chronicle.tell_for_ever())
        election = Election(
            self.store,
            holder=lambda: self.membership.replica_id,
            timings=TIMINGS,
            log=LOG,
            willing=lambda: may_lead(self.membership),
            monotonic=self.monotonic,
            boottime=self.boottime,
        )
        janitor = Janitor(
            self.store, self.membership, self, lost_host_timeout_seconds=86_400.0, tell=chronicle.add, log=LOG
        )
        culler = Culler(self.store, self.membership, self, rules=RULES, tell=chronicle.add, vouching=vouching, log=LOG)
        leader = SimulatedLeader(
            election,
            self.membership,
            janitor,
            culler,
            cull_interval_seconds=RULES.interval_seconds,
            vouching=vouching,
            log=LOG,
            boottime=self.boottime,
        )
        leader.replica = self
        self.store.database.on_return(leader.distrust)
        return leader

    def check(self) -> None:
        """Raise what one of its duties has died of, for none ever should."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    # What the world does to it

    def kill(self) -> None:
        """SIGKILL: what it has sent may still arrive."""
        self.dead = True
        self.running.set()
        for task in self._tasks:
            task.cancel()
        self.world.loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self.world.loop.run_until_complete(self.store.database.close())

    def saw(self, kernel_id: str, state: str | None = None) -> None:
        """A kernel or a client of it has sent something, here."""
        if self.store.clock.set:
            self.pending[kernel_id] = self.used[kernel_id] = (self.store.clock.local_now(), self.world.loop.now)
            if state is not None and kernel_id in self.owned:
                self._state(kernel_id, state)

    def count(self, kernel_id: str, change: int) -> None:
        """A WebSocket was opened or closed; it goes with the next flush."""
        count, n = self.counts.get(kernel_id, (0, 0))
        self.counts[kernel_id] = (max(0, count + change), n + 1)
        self.unreported.add(kernel_id)

    def _state(self, kernel_id: str, state: str) -> None:
        _, n = self.states.get(kernel_id, ("", 0))
        self.states[kernel_id] = (state, n + 1)
        self.pending.setdefault(kernel_id, (None, -1.0))

    def _new_identity(self) -> None:
        self.named_at = self.world.loop.now
        self.owned.clear()
        self.unreported |= {kernel_id for kernel_id, (count, _) in self.counts.items() if count}

    # Its duties

    async def _beat(self) -> None:
        while True:
            await self.membership.beat_once(self.flush)
            await clock.sleep(self.membership.next_beat_seconds())
            await self.running.wait()

    async def flush(self) -> None:
        if self.clock_steps != self.store.clock.steps:
            self.clock_steps = self.store.clock.steps
            self.pending |= self.used
        told, counted = dict(self.pending), {each: self.counts[each] for each in self.unreported}
        entries = [self._entry(kernel_id, told, counted) for kernel_id in {*told, *counted}]
        if not entries:
            return
        identity = self.membership.replica_id
        for kernel_id in await self.store.kernels.flush(identity, uuid4().hex, entries):
            if kernel_id in told:
                self.world.acknowledged(kernel_id, told[kernel_id][1])
                if self.pending.get(kernel_id) == told[kernel_id]:
                    del self.pending[kernel_id]
            if kernel_id in counted:
                self.world.counted(kernel_id, self, identity, counted[kernel_id][0])
                if self.counts[kernel_id] == counted[kernel_id]:
                    self.unreported.discard(kernel_id)

    def _entry(
        self, kernel_id: str, told: dict[str, tuple[float | None, float]], counted: dict[str, tuple[int, int]]
    ) -> ActivityEntry:
        at, _ = told.get(kernel_id, (None, 0.0))
        state, n = self.states.get(kernel_id, (None, 0))
        count = counted.get(kernel_id)
        return ActivityEntry(
            kernel_id=kernel_id,
            generation=1,
            last_activity=self.world.long_ago if at is None else self.store.clock.latest_at(at),
            execution_state=state if kernel_id in self.owned else None,
            execution_n=n,
            connection_count=None if count is None else count[0],
            connection_n=0 if count is None else count[1],
            owner=kernel_id in self.owned,
        )

    async def _look(self) -> None:
        while True:
            await clock.sleep(TIMINGS.renew_interval_seconds)
            await self.running.wait()
            try:
                for notice in await self.store.kernels.notices(self.membership.replica_id, HOST):
                    await self._notice(notice)
            except PersistenceError:
                continue

    async def _notice(self, notice: KernelNotice) -> None:
        if notice.phase == Phase.STOPPING.value:
            await self.met(notice)
        elif notice.phase == Phase.RUNNING.value and notice.target == Target.RUNNING.value:
            if notice.owner is None or self.membership.gone(notice.owner):
                if not await self._try(
                    steps.adopt(notice, replica=self.membership.replica_id, now=self.store.clock.latest_now())
                ):
                    return
                notice = replace(notice, owner=self.membership.replica_id, execution_state=steps.UNKNOWN)
            if notice.owner == self.membership.replica_id:
                if notice.kernel_id not in self.owned or notice.execution_state == steps.UNKNOWN:
                    self.owned.add(notice.kernel_id)
                    self._state(notice.kernel_id, self.world.kernels[notice.kernel_id].state)  # as a probe tells
            else:
                self.owned.discard(notice.kernel_id)

    async def _try(self, step: Step) -> bool:
        try:
            await self.store.kernels.apply(step)
        except StaleWrite:
            return False
        return True

    # The culler's and the janitor's hands

    def reaches(self, kernel: KernelCandidate) -> bool:
        return True

    def stop_soon(self, claimed: KernelRecord) -> None:
        self.run(self._stop(claimed))

    async def met(self, notice: KernelNotice) -> None:
        if notice.act is None:
            return
        age_seconds = (self.store.clock.earliest_now() - notice.act.since).total_seconds()
        if not self.membership.gone(notice.act.replica) and age_seconds < STOP_LIMIT_SECONDS:
            return
        record = await self.store.kernels.get(notice.kernel_id)
        if record is not None and record.act == notice.act:
            act = replace(notice.act, id=uuid4().hex, replica=self.membership.replica_id)
            try:
                claimed = await self.store.kernels.apply(steps.take_over_stop(record, act=act))
            except StaleWrite:
                return
            self.stop_soon(claimed)

    async def _stop(self, claimed: KernelRecord) -> None:
        await clock.sleep(0.1)
        await self.running.wait()
        self.world.kernels[claimed.kernel_id].alive = False
        while True:
            now = self.store.clock.latest_now()
            try:
                await self._try(steps.end_act(claimed, reason=claimed.reason or "", now=now))
            except StoreUnavailable:
                await clock.sleep(1.0)
            else:
                return
