"""Hypothesis looks for a course of events that breaks a promise: faults of all kinds, in any order, at any time."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.simulation.network import CLAIM, NONE, Fault
from tests.simulation.replica import Replica
from tests.simulation.world import TIMEOUT, Kernel, World, world

MOST_REPLICAS = 5
MOST_KERNELS = 4
WHO = st.integers(0, 1000)
FAULTS = st.one_of(
    st.just(Fault(lost=True)),
    st.just(Fault(unanswered=True)),
    st.floats(0.1, 40.0).map(lambda seconds: Fault(late_seconds=seconds)),
    st.floats(0.1, 8.0).map(lambda seconds: Fault(slow_seconds=seconds)),
)


class Disturbed(RuleBasedStateMachine):
    """What may happen to any deployment."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()

    def teardown(self) -> None:
        try:
            if hasattr(self, "world") and not self.world.violations:
                self.world.settle()
        finally:
            self._stack.close()

    def _replica(self, who: int) -> Replica | None:
        live = self.world.live
        return live[who % len(live)] if live else None

    def _kernel(self, which: int) -> Kernel | None:
        living = self.world.living_kernels
        return living[which % len(living)] if living else None

    def _to(self, who: int, what: Any) -> None:
        replica = self._replica(who)
        if replica is not None:
            what(replica)

    def _healthy(self, replica: Replica) -> bool:
        return replica.running.is_set() and not replica.cut and replica.store.available and replica.store.clock.set

    # Time

    @rule(seconds=st.floats(0.1, 12.0))
    def a_while_passes(self, seconds: float) -> None:
        self.world.passes(seconds)

    @rule()
    def a_lease_passes(self) -> None:
        self.world.passes(17.0)

    @rule()
    def almost_a_timeout_passes(self) -> None:
        self.world.passes(TIMEOUT - 8.0)

    # Faults

    @precondition(lambda self: len(self.world.live) < MOST_REPLICAS)
    @rule()
    def start(self) -> None:
        self.world.start()

    @rule(who=WHO)
    def kill(self, who: int) -> None:
        self._to(who, self.world.kill)

    @rule(who=WHO)
    def pause(self, who: int) -> None:
        self._to(who, self.world.pause)

    @rule(who=WHO)
    def resume(self, who: int) -> None:
        self._to(who, self.world.resume)

    @rule(who=WHO)
    def cut(self, who: int) -> None:
        self._to(who, self.world.cut)

    @rule(who=WHO)
    def mend(self, who: int) -> None:
        self._to(who, self.world.mend)

    @rule(who=WHO, seconds=st.floats(1.0, 100.0))
    def suspend(self, who: int, seconds: float) -> None:
        self._to(who, lambda replica: self.world.suspend(replica, seconds))

    @rule(who=WHO, collection=st.sampled_from(["kernels", "replicas", "leases"]), fault=FAULTS)
    def spoil(self, who: int, collection: str, fault: Fault) -> None:
        self._to(who, lambda replica: self.world.spoil(replica, collection, fault))

    @rule(fault=FAULTS)
    def spoil_what_the_leader_writes_next(self, fault: Fault) -> None:
        for replica in self.world.live:
            if replica.leads:
                self.world.spoil(replica, "kernels", fault)

    @rule()
    def cut_the_leader_off(self) -> None:
        for replica in self.world.live:
            if replica.leads:
                self.world.cut(replica)

    @rule()
    def the_database_goes(self) -> None:
        self.world.go_away()

    @rule()
    def the_database_comes_back(self) -> None:
        self.world.come_back()

    @rule(seconds=st.floats(-100.0, 100.0))
    def the_clock_of_the_database_jumps(self, seconds: float) -> None:
        """Somebody has to see it: what happens while no replica is there, nobody can know."""
        if not self.world.away and any(replica.leads and self._healthy(replica) for replica in self.world.live):
            self.world.step_clock(seconds)
            self.world.passes(12.0)

    @rule(seconds=st.floats(5.0, 80.0))
    def an_outage(self, seconds: float) -> None:
        """The database is away for a while."""
        self.world.go_away()
        self.world.passes(seconds)
        self.world.come_back()

    @rule(slow=st.floats(4.0, 4.8), seconds=st.floats(8.0, 30.0))
    def the_leader_hears_late_of_a_renewal_and_is_cut_off(self, slow: float, seconds: float) -> None:
        leader = self._healthy_leader()
        if leader is not None:
            self._spoil_now(leader, "leases", Fault(slow_seconds=slow))
            self.world.passes(slow + 0.05)
            self.world.cut(leader)
            self._steps(seconds)
            self.world.mend(leader)

    @rule()
    def all_is_well_again(self) -> None:
        """Faults that add up leave nothing to break."""
        self.world.come_back()
        for replica in self.world.live:
            self.world.mend(replica)
            self.world.resume(replica)
        while len(self.world.live) < MOST_REPLICAS // 2:
            self.world.start()
        self.world.passes(30.0)

    def _healthy_leader(self) -> Replica | None:
        """Who leads, one whose work goes well; where there is none, all is made well first."""
        for _ in range(2):
            for replica in self.world.live:
                if replica.leads and self._healthy(replica) and len(self.world.live) > 1:
                    return replica
            self.all_is_well_again()
        return None

    def _spoil_now(self, replica: Replica, collection: str, fault: Fault, *, after: int = 0) -> None:
        """Spoil the next such write, or a later one, and nothing else; let time pass until it is on its way."""
        replica.link.faults.clear()
        replica.link.faults.extend([(collection, replace(NONE, method=fault.method))] * after)
        self.world.spoil(replica, collection, fault)
        self._until_sent(replica)

    def _until_sent(self, replica: Replica) -> None:
        """Let time pass until what is to be spoilt is on its way."""
        for _ in range(300):
            if replica.link.faults:
                self.world.passes(0.1)

    def _steps(self, seconds: float) -> None:
        """Let time pass, and look often."""
        for _ in range(int(4 * seconds)):
            self.world.passes(0.25)


