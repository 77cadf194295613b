"""A deployment on virtual time: replicas, kernels as they really are, the database, and what must always be true.

What is checked, at every write that arrives and after every step:

- at most one replica leads at a time, and one a term;
- once a term is used, no claim of an earlier one is accepted;
- no kernel is culled of which activity was acknowledged within its timeout, nor one with an acknowledged WebSocket on a
  replica that was not dead for that long, nor one that was used, before its timeout was over or in an outage, on a
  replica which is not dead, written or not;
- no kernel is culled twice; no healthy replica is declared dead;
- when faults stop, every kernel has a live owner, and every idle one is culled in time.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from culling.election import Term
from persistence import clock
from persistence.documents import KernelRecord
from persistence.driver import mock
from tests.records import running_kernel
from tests.simulation.network import Fault, Message
from tests.simulation.replica import RULES, STOP_LIMIT_SECONDS, TIMINGS, Replica, current
from tests.simulation.virtual_time import VirtualLoop

BEGIN = datetime(2026, 3, 4, tzinfo=UTC)
TIMEOUT = RULES.idle_timeout_seconds
LATENCY_SECONDS = 0.01
PROBE_SECONDS = 3 * TIMINGS.longest_interval_seconds  # to see that it owns, to ask, to write what was answered
BOUND_SECONDS = (
    TIMEOUT
    + 2 * TIMINGS.lease_duration_seconds
    + 2 * TIMINGS.longest_interval_seconds
    + RULES.interval_seconds
    + PROBE_SECONDS
    + STOP_LIMIT_SECONDS  # of a claim of which its sender does not know that it was made
)

OWNED_SECONDS = 2 * TIMINGS.lease_duration_seconds + 4 * TIMINGS.longest_interval_seconds


class Violation(AssertionError):
    """Something that must never be."""


@dataclass
class Kernel:
    """A kernel as it really is."""

    kernel_id: str
    state: str = "idle"
    alive: bool = True
    acknowledged: float = 0.0
    """When what was last acknowledged of its activity has really happened."""
    connections: dict[int, tuple[Replica, str]] = field(default_factory=dict)
    """Replicas with acknowledged WebSockets, and the id under which they were."""
    culls: int = 0


class World:
    """All of it.

    Attributes:
        ahead: What the database's clock has jumped, in all.
        jumped: How far, to and fro.
    """

    def __init__(self, seed: int = 0) -> None:
        self.loop = VirtualLoop()
        self.name = uuid4().hex
        self.random = random.Random(seed)
        self.away = False
        self.outage_ended = -1.0
        self.ahead = 0.0
        self.jumped = 0.0
        self.replicas: list[Replica] = []
        self.kernels: dict[str, Kernel] = {}
        self.violations: list[str] = []
        self.deaths: dict[str, float] = {}
        self.highest_used = 0
        self.long_ago = BEGIN - timedelta(days=1)
        self._started = 0

    # Times

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.loop.now + self.ahead)

    def time(self) -> float:
        return self.loop.now

    def latency(self) -> float:
        return LATENCY_SECONDS * self.random.random()

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.pass_time(seconds)
        self.check()

    # What may happen

    @property
    def live(self) -> list[Replica]:
        return [replica for replica in self.replicas if not replica.dead]

    @property
    def living_kernels(self) -> list[Kernel]:
        return [kernel for kernel in self.kernels.values() if kernel.alive]

    def start(self) -> Replica:
        self._started += 1
        replica = self._new_replica(self._started)
        self.replicas.append(replica)
        self.passes(0.5)
        return replica

    def _new_replica(self, number: int) -> Replica:
        return Replica(self, number)

    def start_kernel(self, replica: Replica) -> Kernel:
        """Start one, as far as the database is concerned."""
        kernel = Kernel(f"k{len(self.kernels)}", acknowledged=self.loop.now)
        self.kernels[kernel.kernel_id] = kernel
        now = replica.store.clock.latest_now()
        record = running_kernel(
            kernel.kernel_id, owner=replica.membership.replica_id, last_activity=now, created_at=now, started_at=now
        )
        replica.owned.add(kernel.kernel_id)
        self._collection("kernels").insert_one(record.to_document())
        return kernel

    def kill(self, replica: Replica) -> None:
        replica.kill()
        for kernel in self.kernels.values():
            kernel.connections.pop(id(replica), None)

    def pause(self, replica: Replica) -> None:
        replica.running.clear()
        replica.faulted_at = self.loop.now

    def resume(self, replica: Replica) -> None:
        replica.running.set()
        replica.faulted_at = self.loop.now

    def cut(self, replica: Replica) -> None:
        replica.cut = True
        replica.faulted_at = self.loop.now

    def mend(self, replica: Replica) -> None:
        replica.cut = False
        replica.faulted_at = self.loop.now

    def suspend(self, replica: Replica, seconds: float) -> None:
        """Its machine sleeps: CLOCK_BOOTTIME goes on, CLOCK_MONOTONIC does not."""
        self.pause(replica)
        self.passes(seconds)
        replica.slept += seconds
        self.resume(replica)

    def go_away(self) -> None:
        self.away = True

    def come_back(self) -> None:
        self.away = False
        self.outage_ended = self.loop.now

    def spoil(self, replica: Replica, collection: str, fault: Fault) -> None:
        """Something becomes of a replica's next write to a collection."""
        replica.link.faults.append((collection, fault))
        replica.faulted_at = self.loop.now

    def step_clock(self, seconds: float) -> None:
        """Another member, with another clock, becomes primary."""
        self.ahead += seconds
        self.jumped += abs(seconds)

    def use(self, kernel: Kernel, replica: Replica) -> None:
        """A client sends something."""
        if kernel.alive and replica.running.is_set():
            replica.saw(kernel.kernel_id)

    def work(self, kernel: Kernel, state: str) -> None:
        """It turns busy or idle; who owns it sees that."""
        kernel.state = state
        for replica in self.live:
            if kernel.kernel_id in replica.owned and replica.running.is_set():
                replica.saw(kernel.kernel_id, state)

    def connect(self, kernel: Kernel, replica: Replica, change: int) -> None:
        if kernel.alive and replica.running.is_set():
            replica.count(kernel.kernel_id, change)
            if change > 0:
                replica.saw(kernel.kernel_id)

    # What is known of it

    def acknowledged(self, kernel_id: str, at: float) -> None:
        kernel = self.kernels[kernel_id]
        kernel.acknowledged = max(kernel.acknowledged, at)

    def counted(self, kernel_id: str, replica: Replica, identity: str, count: int) -> None:
        kernel = self.kernels[kernel_id]
        if count:
            kernel.connections[id(replica)] = (replica, identity)
        else:
            kernel.connections.pop(id(replica), None)

    def record(self, kernel_id: str) -> KernelRecord:
        return KernelRecord.from_document(self._collection("kernels").find_one({"_id": kernel_id}))

    def documents(self, collection: str) -> list[dict[str, Any]]:
        return list(self._collection(collection).find())

    def _collection(self, name: str) -> Any:
        """A collection past all links."""
        return mock.MockBackend(self.name)._client["simulation"][name]

    def began(self, term: Term) -> None:
        self.highest_used = max(self.highest_used, term.number)

    # What must be true

    def check(self) -> None:
        """See that nothing was broken.

        Raises:
            Violation: Something was.
        """
        self._check_leaders()
        for replica in self.live:
            replica.check()
        if self.violations:
            raise Violation(self.violations[0])

    def _check_leaders(self) -> None:
        leaders = [replica for replica in self.live if replica.leads and replica.running.is_set()]
        if len(leaders) > 1:
            self.violations.append(f"{len(leaders)} replicas lead at once")

    def arrived(self, message: Message, result: Any) -> None:
        # Not raised here, in some replica's code: `check` does.
        self._check_leaders()
        values = message.update.get("$set", {})
        if result is None or not values:
            return
        if message.collection == "replicas" and values.get("state") == "dead" and "load" not in values:
            self.deaths[message.args[0]["_id"]] = self.loop.now
            self._check_death(message.args[0]["_id"])
        if message.collection == "kernels" and str(values.get("reason", "")).startswith("culled") and "act" in values:
            self._check_cull(self.kernels[message.args[0]["_id"]], message)

    def _check_death(self, replica_id: str) -> None:
        for replica in self.live:
            if replica.membership.replica_id == replica_id and replica.faulted_at < 0:
                self.violations.append("a healthy replica is declared dead")

    def _check_cull(self, kernel: Kernel, claim: Message) -> None:
        kernel.culls += 1
        term = claim.term
        if kernel.culls > 1:
            self.violations.append(f"{kernel.kernel_id} is culled twice")
        if term is not None and term < self.highest_used:
            self.violations.append(f"a claim of term {term} is accepted after term {self.highest_used} began")
        if self.loop.now - kernel.acknowledged < TIMEOUT:
            self.violations.append(
                f"{kernel.kernel_id} is culled {self.loop.now - kernel.acknowledged:.3f} s after activity"
            )
        for replica, identity in kernel.connections.values():
            if not replica.dead and self.loop.now - self.deaths.get(identity, self.loop.now) < TIMEOUT:
                self.violations.append(f"{kernel.kernel_id} is culled while a client is connected")
        for replica in self.live:
            _, seen_at = replica.pending.get(kernel.kernel_id, (None, -TIMEOUT))
            dead = replica.membership.replica_id in self.deaths or seen_at < replica.named_at
            in_time = seen_at < kernel.acknowledged + TIMEOUT
            in_an_outage = replica.faulted_at < seen_at < self.outage_ended < claim.sent
            if not dead and (in_time or in_an_outage) and self.loop.now - seen_at < TIMEOUT:
                self.violations.append(f"{kernel.kernel_id} is culled before its use elsewhere is written")

    def settle(self) -> None:
        """Faults stop, clients go: every kernel gets a live owner, and every idle one is culled, in time."""
        if self.away:
            self.come_back()
        for replica in self.live:
            self.mend(replica)
            self.resume(replica)
            replica.link.faults.clear()
            for kernel_id, (count, _) in list(replica.counts.items()):
                if count:
                    replica.count(kernel_id, -count)
        if not self.live:
            self.start()
        for kernel in self.living_kernels:
            self.work(kernel, "idle")
        self.passes(OWNED_SECONDS)
        self._check_owners()
        self.passes(BOUND_SECONDS - OWNED_SECONDS + self.jumped)
        left = [document for document in self.documents("kernels") if document["phase"] != "ended"]
        if left:
            raise Violation(f"never culled: {left}")

    def _check_owners(self) -> None:
        live = {replica.membership.replica_id for replica in self.live}
        for document in self.documents("kernels"):
            if document["phase"] == "running" and document.get("owner", {}).get("replica") not in live:
                raise Violation(f"without a live owner: {document}")

    def until(self, condition: Callable[[], bool], what: str, *, seconds: float = 120.0) -> None:
        """Let time pass until something is so."""
        end = self.loop.now + seconds
        while not condition():
            if self.loop.now > end:
                raise AssertionError(f"not within {seconds:g} s: {what}")
            self.passes(0.05)

    @property
    def leader(self) -> Replica:
        self.until(lambda: any(replica.leads for replica in self.live), "somebody leads")
        return next(replica for replica in self.live if replica.leads)

    @property
    def followers(self) -> list[Replica]:
        leader = self.leader
        return [replica for replica in self.live if replica is not leader]

    @contextmanager
    def running(self, replicas: int) -> Iterator[None]:
        """Have so many replicas of which one leads; in the end, none."""
        with server_clock(self):
            try:
                for _ in range(replicas):
                    self.start()
                self.passes(3 * TIMINGS.longest_interval_seconds)
                yield
            finally:
                self.finish()

    def finish(self) -> None:
        for replica in self.live:
            replica.kill()
        self.loop.finish()


