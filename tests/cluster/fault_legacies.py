"""Replicas that are killed or paused while they see to what others have left, unasked.

Whoever comes first does it. So each case has a cluster of its own: a first replica leaves something and dies, the
victim comes and finds it, and the survivor comes when the victim is at its point.
"""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import httpx

from tests.cluster import light_kernels
from tests.cluster.fault_acts import LOST
from tests.cluster.fault_cases import PLAN, SETTINGS, Case, passed
from tests.cluster.fault_seen import Seen, eventually_none, use
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

AT_ONCE = 3
CULLING = {"EG_CULL_IDLE_TIMEOUT": "0.5", "EG_CULL_INTERVAL": "0.2"}
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def leave_a_kernel(cluster: Cluster, kernel_id: str) -> None:
    """Leave a kernel that runs, and has no owner."""
    former = await come(cluster)
    async with Rest([former.url], cluster.token) as rest:
        await rest.start(name=light_kernels.LIGHT, kernel_id=kernel_id)
    former.kill()
    declare_dead(cluster, former)


async def leave_a_launch(cluster: Cluster, kernel_id: str) -> None:
    """Leave a launch undone whose process is recorded."""
    await leave_at("after:store process", cluster, kernel_id)


async def leave_a_restart(cluster: Cluster, kernel_id: str) -> None:
    """Leave a restart undone that was just claimed."""
    await leave_at("after:claim restart", cluster, kernel_id, "POST", f"/api/kernels/{kernel_id}/restart")


async def leave_a_shutdown(cluster: Cluster, kernel_id: str) -> None:
    """Leave a shutdown undone that was just claimed."""
    await leave_at("after:claim stop", cluster, kernel_id, "DELETE", f"/api/kernels/{kernel_id}")


async def leave_at(point: str, cluster: Cluster, kernel_id: str, *request: str) -> None:
    """Leave what a replica was at that has died at this point: of a start, or of what is asked for after one."""
    former = await come(cluster, {PLAN: f"kill@{point}@{kernel_id}"})
    async with Rest([former.url], cluster.token) as rest:
        with suppress(httpx.TransportError):
            await rest.start(name=light_kernels.LIGHT, kernel_id=kernel_id)
            await rest.request(*request)
    await eventually(lambda: not former.running, f"it dies at '{point}'")
    declare_dead(cluster, former)


async def leave_a_late_launch(cluster: Cluster, kernel_id: str) -> None:
    """Leave a launch undone for which there is no time any more."""
    await leave_a_launch(cluster, kernel_id)
    cluster.write("kernels", kernel_id, {"request.deadline": LONG_AGO})


async def leave_what_a_reboot_leaves(cluster: Cluster, kernel_id: str) -> None:
    """Leave the record of a kernel that ran on this machine before it was started anew."""
    await leave_a_kernel(cluster, kernel_id)
    for process in cluster.kernel_processes(kernel_id):
        process.kill()
    cluster.write("kernels", kernel_id, {"host.id": "before", "host.boot": "before"})


@dataclass(frozen=True)
class Legacy:
    """Something left by the dead.

    Attributes:
        leave: Has a first replica leave it, and die.
        step: The step by which it is claimed.
        end: The phase of the record when it is seen to.
        settings: Of who finds it.
    """

    leave: Callable[[Cluster, str], Awaitable[None]]
    step: str
    end: str
    settings: Mapping[str, str] = field(default_factory=dict)


LEGACIES = {
    "takeover of a launch": Legacy(leave_a_launch, "take over start", "running"),
    "takeover of a launch that is too late": Legacy(leave_a_late_launch, "take over start", "ended"),
    "takeover of a restart": Legacy(leave_a_restart, "take over start", "running"),
    "takeover of a shutdown": Legacy(leave_a_shutdown, "take over stop", "ended"),
    "adoption": Legacy(leave_a_kernel, "adopt", "running"),
    "cull": Legacy(leave_a_kernel, "claim cull", "ended", CULLING),
    "end of what a reboot has left": Legacy(leave_what_a_reboot_leaves, "end with host", "ended"),
}