class Deployment(Disturbed):
    """Kernels that are played, clients that use them and connect: what culling rests on."""

    @initialize(seed=st.integers(0, 10_000), replicas=st.integers(1, 3), who=st.integers(0, 2))
    def begin(self, seed: int, replicas: int, who: int) -> None:
        self.world = self._stack.enter_context(world(replicas, seed))
        self.start_kernel(who)
        assert self.world.kernels, "a search without kernels finds nothing"

    @rule(more=st.floats(-1.0, 12.0))
    def a_kernel_is_almost_due(self, more: float) -> None:
        """So that what comes next comes about when it is culled."""
        kernel = self._kernel(0)
        if kernel is not None:
            due = kernel.acknowledged + TIMEOUT
            self.world.passes(max(0.1, due + more - self.world.loop.now))

    # Kernels and clients

    @precondition(lambda self: len(self.world.kernels) < MOST_KERNELS and not self.world.away)
    @rule(who=WHO)
    def start_kernel(self, who: int) -> None:
        replica = self._replica(who)
        if replica is not None and self._healthy(replica):
            self.world.start_kernel(replica)

    @rule(which=WHO, who=WHO)
    def use(self, which: int, who: int) -> None:
        kernel, replica = self._kernel(which), self._replica(who)
        if kernel is not None and replica is not None:
            self.world.use(kernel, replica)

    @rule(who=WHO)
    def use_and_have_it_written(self, who: int) -> None:
        self.use(0, who)
        self.world.passes(6.0)

    @rule(which=WHO, state=st.sampled_from(["busy", "idle"]))
    def work(self, which: int, state: str) -> None:
        kernel = self._kernel(which)
        if kernel is not None:
            self.world.work(kernel, state)

    @rule(which=WHO, who=WHO, change=st.sampled_from([1, -1]))
    def connect(self, which: int, who: int, change: int) -> None:
        kernel, replica = self._kernel(which), self._replica(who)
        if kernel is not None and replica is not None:
            self.world.connect(kernel, replica, change)

    # What comes about when a kernel is culled

    @rule(
        seconds=st.floats(6.0, 24.0),
        who=WHO,
        meanwhile=st.sampled_from(["nothing", "it is used", "a client connects", "the leader is cut off"]),
    )
    def a_claim_of_the_leader_is_on_its_way_for_long(self, seconds: float, who: int, meanwhile: str) -> None:
        """Often to cull, for then it is time for that."""
        leader = self._healthy_leader()
        if leader is None:
            return
        self.a_kernel_is_almost_due(-1.0)
        self._spoil_now(leader, "kernels", Fault(method=CLAIM, late_seconds=seconds))
        if meanwhile == "it is used":
            self.use(0, who)
        elif meanwhile == "a client connects":
            self.connect(0, who, 1)
        elif meanwhile == "the leader is cut off":
            self.world.cut(leader)
        self.world.passes(seconds)

    @rule()
    def a_claim_of_a_leader_that_is_cut_off_arrives_when_another_leads(self) -> None:
        leader = self._healthy_leader()
        if leader is None:
            return
        self.a_kernel_is_almost_due(-1.0)
        arrives = asyncio.Event()
        self._spoil_now(leader, "kernels", Fault(method=CLAIM, until=arrives))
        self.world.cut(leader)
        term = self.world.highest_used
        for _ in range(100):
            if self.world.highest_used == term:
                self.world.passes(0.5)
        arrives.set()
        self.world.passes(1.0)

    @rule(who=WHO, seconds=st.floats(1.0, 20.0))
    def a_kernel_is_used_where_it_cant_be_written(self, who: int, seconds: float) -> None:
        leader, replica = self._healthy_leader(), self._replica(who)
        if leader is not None and replica is not None:
            self.a_kernel_is_almost_due(-1.0)
            self.world.cut(replica)
            self.use(0, who)
            self.world.passes(seconds)
            self.world.mend(replica)

    @rule(who=WHO, seconds=st.floats(5.0, 100.0))
    def a_kernel_is_used_in_an_outage(self, who: int, seconds: float) -> None:
        self.world.go_away()
        self.world.passes(seconds)
        self.use(0, who)
        self.world.passes(5.0)
        self.world.come_back()
        self.world.passes(5.0)

    @rule(who=WHO, at=st.integers(0, 1), seconds=st.floats(10.0, 80.0))
    def a_client_goes_and_comes_back(self, who: int, at: int, seconds: float) -> None:
        """That it went may arrive last."""
        replica = self._replica(who)
        if replica is None or not self._healthy(replica):
            return
        self.connect(0, who, 1)
        self.world.passes(6.0)
        self.connect(0, who, -1)
        self._spoil_now(replica, "kernels", Fault(late_seconds=seconds), after=at)
        self.connect(0, who, 1)
        self.world.passes(seconds)
        self.world.passes(TIMEOUT)

    @rule(who=WHO, seconds=st.floats(10.0, 80.0))
    def the_replica_of_a_client_is_cut_off(self, who: int, seconds: float) -> None:
        replica = self._replica(who)
        if replica is not None:
            self.connect(0, who, 1)
            self.world.passes(TIMEOUT + 10)
            self.world.cut(replica)
            self.world.passes(seconds)
            self.world.mend(replica)
