"""Replicas with the real acts of a gateway (launches, restarts, takeovers, deaths, sweeps, ownership, activity).

What is checked more, at every write that arrives and at every gate that opens:

- a kernel never has two processes;
- no kernel is restarted for a death that is not its present generation's;
- nothing is swept that a record names, nor what is being launched;
- when faults stop and all kernels are culled, no process is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels.activity import Activity
from enterprise_gateway.kernels.acts import ActLost, Acts
from enterprise_gateway.kernels.admission import Admission
from enterprise_gateway.kernels.culled import CulledStops
from enterprise_gateway.kernels.deaths import Deaths
from enterprise_gateway.kernels.flushing import Flusher
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.hydrate import Hydrator
from enterprise_gateway.kernels.noticing import Noticing
from enterprise_gateway.kernels.ownership import Ownership
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.restarts import Restarts
from enterprise_gateway.kernels.settings import KernelSettings
from enterprise_gateway.kernels.starting import StartActs
from enterprise_gateway.kernels.startup import Startup
from enterprise_gateway.kernels.stopping import StopActs
from enterprise_gateway.kernels.sweep import Sweep
from enterprise_gateway.kernels.takeover import Takeover
from enterprise_gateway.kernels.undone import Undone
from enterprise_gateway.kernels.work import Work
from enterprise_gateway.lifecycle import Background
from persistence import clock
from persistence.documents import KernelCandidate, KernelNotice, KernelRecord
from persistence.errors import PersistenceError
from tests.records import queued_kernel, request
from tests.simulation.host import Host, Managers, simulated_host
from tests.simulation.network import Message
from tests.simulation.replica import LOG, TIMINGS, Replica
from tests.simulation.world import Kernel, Violation, World, chance, simulated_clocks

LAUNCH_SECONDS = 20.0
SWEEP_SECONDS = 5.0
SETTINGS = KernelSettings(launch_timeout_seconds=LAUNCH_SECONDS, shutdown_wait_seconds=1.0)


class Relay:
    """Nobody is connected."""

    in_use = False
    client_count = 0

    def __init__(self) -> None:
        self.generation: int | None = None

    async def bind(self, connection: Any, generation: int, *, hands_over: bool) -> None:
        self.generation = generation

    def unbind(self, state: str, reason: str | None = None) -> None:
        self.generation = None

    def end(self, state: str, reason: str | None) -> None:
        self.generation = None


class GatewayReplica(Replica):
    """One replica."""

    world: GatewayWorld

    def __init__(self, world: GatewayWorld, number: int) -> None:
        super().__init__(world, number)
        self.parts = KernelParts(
            store=self.store,
            membership=self.membership,
            acts=Acts(self.store, self.membership, LOG),
            managers=cast(Any, Managers(self)),
            admission=Admission(10),
            settings=SETTINGS,
            background=Background(LOG),
            log=LOG,
        )
        self.flusher = Flusher(self.store, self.membership, self.parts.held)
        self.membership.on_new_identity(self.flusher.report_anew)
        ownership = Ownership(self.parts)
        hydrator = Hydrator(self.parts, ownership, self._new_held)
        startup = Startup(self.store, self.parts.acts, self.parts.managers, LOG)
        self.starting, stopping = StartActs(self.parts, startup, hydrator, ownership), StopActs(self.parts)
        ownership.on_death(Deaths(self.parts, self.starting).died)
        takeover = Takeover(self.parts, self.starting, stopping)
        self.restarts = Restarts(self.parts, self.starting, takeover)
        self.undone = Undone(self.parts, takeover, self.parts.managers.host)
        self.stops = CulledStops(self.parts, stopping)
        self.noticing = Noticing(
            self.parts, hydrator, ownership, undone=self.undone, sweep=self._sweep(), shutdown=self._shutdown
        )

    def _new_held(self, kernel_id: str) -> HeldKernel:
        activity = Activity(kernel_id, clock=self.store.clock, turned=self.flusher.soon)
        return HeldKernel(kernel_id, activity=activity, new_relay=lambda held: cast(Any, Relay()))

    def _sweep(self) -> Sweep:
        # Without a grace: it is for those who ask before they kill, and must not be what keeps kernels from the sweep.
        return Sweep(
            local=cast(Any, SimpleNamespace(directories=None, host=None)),
            deployment_id="d",
            interval_seconds=SWEEP_SECONDS,
            grace_seconds=0.0,
            log=LOG,
            now=self.monotonic,
        )

    async def _shutdown(self, kernel_id: str) -> None:
        return None

    # Its duties, by the real code

    async def flush(self) -> None:
        await self.flusher.flush()

    async def _look(self) -> None:
        while True:
            await clock.sleep(TIMINGS.renew_interval_seconds)
            await self.running.wait()
            try:
                await self.noticing.look()
            except PersistenceError:
                continue

    async def met(self, notice: KernelNotice) -> None:
        await self.undone.met(notice)

    def reaches(self, kernel: KernelCandidate) -> bool:
        return self.stops.reaches(kernel)

    def stop_soon(self, claimed: KernelRecord) -> None:
        self.stops.stop_soon(claimed)

    def kill(self) -> None:
        self.world.host.parent_died(self)
        self._tasks += self.parts.background._tasks
        super().kill()

    # What clients ask for

    async def launch(self, kernel_id: str) -> None:
        now, act = self.store.clock.latest_now(), self.parts.acts.new_act()
        until = now + timedelta(seconds=LAUNCH_SECONDS)
        record = queued_kernel(
            kernel_id,
            act=act,
            request=request(has_id=True, deadline=until, launch_timeout_seconds=LAUNCH_SECONDS),
            created_at=now,
            last_activity=now,
        )
        deadline, work = clock.Deadline(LAUNCH_SECONDS), Work(kernel_id=kernel_id)
        try:
            await self.parts.acts.insert(record, give_up=deadline)
            await self.starting.launch(record, work, deadline)
        except (GatewayError, PersistenceError):
            return

    async def restart(self, kernel_id: str) -> None:
        try:
            record = await self.store.kernels.get(kernel_id)
            if record is not None and record.live:
                await self.restarts.restart(record)
        except (GatewayError, PersistenceError, ActLost):
            return


class GatewayWorld(World):
    """A deployment of such replicas."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.host = Host(self)

    def _new_replica(self, number: int) -> Replica:
        return GatewayReplica(self, number)

    @property
    def living_kernels(self) -> list[Kernel]:
        return [kernel for kernel in self.kernels.values() if self.host.running(kernel.kernel_id)]

    def launch(self, replica: Replica) -> Kernel:
        """A client asks for a kernel."""
        kernel = Kernel(f"k{len(self.kernels)}", acknowledged=self.loop.now)
        self.kernels[kernel.kernel_id] = kernel
        replica.run(cast(GatewayReplica, replica).launch(kernel.kernel_id))
        return kernel

    def restart(self, kernel: Kernel, replica: Replica) -> None:
        """A client asks for its restart."""
        replica.run(cast(GatewayReplica, replica).restart(kernel.kernel_id))

    def dies(self, kernel: Kernel) -> None:
        """Its process ends by itself."""
        for process in self.host.running(kernel.kernel_id):
            process.alive = False

    def arrived(self, message: Message, result: Any) -> None:
        super().arrived(message, result)
        if message.update.get("$set", {}).get("execution_state") == "autorestarting" and result is not None:
            died = result["generation"] - 1
            if any(process.generation == died for process in self.host.running(result["_id"])):
                self.violations.append(f"{result['_id']} is restarted for an old death")

    def settle(self) -> None:
        super().settle()
        self.passes(2 * SWEEP_SECONDS + TIMINGS.longest_interval_seconds)
        left = [each for each in self.host.processes if each.alive]
        if left:
            raise Violation(f"left over: {left}")


@contextmanager
def gateway_world(replicas: int = 3, seed: int = 0) -> Iterator[GatewayWorld]:
    """As `world`."""
    with simulated_clocks(), simulated_host(), chance(seed):
        made = GatewayWorld(seed)
        with made.running(replicas):
            yield made