async def come(cluster: Cluster, settings: Mapping[str, str] | None = None) -> ServerProcess:
    """Start a replica and wait until it is ready."""
    replica = cluster.launch(settings)
    await asyncio.to_thread(replica.wait_until_ready, "/readyz")
    return replica


def declare_dead(cluster: Cluster, replica: ServerProcess) -> None:
    """Write what there is a lease after the death of the only replica: it is dead, and leads no more."""
    cluster.declare_dead(replica)
    for lease in cluster.documents("leases"):
        cluster.write("leases", lease["_id"], {"holder": None})


@dataclass
class LegacyTrial:
    """Tries cases, each in a cluster of its own.

    Args:
        mongod_uri: The server.

    Attributes:
        complaints: What went wrong, by fault and act.
    """

    mongod_uri: str
    complaints: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    async def points(self) -> dict[str, list[str]]:
        """Find the points of each act: by a replica that notes what it passes."""
        turn = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(*(self._points(act, turn) for act in LEGACIES))
        return dict(zip(LEGACIES, found, strict=True))

    async def run(self, cases: Iterable[Case]) -> None:
        """Try all cases, and fill `complaints`."""
        turn = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._try(case, turn) for case in cases))

    async def _points(self, act: str, turn: asyncio.Semaphore) -> list[str]:
        async with turn:
            with self._cluster() as cluster:
                kernel_id, notes = str(uuid4()), cluster.folder / "points"
                await LEGACIES[act].leave(cluster, kernel_id)
                traced = cluster.launch({PLAN: f"trace@{notes}", **LEGACIES[act].settings})
                await done(cluster, kernel_id, act)
                traced.stop()
                return passed(notes.read_text(), kernel_id)

    async def _try(self, case: Case, turn: asyncio.Semaphore) -> None:
        async with turn:
            with self._cluster() as cluster:
                try:
                    complaint = await tried(cluster, case)
                except (AssertionError, *LOST) as error:
                    complaint = str(error) or repr(error)
                if complaint is not None:
                    self.complaints[case.fault, case.act].append(f"{case}: {complaint}")

    def _cluster(self) -> Cluster:
        cluster = Cluster(self.mongod_uri, settings=SETTINGS)
        light_kernels.install(cluster)
        return cluster


async def tried(cluster: Cluster, case: Case) -> str | None:
    """Try one case, and say what is wrong afterwards."""
    legacy, kernel_id = LEGACIES[case.act], str(uuid4())
    await legacy.leave(cluster, kernel_id)
    victim = cluster.launch({**case.plan(kernel_id), **legacy.settings})
    await eventually(lambda: not victim.running or victim.stopped, f"{case}: the point is reached")
    assert case.reached_by(victim), victim.log[-2000:]
    if case.fault != "paused":
        declare_dead(cluster, victim)
    survivor = await come(cluster)
    if case.fault != "paused":
        await eventually_none(cluster, [kernel_id], Seen.complaint, "the survivor finishes what was begun")
    servers = [survivor]
    if case.paused:
        victim.signal(signal.SIGCONT)
        servers.append(victim)
    if case.fault == "paused":
        await done(cluster, kernel_id, case.act)
    for server in servers:
        await use(cluster, server, kernel_id, told=None, gone=False)
    await eventually_none(cluster, [kernel_id], Seen.complaint, "all is settled")
    return Seen.now(cluster).complaint(kernel_id)


async def done(cluster: Cluster, kernel_id: str, act: str) -> None:
    """Wait until a replica has seen to what it found."""

    def settled() -> bool:
        at_end: bool = cluster.document(kernel_id)["phase"] == LEGACIES[act].end
        return at_end and Seen.now(cluster).complaint(kernel_id) is None

    await eventually(settled, f"{act}: it is done")


def claimed() -> dict[str, list[str]]:
    """The points after the claims, each for the first of its acts; what follows them, other acts pass too."""
    acts: dict[str, str] = {}
    for act, legacy in LEGACIES.items():
        acts.setdefault(legacy.step, act)
    return {act: [f"after:{step}"] for step, act in acts.items()}