@contextmanager
def world(replicas: int = 3, seed: int = 0) -> Iterator[World]:
    """A world in which somebody leads."""
    with simulated_clocks(), chance(seed):
        made = World(seed)
        with made.running(replicas):
            yield made


@contextmanager
def chance(seed: int) -> Iterator[None]:
    """Have the same happen for the same seed: what keeps replicas out of step, and their ids."""
    before = random.getstate()
    random.seed(seed)
    try:
        with patch.object(os, "urandom", random.Random(seed).randbytes):
            yield
    finally:
        random.setstate(before)


@contextmanager
def simulated_clocks() -> Iterator[None]:
    """Have `persistence.clock` give the clocks of the replica whose code runs."""
    real = clock.monotonic, clock.boottime

    def monotonic() -> float:
        replica = current.get()
        return real[0]() if replica is None else replica.monotonic()

    def boottime() -> float:
        replica = current.get()
        return real[1]() if replica is None else replica.boottime()

    clock.monotonic, clock.boottime = monotonic, boottime
    try:
        yield
    finally:
        clock.monotonic, clock.boottime = real


@contextmanager
def server_clock(made: World) -> Iterator[None]:
    """Have the database's time be the world's."""
    real = mock._utcnow
    mock._utcnow = lambda: made.now().replace(tzinfo=None)
    try:
        yield
    finally:
        mock._utcnow = real
        mock._servers.pop(made.name, None)
        mock._import()
