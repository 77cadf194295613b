"""Rules taken out of the real code, one at a time. A search finds what breaks without each; see `recorded.py`."""

from __future__ import annotations

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
from tests.simulation.machine import Deployment, Disturbed
from tests.simulation.replica import TIMINGS, current


@dataclass(frozen=True)
class Mutant:
    """A rule that is missing."""

    name: str
    missing: Callable[[], Any]
    """A context in which it is."""
    machine: type[Disturbed] = Deployment
    """Whose search finds what breaks then."""

    @property
    def function(self) -> str:
        """What the course of events recorded for it is called."""
        return self.name.replace(" ", "_")


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


def takeover_without_raise() -> Any:
    async def nothing(self: KernelStore) -> None:
        return None

    return patch.object(KernelStore, "outdate_reads", nothing)


# The lease


def renewal_without_beat() -> Any:
    async def renew(self: LeaseStore, held: LeaseRecord) -> LeaseRecord:
        return await self._change(held, {"$set": {"holder": held.holder}}, "renew lease")

    return patch.object(LeaseStore, "renew", renew)


def deadline_from_the_acknowledgement() -> Any:
    def renewed(self: Term, lease: LeaseRecord, *, sent: float, real: Any = Term.renewed) -> None:
        real(self, lease, sent=self._boottime())

    return patch.object(Term, "renewed", renewed)


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


def culling_by_what_is_written() -> Any:
    return patch.object(vouching, "BEATS", 0)


@contextmanager
def deaths_across_an_outage() -> Iterator[None]:
    with (
        patch.object(Observation, "restart", lambda self: None),
        patch.object(Observation, "_broken_at", lambda self, moment: False),
    ):
        yield


# Restarts, counts


def restart_by_owner_only() -> Any:
    return patch.object(steps, "restart_dead", without(steps.restart_dead, "generation", "process"))


def takeover_by_an_earlier_read() -> Any:
    # Of a first launch the phase tells, too, whether its process was named meanwhile.
    return patch.object(steps, "take_over_start", without(steps.take_over_start, "process", "phase"))


def sweep_of_what_it_reads_first() -> Any:
    async def look(self: Noticing, *, real: Any = Noticing.look) -> None:
        here, host = self._parts.membership.replica_id, self._parts.managers.host.to_doc()
        notices = await self._parts.store.kernels.notices(here, host, surely=True)
        census = await self._sweep.census()
        if census is not None:
            await self._sweep.clear(census, notices)
        await real(self)

    return patch.object(Noticing, "look", look)


def flush_over_a_newer_count() -> Any:
    return patch.object(flush, "_lower_than", lambda n: {"$not": {"$gte": 1_000_000_000}})


def death_is_no_activity() -> Any:
    async def drop(self: KernelStore, replica_id: str, *, now: Any) -> None:
        count = f"connections.{replica_id}"
        where = {f"{count}.count": {"$gt": 0}, "phase": dict(LIVE_FILTER)}
        await self._kernels.update_many(where, {"$unset": {count: ""}, "$inc": {"activity_seq": 1}})

    return patch.object(KernelStore, "drop_connections", drop)


MUTANTS = (
    Mutant("claim without activity_seq", claim_without_activity_seq),
    Mutant("takeover without raising activity_seq", takeover_without_raise),
    Mutant("renewal without beat", renewal_without_beat),
    Mutant("deadline from the acknowledgement", deadline_from_the_acknowledgement),
    Mutant("expiry by wall clock", expiry_by_wall_clock),
    Mutant("culling at once after an outage", culling_at_once),
    Mutant("culling by what is written alone", culling_by_what_is_written),
    Mutant("deaths observed across an outage", deaths_across_an_outage),
    Mutant("restart that filters on the owner only", restart_by_owner_only, Gateways),
    Mutant("takeover of what an earlier read named", takeover_by_an_earlier_read, Gateways),
    Mutant("sweep of what it reads first", sweep_of_what_it_reads_first, Gateways),
    Mutant("flush over a newer count", flush_over_a_newer_count),
    Mutant("death that is no activity", death_is_no_activity),
)
