"""Replicas that are killed or paused between two steps of an act that they are asked for, beside one that survives.

For each case a victim is started, is asked for the act, and kills or stops itself at its point. Who is declared dead is
so at once, by writing what a leader would write. The paused go on when others have finished what they were at, be it
because they took longer than they may. All is done side by side, for most of it is waiting.
"""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from tests.cluster import light_kernels
from tests.cluster.fault_acts import ACTS, ENDS, LOST, OWN, UNGATED, Asking
from tests.cluster.fault_seen import Seen, eventually_none, use
from tests.cluster.processes import ServerProcess
from tests.cluster.provisioners import install_provisioners
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

PLAN = "EG_TEST_FAULTS"
SETTINGS = {
    **light_kernels.SETTINGS,
    "EG_SHUTDOWN_WAIT_TIME": "0.5",
    "EG_KERNEL_LAUNCH_TIMEOUT": "8",
    "EG_MAX_KERNELS": "1000",
    "EG_MAX_KERNELS_PER_USER": "1000",
}
"""Acts are overdue after 16 s (launches), 11 s (stops) and 27 s (restarts)."""
AT_ONCE = 4

FAULTS = {"killed": "kill", "paused": "stop", "paused and declared dead": "stop"}
"""What happens to a victim, and what it is told to do to itself."""


@dataclass(frozen=True)
class Case:
    """What is done to a victim, in the course of which act, where."""

    fault: str
    act: str
    point: str

    def __str__(self) -> str:
        return f"{self.fault} at '{self.point}' of a {self.act}"

    @property
    def paused(self) -> bool:
        """Does the victim live on?"""
        return FAULTS[self.fault] == "stop"

    def plan(self, kernel_id: str) -> dict[str, str]:
        """Give the setting that has a replica do it to itself."""
        return {PLAN: f"{FAULTS[self.fault]}@{self.point}@{kernel_id}"}

    def reached_by(self, replica: ServerProcess) -> bool:
        """Has the victim died at its point, or does it stand there?"""
        return replica.running and replica.stopped if self.paused else not replica.running


@dataclass
class Victim:
    """A case at work."""

    case: Case
    kernel_id: str
    replica: ServerProcess
    request: asyncio.Task[httpx.Response | None]


