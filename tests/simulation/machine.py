"""Hypothesis looks for a course of events that breaks a promise: faults of all kinds, in any order, at any time."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.simulation.network import Fault
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


class Deployment(RuleBasedStateMachine):
    """What may happen to a deployment."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.world: World

    @initialize(seed=st.integers(0, 10_000), replicas=st.integers(1, 3))
    def begin(self, seed: int, replicas: int) -> None:
        self.world = self._stack.enter_context(world(replicas, seed))
        self.start_kernel(0)
        assert self.world.kernels, "a search without kernels finds nothing"

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

    def _healthy(self, replica: Replica) -> bool:
        return replica.running.is_set() and not replica.cut and replica.store.available and replica.store.clock.set

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

    @rule(seconds=st.floats(5.0, 45.0))
    def a_write_of_the_leader_is_on_its_way_for_long(self, seconds: float) -> None:
        """Often a claim, for then it is time for one."""
        for replica in self.world.live:
            if replica.leads and replica.running.is_set():
                self.a_kernel_is_almost_due(-1.0)
                self.world.spoil(replica, "kernels", Fault(late_seconds=seconds))
                for _ in range(40):
                    if replica.link.faults:
                        self.world.passes(0.3)

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

    def _to(self, who: int, what: Any) -> None:
        replica = self._replica(who)
        if replica is not None:
            what(replica)
