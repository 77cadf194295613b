"""Rules taken out of the real code, one at a time, and for each a course of events in which something breaks then.

Each scenario goes well on the code as it is. So it shows both that the rule is needed and that the checks would see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from culling import vouching
from culling.election import Term
from culling.observation import Observation
from culling.vouching import Vouching
from enterprise_gateway.kernels.noticing import Noticing
from persistence import flush, steps
from persistence.documents import LeaseRecord, ReplicaState, Step
from persistence.kernels import KernelStore
from persistence.leases import LeaseStore
from persistence.phases import LIVE_FILTER
from tests.simulation.acts_machine import Gateways
from tests.simulation.gateway import gateway_world
from tests.simulation.machine import Deployment, Disturbed
from tests.simulation.network import CLAIM, NONE, Fault
from tests.simulation.replica import TIMINGS, current
from tests.simulation.world import TIMEOUT, World, world

Scenario = Callable[[int], None]


@dataclass(frozen=True)
class Mutant:
    """A rule that is missing."""

    name: str
    missing: Callable[[], Any]
    """A context in which it is."""
    scenario: Scenario
    """What goes wrong then, given a seed."""
    seeds: int = 1
    """So many are tried: some need a race to go one way."""
    machine: type[Disturbed] = Deployment
    """Whose search finds it too."""


def without(step: Callable[..., Step], *fields: str) -> Callable[..., Step]:
    """Give a step whose filter lacks some fields."""

    def mutated(*args: Any, **kwargs: Any) -> Step:
        made = step(*args, **kwargs)
        where: Mapping[str, Any] = {key: value for key, value in made.where.items() if key not in fields}
        return replace(made, where=where)

    return mutated


# A claim rests on what was read


def claim_without_activity_seq() -> Any:
    return patch.object(steps, "claim_cull", without(steps.claim_cull, "activity_seq"))


def activity_between_read_and_claim(seed: int) -> None:
    """The claim is on its way while a client comes back; the client's activity is acknowledged first."""
    with world(seed=seed) as w:
        kernel, held = held_claim(w)
        w.use(kernel, w.followers[0])
        w.until(lambda: kernel.acknowledged > w.loop.now - 10, "it is acknowledged")
        held.set()
        w.passes(1.0)


def held_claim(w: World) -> tuple[Any, asyncio.Event]:
    """An idle kernel that the leader claims; the claim is held on its way, until the event."""
    leader, owner = w.leader, w.followers[-1]
    kernel = w.start_kernel(owner)
    w.passes(TIMEOUT - 10)
    held = asyncio.Event()
    w.spoil(leader, "kernels", Fault(until=held))
    w.until(lambda: not leader.link.faults, "the claim is sent")
    return kernel, held


def takeover_without_raise() -> Any:
    async def nothing(self: KernelStore) -> None:
        return None

    return patch.object(KernelStore, "outdate_reads", nothing)


def claim_of_a_former_term(seed: int) -> None:
    """The leader is cut off with its claim on its way; it arrives when another leads."""
    with world(seed=seed) as w:
        _, held = held_claim(w)
        w.cut(w.leader)
        w.until(lambda: w.highest_used == 2, "another leads")
        held.set()
        w.passes(1.0)


# The lease


def renewal_without_beat() -> Any:
    async def renew(self: LeaseStore, held: LeaseRecord) -> LeaseRecord:
        return await self._change(held, {"$set": {"holder": held.holder}}, "renew lease")

    return patch.object(LeaseStore, "renew", renew)


def nothing_happens(seed: int) -> None:
    with world(seed=seed) as w:
        for _ in range(20):
            w.passes(2.0)


def deadline_from_the_acknowledgement() -> Any:
    def renewed(self: Term, lease: LeaseRecord, *, sent: float, real: Any = Term.renewed) -> None:
        real(self, lease, sent=self._boottime())

    return patch.object(Term, "renewed", renewed)


