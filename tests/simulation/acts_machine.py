"""Hypothesis looks for what breaks a promise of launches, restarts, takeovers and sweeps: the real ones, on simulated
processes."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.simulation.gateway import GatewayWorld, gateway_world
from tests.simulation.machine import MOST_KERNELS, WHO, Disturbed
from tests.simulation.network import CLAIM, Fault

LATE = st.floats(0.1, 1.5)


class Gateways(Disturbed):
    """Kernels that clients launch and restart, and that die."""

    world: GatewayWorld

    @initialize(seed=st.integers(0, 10_000), replicas=st.integers(1, 3))
    def begin(self, seed: int, replicas: int) -> None:
        self.world = self._stack.enter_context(gateway_world(replicas, seed))
        self.launch(0)

    @precondition(lambda self: len(self.world.kernels) < MOST_KERNELS and not self.world.away)
    @rule(who=WHO)
    def launch(self, who: int) -> None:
        replica = self._replica(who)
        if replica is not None and self._healthy(replica):
            self.world.launch(replica)
            self.world.passes(2.0)

    @rule(which=WHO, who=WHO)
    def restart(self, which: int, who: int) -> None:
        kernel, replica = self._kernel(which), self._replica(who)
        if kernel is not None and replica is not None and self._healthy(replica):
            self.world.restart(kernel, replica)
            self.world.passes(0.5)

    @rule(which=WHO)
    def a_kernel_dies(self, which: int) -> None:
        kernel = self._kernel(which)
        if kernel is not None:
            self.world.dies(kernel)

    @rule(which=WHO, late=st.floats(0.5, 10.0))
    def a_kernel_dies_and_is_restarted_at_once(self, which: int, late: float) -> None:
        """What its owner makes of that arrives late; the client asks the same replica."""
        kernel = self._kernel(which)
        if kernel is None:
            return
        owner = self.world.record(kernel.kernel_id).owner
        for replica in self.world.live:
            if replica.membership.replica_id == owner and self._healthy(replica):
                self.world.dies(kernel)
                self._spoil_now(replica, "kernels", Fault(method=CLAIM, late_seconds=late))
                self.world.restart(kernel, replica)
                self.world.passes(late + 5.0)
                return

    @precondition(lambda self: len(self.world.kernels) < MOST_KERNELS and not self.world.away)
    @rule(who=WHO, at=st.integers(0, 2), late=LATE)
    def who_launches_is_held_up(self, who: int, at: int, late: float) -> None:
        """He is paused after one of his writes, and goes on when others have read what he had left; theirs are late."""
        replica = self._replica(who)
        if replica is None or not self._healthy(replica):
            return
        self.world.launch(replica)
        self._spoil_now(replica, "kernels", Fault(method=CLAIM, slow_seconds=0.5), after=at)
        self.world.pause(replica)
        others = [other for other in self.world.live if other is not replica]
        for other in others:
            self.world.spoil(other, "kernels", Fault(method=CLAIM, late_seconds=late))
        for _ in range(400):
            if others and all(other.link.faults for other in others):
                self.world.passes(0.1)
        self.world.resume(replica)
        self.world.passes(late + 5.0)

    @precondition(lambda self: len(self.world.kernels) < MOST_KERNELS and not self.world.away)
    @rule(who=WHO, wait=st.floats(0.0, 5.0))
    def launch_when_a_sweep_may_be_at_work(self, who: int, wait: float) -> None:
        self.world.passes(wait)
        for _ in range(MOST_KERNELS - len(self.world.kernels)):
            replica = self._replica(who)
            if replica is not None and self._healthy(replica):
                self.world.launch(replica)
                self.world.passes(0.11)
