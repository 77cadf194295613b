"""Replicas that are killed or paused between two steps of an act, and what there must be afterwards.

One replica survives. For each case a victim is started, is asked for the act, and kills or stops itself at its point.
Who is declared dead is so at once, by writing what a leader would write. The paused go on when others have finished
what they were at, be it because they took longer than they may. All is done side by side, for most of it is waiting.
"""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from tornado.httpclient import HTTPError

from persistence import clock
from tests.cluster import light_kernels
from tests.cluster.kernel_socket import Closed, KernelSocket
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import PATIENCE_SECONDS, eventually

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
LOST = (HTTPError, OSError, Closed, TimeoutError)
LOOK_SECONDS = 0.2  # a look at all kernels is no trifle

FAULTS = {"killed": "kill", "paused": "stop", "paused and declared dead": "stop"}
"""What happens to a victim, and what it is told to do to itself."""
OBSTINATE_END = "shutdown of an obstinate kernel"
ACTS = (
    "restart",
    "restart of a dead kernel",
    "shutdown",
    OBSTINATE_END,
    "reconnect",
    "handover",
    "launch",
    "failing launch",
)
"""Those that may take longest first. A client comes back to the victim in a reconnect, and leaves it in a handover."""
_ON_A_RUNNING_KERNEL = ACTS[:6]


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


@dataclass
class Victim:
    """A case at work."""

    case: Case
    kernel_id: str
    replica: ServerProcess
    request: asyncio.Task[httpx.Response | None]

    @property
    def at_its_point(self) -> bool:
        """Has it died there, or does it stand there?"""
        return self.replica.running and self.replica.stopped if self.case.paused else not self.replica.running