def slow_renewal_then_cut_off(seed: int) -> None:
    """The answer to a renewal takes long; then nothing comes through any more."""
    with world(seed=seed) as w:
        for _ in range(5):
            leader = w.leader
            w.spoil(leader, "leases", Fault(slow_seconds=4.8))
            w.until(lambda leader=leader: not leader.link.faults, "it is sent")  # type: ignore[misc]
            w.passes(4.9)
            w.cut(leader)
            for _ in range(300):
                w.passes(0.1)
            w.mend(leader)
            w.passes(10.0)


def expiry_by_wall_clock() -> Any:
    def live(self: Observation, replica_id: str) -> bool | None:
        seen = self._seen.get(replica_id)
        replica = current.get()
        if seen is None or replica is None or seen.record.beat_at is None:
            return None
        if seen.record.state == ReplicaState.DEAD:
            return False
        wrong_by = replica.offset  # of this machine's wall clock
        age = (replica.world.now() - seen.record.beat_at).total_seconds() + wrong_by
        return age < TIMINGS.lease_duration_seconds

    return patch.object(Observation, "live", live)


# Outages


def culling_at_once() -> Any:
    return patch.object(Vouching, "vouched", lambda self, kernel, beats: True)


def used_during_an_outage(seed: int) -> None:
    """While the database is away a kernel is used; when it is back, the culler may be there before the flush."""
    with world(seed=seed) as w:
        kernel = w.start_kernel(w.replicas[0])
        w.passes(5.0)
        w.go_away()
        w.passes(TIMEOUT + 30)
        w.use(kernel, w.replicas[1])
        w.passes(5.0)
        w.come_back()
        w.passes(30.0)


def culling_by_what_is_written() -> Any:
    return patch.object(vouching, "BEATS", 0)


def used_where_nobody_can_write(seed: int) -> None:
    """A kernel is used on a replica that is cut off, for less than a lease, when its timeout comes to an end."""
    with world(seed=seed) as w:
        replica = w.followers[0]
        kernel = w.start_kernel(w.followers[-1])
        w.passes(TIMEOUT - 1.0)
        w.cut(replica)
        w.use(kernel, replica)
        w.passes(8.0)
        w.mend(replica)
        w.passes(30.0)


@contextmanager
def deaths_across_an_outage() -> Iterator[None]:
    with (
        patch.object(Observation, "restart", lambda self: None),
        patch.object(Observation, "_broken_at", lambda self, moment: False),
    ):
        yield


def an_outage(seed: int) -> None:
    with world(seed=seed) as w:
        w.go_away()
        w.passes(60.0)
        w.come_back()
        w.passes(30.0)


# Restarts, counts


def restart_by_owner_only() -> Any:
    return patch.object(steps, "restart_dead", without(steps.restart_dead, "generation", "process"))


def late_notice_of_an_old_death(seed: int) -> None:
    """A kernel dies, and its owner restarts it on request; then comes what the owner had made of the death."""
    with gateway_world(seed=seed) as w:
        owner = w.followers[0]
        kernel = w.launch(owner)
        w.passes(5.0)
        late = asyncio.Event()
        w.spoil(owner, "kernels", Fault(method=CLAIM, until=late))
        w.dies(kernel)
        w.until(lambda: not owner.link.faults, "the owner has seen it")
        w.restart(kernel, owner)
        w.until(lambda: w.record(kernel.kernel_id).generation == 2, "it is restarted")
        w.passes(2.0)
        late.set()
        w.passes(5.0)
        w.settle()


def takeover_by_an_earlier_read() -> Any:
    return patch.object(steps, "take_over_start", without(steps.take_over_start, "process"))


def a_launch_is_taken_over(seed: int) -> None:
    """Who launches is paused, and held for dead; he goes on between the read and the claim of who takes it over."""
    with gateway_world(2, seed) as w:
        (actor,), other = w.followers, w.leader
        w.spoil(actor, "kernels", Fault(method=CLAIM, slow_seconds=0.5))
        kernel = w.launch(actor)
        w.until(lambda: not actor.link.faults, "it is about to be launched")
        w.pause(actor)
        claim = asyncio.Event()
        w.spoil(other, "kernels", Fault(method=CLAIM, until=claim))
        w.until(lambda: not other.link.faults, "it is taken over")
        w.resume(actor)
        w.until(lambda: w.record(kernel.kernel_id).process is not None, "its process is stored")
        claim.set()
        w.passes(5.0)
        w.settle()