@dataclass
class Trial:
    """A cluster in which cases are tried.

    Attributes:
        complaints: What went wrong, by fault and act.
    """

    cluster: Cluster
    complaints: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        light_kernels.install(self.cluster)
        self._settings = install_provisioners(self.cluster)
        (self.survivor,) = self.cluster.start(settings=self._settings)
        self._harmed: dict[str, Victim] = {}
        self._asking = Asking(self.cluster, self.survivor)

    async def points(self) -> dict[str, list[str]]:
        """Find the points of each act: by a replica that notes what it passes."""
        notes = self.cluster.folder / "points"
        (traced,) = self.cluster.start(settings={**self._settings, PLAN: f"trace@{notes}"})
        kernels = {act: await self._asking.kernel_for(act) for act in ACTS}
        async with Rest([traced.url], self.cluster.token) as rest:
            for act, kernel_id in kernels.items():
                await self._asking.ask(traced, rest, act, kernel_id)
        traced.stop()  # what it is at, it ends
        found = {act: passed(notes.read_text(), kernel_id) for act, kernel_id in kernels.items()}
        assert all(found.values()), f"acts without a point: {found}"
        return found

    async def run(self, cases: Iterable[Case]) -> None:
        """Try all cases, and fill `complaints`."""
        turn = asyncio.Semaphore(AT_ONCE)
        victims = await asyncio.gather(*(self._begin(case, turn) for case in cases))
        ids = [victim.kernel_id for victim in victims]
        await eventually_none(self.cluster, ids, Seen.at_work, "the survivor finishes what was begun")
        await asyncio.gather(*(self._go_on(victim, turn) for victim in victims))
        await eventually_none(self.cluster, ids, Seen.complaint, "all is settled")
        seen = Seen.now(self.cluster)
        for victim in victims:
            if (complaint := seen.complaint(victim.kernel_id)) is not None:
                self._complain(victim, complaint)
        for victim in self._harmed.values():
            print(f"At last, {victim.case}:", *self._told_of(victim), sep="\n")

    async def _begin(self, case: Case, turn: asyncio.Semaphore) -> Victim:
        async with turn:
            kernel_id = await self._asking.kernel_for(case.act)
            replica = self.cluster.launch({**self._settings, **case.plan(kernel_id)})
            await asyncio.to_thread(replica.wait_until_ready, "/readyz")
            request = asyncio.create_task(self._ask_alone(replica, case.act, kernel_id))
            await eventually(
                lambda: not replica.running or replica.stopped or request.done(), f"{case}: the point is reached"
            )
            if case.fault != "paused":
                self.cluster.declare_dead(replica)
            return Victim(case, kernel_id, replica, request)

    async def _ask_alone(self, replica: ServerProcess, act: str, kernel_id: str) -> httpx.Response | None:
        async with Rest([replica.url], self.cluster.token) as rest:
            try:
                return await self._asking.ask(replica, rest, act, kernel_id)
            except httpx.TransportError:
                return None

    async def _go_on(self, victim: Victim, turn: asyncio.Semaphore) -> None:
        """Let a paused victim go on, and use the kernel: on the survivor, and on the victim if it lives."""
        async with turn:
            reached, doing = victim.case.reached_by(victim.replica), ""
            if victim.case.paused:
                victim.replica.signal(signal.SIGCONT)
            try:
                answer = await victim.request
                assert reached, f"the point was not reached: {answer and answer.text}"
                await eventually_none(self.cluster, [victim.kernel_id], Seen.at_work, "what it began anew is over")
                servers = [self.survivor, *([victim.replica] if victim.replica.running else [])]
                for server in servers:
                    doing = f"on {server.name}: "
                    await use(self.cluster, server, victim.kernel_id, told=answer, gone=victim.case.act in ENDS)
            except (AssertionError, *LOST) as error:
                self._complain(victim, doing + (str(error) or repr(error)))
            victim.replica.kill()
            if victim.case.paused:
                self.cluster.declare_dead(victim.replica)

    def _complain(self, victim: Victim, complaint: str) -> None:
        self.complaints[victim.case.fault, victim.case.act].append(f"{victim.case}: {complaint}")
        self._harmed[victim.kernel_id] = victim
        print(f"{victim.case}: {complaint}", *self._told_of(victim), sep="\n")

    def _told_of(self, victim: Victim) -> Iterator[str]:
        """What the record, the events and the logs say of a kernel."""
        shown = ("phase", "generation", "owner", "restarts", "reason", "process")
        for record in self.cluster.documents("kernels", {"_id": victim.kernel_id}):
            yield str({name: record.get(name) for name in shown})
        for event in self.cluster.documents("events", {"kernel_id": victim.kernel_id}):
            yield f"{event['at']} {event['kind']} by {event['replica']}: {event.get('reason')}"
        for replica in self.cluster.replicas:
            lines = [line for line in replica.log.splitlines() if victim.kernel_id in line]
            yield from (f"{replica.name}:", *lines) if lines else ()


def passed(notes: str, kernel_id: str) -> list[str]:
    """Read the points that a replica has noted for one kernel, each once, in their order."""
    noted = [line.partition(" ") for line in notes.splitlines()]
    return list(dict.fromkeys(point for kernel, _, point in noted if kernel == kernel_id))


def every(points: Mapping[str, Sequence[str]]) -> list[Case]:
    """Every fault at every point of every act."""
    return [Case(fault, act, point) for act in points for point in points[act] if tries(act, point) for fault in FAULTS]


def tries(act: str, point: str) -> bool:
    """Is an act tried here? What another's provisioner has launched is not known before it is recorded."""
    return act != UNGATED or point.endswith(f":{OWN[act]}")


def spread(points: Mapping[str, Sequence[str]]) -> list[Case]:
    """Every point with one of the faults, by turns. What two acts begin with in common is tried for the first one."""
    tried: set[tuple[str, ...]] = set()
    cases: list[Case] = []
    for act, passed in points.items():
        for number, point in enumerate(passed):
            way = tuple(passed[: number + 1])
            own = act not in OWN or point.endswith(f":{OWN[act]}")
            if own and way not in tried:
                cases.append(Case(list(FAULTS)[len(cases) % len(FAULTS)], act, point))
            tried.add(way)
    return cases
