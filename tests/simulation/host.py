"""The processes of kernels as they really are, on the one host of a simulated deployment, and what speaks to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

from enterprise_gateway.kernels import ending, startup, sweep
from enterprise_gateway.kernels.managers import ProcessGone
from enterprise_gateway.provisioners.census import Census, KernelsProcess
from enterprise_gateway.relay import probe
from persistence import clock, steps
from persistence.documents import HostDoc, KernelRecord, Step
from tests.records import HOST
from tests.simulation.replica import current

if TYPE_CHECKING:
    from tests.simulation.gateway import GatewayReplica, GatewayWorld

FORK_SECONDS = 0.05
START_SECONDS = 0.5
THREAD_SECONDS = 0.3


@dataclass(eq=False)
class Process:
    """A process: it waits at its gate until that is opened, and ends there with its parent."""

    pid: int
    kernel_id: str
    generation: int
    parent: GatewayReplica
    alive: bool = True
    runs: bool = False

    @property
    def named(self) -> dict[str, int]:
        """As the record names it."""
        return {"pid": self.pid, "start_ticks": self.pid}


class Host:
    """All processes that there ever were."""

    def __init__(self, world: GatewayWorld) -> None:
        self._world = world
        self.processes: list[Process] = []

    def fork(self, record: KernelRecord, parent: GatewayReplica) -> Process:
        process = Process(len(self.processes), record.kernel_id, record.generation, parent)
        self.processes.append(process)
        return process

    def named(self, name: Mapping[str, Any]) -> Process:
        return self.processes[int(name["pid"])]

    def running(self, kernel_id: str) -> list[Process]:
        return [each for each in self.processes if each.kernel_id == kernel_id and each.alive and each.runs]

    def open(self, process: Process) -> None:
        """Let it go on past its gate."""
        process.runs = True
        if len(self.running(process.kernel_id)) > 1:
            self._world.violations.append(f"{process.kernel_id} has two processes")

    def parent_died(self, parent: GatewayReplica) -> None:
        for process in self.processes:
            if process.parent is parent and not process.runs:
                process.alive = False

    def census(self) -> Census:
        found = [
            Listed(pid=each.pid, start_ticks=each.pid, kernel_id=each.kernel_id, generation=each.generation)
            for each in self.processes
            if each.alive
        ]
        return Census(processes=found, directories=())

    def abandon(self, process: Process) -> None:
        """Its launch kills it: right only where no record says that it runs."""
        document = self._document(process)
        if document and document["phase"] == "running" and document.get("process") == process.named:
            self._world.violations.append(f"{process.kernel_id} is abandoned, and recorded as running")
        process.alive = False

    def _document(self, process: Process) -> Mapping[str, Any] | None:
        return next((each for each in self._world.documents("kernels") if each["_id"] == process.kernel_id), None)

    def sweep(self, process: Process) -> bool:
        """A sweep kills it: right only where no record is of its generation."""
        document = self._document(process)
        if document and document["phase"] != "ended" and document["generation"] <= process.generation:
            self._world.violations.append(f"{process.kernel_id} is swept while it lives")
        was, process.alive = process.alive, False
        return was


class Listed(KernelsProcess):
    """A process as a census lists it. It is none of this machine: only the simulation's is killed."""

    def kill(self) -> bool:
        """End it."""
        world = gateway().world
        return world.host.sweep(world.host.processes[self.pid])


def gateway() -> GatewayReplica:
    """The replica whose code runs."""
    return cast("GatewayReplica", current.get())