def sweep_of_what_it_reads_first() -> Any:
    async def look(self: Noticing, *, real: Any = Noticing.look) -> None:
        here, host = self._parts.membership.replica_id, self._parts.managers.host.to_doc()
        notices = await self._parts.store.kernels.notices(here, host, surely=True)
        census = await self._sweep.census()
        if census is not None:
            await self._sweep.clear(census, notices)
        await real(self)

    return patch.object(Noticing, "look", look)


def launches_all_the_time(seed: int) -> None:
    with gateway_world(seed=seed) as w:
        for n in range(60):
            w.launch(w.replicas[n % 3])
            w.passes(0.11)


def flush_over_a_newer_count() -> Any:
    return patch.object(flush, "_lower_than", lambda n: {"$not": {"$gte": 1_000_000_000}})


def late_count_of_none(seed: int) -> None:
    """A client goes and comes back; that it went arrives last."""
    with world(seed=seed) as w:
        replica = w.followers[0]
        kernel = w.start_kernel(w.followers[-1])
        w.connect(kernel, replica, 1)
        w.until(lambda: bool(kernel.connections), "it is acknowledged")
        late = asyncio.Event()
        replica.link.faults.extend([("kernels", NONE), ("kernels", Fault(until=late))])  # activity, then the count
        w.connect(kernel, replica, -1)
        w.until(lambda: not replica.link.faults, "it is sent")
        w.connect(kernel, replica, 1)
        w.until(lambda: not replica.unreported, "it is acknowledged")
        late.set()
        w.passes(TIMEOUT + 40)


def death_is_no_activity() -> Any:
    async def drop(self: KernelStore, replica_id: str, *, now: Any) -> None:
        count = f"connections.{replica_id}"
        where = {f"{count}.count": {"$gt": 0}, "phase": dict(LIVE_FILTER)}
        await self._kernels.update_many(where, {"$unset": {count: ""}, "$inc": {"activity_seq": 1}})

    return patch.object(KernelStore, "drop_connections", drop)


def a_connected_replica_is_held_for_dead(seed: int) -> None:
    """The replica of a client is cut off for longer than the lease; the client is still there."""
    with world(seed=seed) as w:
        replica = w.followers[0]
        kernel = w.start_kernel(w.followers[-1])
        w.connect(kernel, replica, 1)
        w.passes(TIMEOUT + 20)
        w.cut(replica)
        w.passes(50.0)
        w.mend(replica)
        w.passes(30.0)


MUTANTS = (
    Mutant("claim without activity_seq", claim_without_activity_seq, activity_between_read_and_claim),
    Mutant("takeover without raising activity_seq", takeover_without_raise, claim_of_a_former_term),
    Mutant("renewal without beat", renewal_without_beat, nothing_happens),
    Mutant("deadline from the acknowledgement", deadline_from_the_acknowledgement, slow_renewal_then_cut_off, 6),
    Mutant("expiry by wall clock", expiry_by_wall_clock, nothing_happens),
    Mutant("culling at once after an outage", culling_at_once, used_during_an_outage, 8),
    Mutant("culling by what is written alone", culling_by_what_is_written, used_where_nobody_can_write, 8),
    Mutant("deaths observed across an outage", deaths_across_an_outage, an_outage, 8),
    Mutant(
        "restart that filters on the owner only", restart_by_owner_only, late_notice_of_an_old_death, machine=Gateways
    ),
    Mutant(
        "takeover of what an earlier read named",
        takeover_by_an_earlier_read,
        a_launch_is_taken_over,
        machine=Gateways,
    ),
    Mutant("sweep of what it reads first", sweep_of_what_it_reads_first, launches_all_the_time, 1, Gateways),
    Mutant("flush over a newer count", flush_over_a_newer_count, late_count_of_none),
    Mutant("death that is no activity", death_is_no_activity, a_connected_replica_is_held_for_dead),
)