@dataclass
class Seen:
    """What there is of all kernels, in the database and on the host."""

    records: Mapping[str, Mapping[str, Any]]
    generations: Mapping[str, Sequence[int]]
    """Of the processes."""
    directories: Mapping[str, Sequence[int]]
    conflicts: set[str]
    living: set[str]
    """Ids of the replicas that are not dead."""

    @classmethod
    def now(cls, cluster: Cluster) -> Seen:
        """Look, at the processes last: a record that says what runs is older."""
        replicas = cluster.documents("replicas")
        records = {str(record["_id"]): record for record in cluster.documents("kernels")}
        directories: dict[str, list[int]] = defaultdict(list)
        for path in (cluster.runtime / "k").glob("*/*.*"):
            kernel_id, _, generation = path.name.rpartition(".")
            directories[kernel_id].append(int(generation))
        generations: dict[str, list[int]] = defaultdict(list)
        for process in cluster.kernel_processes():
            generations[process.kernel_id].append(process.generation)
        return cls(
            records=records,
            generations=generations,
            directories=directories,
            conflicts=light_kernels.conflicts(cluster),
            living={str(replica["_id"]) for replica in replicas if replica["state"] != "dead"},
        )

    def at_work(self, kernel_id: str) -> bool:
        """Is an act at work on the kernel?"""
        record = self.records.get(kernel_id)
        return record is not None and record["phase"] not in ("running", "ended")

    def complaint(self, kernel_id: str) -> str | None:
        """Say what is wrong with a kernel; None: it runs and is whole, or is gone and has left nothing."""
        if kernel_id in self.conflicts:
            return "it had two processes at a time"
        record = self.records.get(kernel_id, {"phase": "ended", "reason": "it was never recorded"})
        if record["phase"] not in ("running", "ended") or "act" in record:
            return f"it is stuck: {record['phase']}, {record.get('act')}"
        wanted = [record["generation"]] if record["phase"] == "running" else []
        processes, directories = self.generations.get(kernel_id, []), self.directories.get(kernel_id, [])
        if processes != wanted:
            return f"it is {record['phase']}, of generation {wanted}, its processes are of {processes}"
        if directories != wanted:
            return f"it is {record['phase']}, of generation {wanted}, its directories are of {directories}"
        return self._running(record) if record["phase"] == "running" else self._ended(record)

    def _running(self, record: Mapping[str, Any]) -> str | None:
        owner = record.get("owner", {}).get("replica")
        return None if owner in self.living else f"nobody who lives owns it, but {owner}"

    def _ended(self, record: Mapping[str, Any]) -> str | None:
        if not record.get("reason"):
            return "it ended without a reason"
        return "it ended and holds a slot" if {"slot", "user_slot"} & set(record) else None


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
        (self.survivor,) = self.cluster.start()

    async def points(self) -> dict[str, list[str]]:
        """Find the points of each act: by a replica that notes what it passes."""
        notes = self.cluster.folder / "points"
        (traced,) = self.cluster.start(settings={PLAN: f"trace@{notes}"})
        kernels = {act: await self._kernel_for(act) for act in ACTS}
        async with Rest([traced.url], self.cluster.token) as rest:
            for act, kernel_id in kernels.items():
                await self._ask(traced, rest, act, kernel_id)
        traced.stop()  # what it is at, it ends
        passed = [line.partition(" ") for line in notes.read_text().splitlines()]
        found = {
            act: list(dict.fromkeys(point for kernel, _, point in passed if kernel == kernel_id))
            for act, kernel_id in kernels.items()
        }
        assert all(found.values()), f"acts without a point: {found}"
        return found

    async def run(self, cases: Iterable[Case]) -> None:
        """Try all cases, and fill `complaints`."""
        turn = asyncio.Semaphore(AT_ONCE)
        victims = await asyncio.gather(*(self._begin(case, turn) for case in cases))
        ids = [victim.kernel_id for victim in victims]
        await self._eventually_none(ids, Seen.at_work, "the survivor finishes what was begun")
        await asyncio.gather(*(self._go_on(victim, turn) for victim in victims))
        await self._eventually_none(ids, Seen.complaint, "all is settled")
        seen = Seen.now(self.cluster)
        for victim in victims:
            if (complaint := seen.complaint(victim.kernel_id)) is not None:
                self._complain(victim, complaint)

    async def _begin(self, case: Case, turn: asyncio.Semaphore) -> Victim:
        async with turn:
            kernel_id = await self._kernel_for(case.act)
            replica = self.cluster.launch({PLAN: f"{FAULTS[case.fault]}@{case.point}@{kernel_id}"})
            await asyncio.to_thread(replica.wait_until_ready, "/readyz")
            request = asyncio.create_task(self._ask_alone(replica, case.act, kernel_id))
            await eventually(
                lambda: not replica.running or replica.stopped or request.done(), f"{case}: the point is reached"
            )
            if case.fault != "paused":
                self.cluster.declare_dead(replica)
            return Victim(case, kernel_id, replica, request)

    async def _kernel_for(self, act: str) -> str:
        """Give an id for the act: of a running kernel, where it needs one."""
        kernel_id = str(uuid4())
        if act in _ON_A_RUNNING_KERNEL:
            async with Rest([self.survivor.url], self.cluster.token) as rest:
                name = light_kernels.OBSTINATE if act == OBSTINATE_END else light_kernels.LIGHT
                await rest.start(name=name, kernel_id=kernel_id)
        return kernel_id

    async def _ask_alone(self, replica: ServerProcess, act: str, kernel_id: str) -> httpx.Response | None:
        async with Rest([replica.url], self.cluster.token) as rest:
            try:
                return await self._ask(replica, rest, act, kernel_id)
            except httpx.TransportError:
                return None

    async def _ask(self, replica: ServerProcess, rest: Rest, act: str, kernel_id: str) -> httpx.Response | None:
        """Have a replica do an act, and wait until it has."""
        if act == "restart of a dead kernel":
            await self._let_die(replica, rest, kernel_id)
            return None
        if act in ("reconnect", "handover"):
            way = (self.survivor, replica) if act == "reconnect" else (replica, self.survivor)
            for server in way:
                with suppress(*(LOST if server is replica else ())):
                    await self._as_one_client(server, kernel_id)
            return None
        if act in ("shutdown", OBSTINATE_END):
            return await rest.request("DELETE", f"/api/kernels/{kernel_id}")
        if act == "restart":
            return await rest.request("POST", f"/api/kernels/{kernel_id}/restart", body={})
        name = light_kernels.FAILING if act == "failing launch" else light_kernels.LIGHT
        return await rest.request("POST", "/api/kernels", body={"name": name, "kernel_id": kernel_id})

    async def _as_one_client(self, server: ServerProcess, kernel_id: str) -> None:
        """Run something in the kernel's one session, wherever it was before."""
        url = f"{server.url}/api/kernels/{kernel_id}/channels"
        async with await KernelSocket.open(url, token=self.cluster.token, session_id=kernel_id) as kernel:
            printed = (await kernel.execute("print(6 * 7)")).printed()
        assert printed == "42", f"{server.name} can't go on with the session: {printed}"

    async def _let_die(self, owner: ServerProcess, rest: Rest, kernel_id: str) -> None:
        """Kill the process of a kernel that this replica watches, and wait until it runs again, or has ended."""
        self.cluster.write("kernels", kernel_id, {"owner.replica": self.cluster.replica_id(owner)})
        await rest.expect(204, "POST", f"/api/kernels/{kernel_id}/interrupt")  # it holds the kernel now
        (process,) = self.cluster.kernel_processes(kernel_id)
        process.kill()

        def over() -> bool:
            (record,) = self.cluster.documents("kernels", {"_id": kernel_id})
            return record["phase"] in ("running", "ended") and record["generation"] > process.generation

        # Nobody restarts it before a paused owner goes on, which is when all others are at their points.
        await eventually(over, "its restart is over", seconds=10 * PATIENCE_SECONDS)

    async def _eventually_none(
        self, kernel_ids: Sequence[str], wrong: Callable[[Seen, str], object], what: str
    ) -> None:
        """Wait until nothing is wrong. What still is at the end of patience will be complained of."""

        async def none() -> bool:
            await clock.sleep(LOOK_SECONDS)
            seen = await asyncio.to_thread(Seen.now, self.cluster)
            return not any(wrong(seen, kernel_id) for kernel_id in kernel_ids)

        with suppress(AssertionError):
            await eventually(none, what, seconds=PATIENCE_SECONDS)

    async def _go_on(self, victim: Victim, turn: asyncio.Semaphore) -> None:
        """Let a paused victim go on, and use the kernel: on the survivor, and on the victim if it lives."""
        async with turn:
            reached = victim.at_its_point
            if victim.case.paused:
                victim.replica.signal(signal.SIGCONT)
            try:
                answer = await victim.request
                assert reached, f"the point was not reached: {answer and answer.text}"
                await self._eventually_none([victim.kernel_id], Seen.at_work, "what it began anew is over")
                servers = [self.survivor, *([victim.replica] if victim.replica.running else [])]
                for server in servers:
                    await self._use(server, victim, answer)
            except (AssertionError, *LOST) as error:
                self._complain(victim, str(error) or repr(error))
            victim.replica.kill()
            if victim.case.paused:
                self.cluster.declare_dead(victim.replica)

    async def _use(self, server: ServerProcess, victim: Victim, answer: httpx.Response | None) -> None:
        """See that a replica serves the kernel, or says that it is gone, and that the client was told the truth."""
        async with Rest([server.url], self.cluster.token) as rest:

            async def certain() -> httpx.Response | None:
                found = await rest.request("GET", f"/api/kernels/{victim.kernel_id}")
                return found if found.status_code in (200, 404) else None

            found = await eventually(certain, f"{server.name} knows whether it runs")
            if answer is not None and answer.is_success:
                truth = 404 if victim.case.act in ("shutdown", OBSTINATE_END) else 200
                assert found.status_code == truth, f"the client was told {answer.status_code}: {answer.text}"
            if found.status_code == 200:
                await self._as_one_client(server, victim.kernel_id)
                printed = await rest.run(victim.kernel_id, "print(6 * 7)")
                assert printed == "42", f"{server.name} can't use it: {printed}"

    def _complain(self, victim: Victim, complaint: str) -> None:
        self.complaints[victim.case.fault, victim.case.act].append(f"{victim.case}: {complaint}")


def every(points: Mapping[str, Sequence[str]]) -> list[Case]:
    """Every fault at every point of every act."""
    return [Case(fault, act, point) for act in points for point in points[act] for fault in FAULTS]


def spread(points: Mapping[str, Sequence[str]]) -> list[Case]:
    """Every point with one of the faults, by turns. What two acts begin with in common is tried for the first one."""
    tried: set[tuple[str, ...]] = set()
    cases: list[Case] = []
    for act, passed in points.items():
        for number, point in enumerate(passed):
            way = tuple(passed[: number + 1])
            if way not in tried:
                cases.append(Case(list(FAULTS)[len(cases) % len(FAULTS)], act, point))
            tried.add(way)
    return cases