class Provisioner:
    """Signals one process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def poll(self) -> int | None:
        return None if self._process.alive else 0

    async def terminate(self, *, restart: bool) -> None:
        await gateway().running.wait()
        self._process.alive = False

    kill = terminate

    async def send_signal(self, number: int) -> None:
        return None

    def get_stable_start_time(self, *, recommended: float) -> float:
        return recommended


class Manager:
    """Of one generation."""

    is_local = True

    def __init__(self, process: Process) -> None:
        self.sim = process
        self.kernel_id = process.kernel_id
        self.process = process.named
        self.provisioner = Provisioner(process)

    async def open(self) -> None:
        await gateway().running.wait()
        gateway().world.host.open(self.sim)

    def connection(self) -> dict[str, int]:
        return {"pid": self.sim.pid}

    def started(self) -> None:
        return None

    def close(self) -> None:
        return None


class HostName:
    """The host, as each replica sees it."""

    def to_doc(self) -> HostDoc:
        return HOST

    def was(self, host: HostDoc) -> bool:
        return False


class Managers:
    """In the place of the gateway's own."""

    host = HostName()

    def __init__(self, replica: GatewayReplica) -> None:
        self._replica = replica
        self.headroom = self

    async def check_for_kernel(self) -> None:
        return None

    def check_for_client(self) -> None:
        return None

    def reaches(self, kernel: Any) -> bool:
        return True

    def check_reach(self, record: KernelRecord) -> None:
        return None

    def gated(self, record: KernelRecord) -> bool:
        return True

    async def launched(self, record: KernelRecord) -> Manager:
        await clock.sleep(FORK_SECONDS)
        await self._replica.running.wait()
        return Manager(self._replica.world.host.fork(record, self._replica))

    async def store_process_step(self, record: KernelRecord, manager: Manager) -> Step:
        return steps.store_process(
            record,
            process=manager.process,
            connection=b"sealed",
            provisioner_name="local",
            provisioner_info=b"sealed",
            host=HOST,
        )

    async def restored(self, record: KernelRecord) -> Manager:
        manager: Any = Manager(self._replica.world.host.named(record.process or {}))
        if not manager.sim.alive:
            raise ProcessGone(manager)
        return manager  # type: ignore[no-any-return]

    async def end_former(self, record: KernelRecord, *, graceful: bool, foreign: object = None) -> None:
        await self._end(record.former, graceful=graceful)

    async def end_present(self, record: KernelRecord, *, serving: object = None, idle: bool = False) -> None:
        for name in (record.process, record.former):
            await self._end(name, graceful=True)

    async def _end(self, name: Mapping[str, Any] | None, *, graceful: bool) -> None:
        if name is not None:
            manager: Any = Manager(self._replica.world.host.named(name))
            await ending.end_kernel(manager, graceful=graceful, grace_seconds=1.0)

    async def abandon(self, manager: Manager) -> None:
        await self._replica.running.wait()
        self._replica.world.host.abandon(manager.sim)

    async def obituary(self, manager: Manager) -> str:
        return "it died"

    async def discard(self, manager: Manager) -> None:
        return None

    end_remains = trim_log = discard


@contextmanager
def simulated_host() -> Iterator[None]:
    """Have what the gateway does to processes be done to simulated ones, and nothing to this machine's."""

    async def inline(work: Any, *args: Any) -> Any:
        await clock.sleep(THREAD_SECONDS)
        await gateway().running.wait()
        return work(*args)

    async def kernel_info(connection: Mapping[str, Any], *, channel: str, timeout_seconds: float) -> dict[str, Any]:
        process = gateway().world.host.named(connection)
        async with asyncio.timeout(timeout_seconds):
            await clock.sleep(START_SECONDS)
            while not process.alive or not process.runs:
                await clock.sleep(START_SECONDS)
        return {"status": "ok"}

    class Questions:
        """To the shell of a kernel that starts: what it is."""

        def __init__(self, connection: Mapping[str, Any], channel: str) -> None:
            self._connection, self._channel = connection, channel

        async def ask(self, msg_type: str, content: object, *, timeout_seconds: float) -> dict[str, Any]:
            assert msg_type == "kernel_info_request"
            return await kernel_info(self._connection, channel=self._channel, timeout_seconds=timeout_seconds)

        def close(self) -> None:
            return None

    async def shutdown_request(connection: Mapping[str, Any], *, restart: bool, timeout_seconds: float) -> None:
        await clock.sleep(0.1)
        gateway().world.host.named(connection).alive = False

    with ExitStack() as stack:
        stack.enter_context(patch.object(asyncio, "to_thread", inline))
        stack.enter_context(patch.object(probe, "kernel_info", kernel_info))
        stack.enter_context(patch.object(startup, "Questions", Questions))
        stack.enter_context(patch.object(probe, "shutdown_request", shutdown_request))
        stack.enter_context(patch.object(sweep, "take_census", lambda *_: gateway().world.host.census()))
        yield
