"""Two elections stepped through every order of their operations on the lease."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from culling.election import LEASE
from persistence import clock
from persistence.documents import LeaseRecord
from persistence.testing import Gate
from tests.unit.culling.candidates import TIMINGS, Candidate, with_two

ORDERS = sorted(set(itertools.permutations("aaabbb")))
"""Each reads the lease, and takes it; who has won then outdates what was read, and who has lost looks who has won."""


async def settled() -> None:
    """Let everybody come to the next operation, or to where time has to pass."""
    for _ in range(50):
        await clock.sleep(0)


async def stepped(candidates: Sequence[Candidate], order: Sequence[str]) -> None:
    """Let the candidates' operations through in this order; at no time two lead."""
    gates = {candidate.name: Gate(candidate.store.database) for candidate in candidates}
    for name in order:
        await settled()
        if not gates[name].idle:  # else it has found that the other one leads, and waits
            await gates[name].step()
        await settled()
        assert sum(candidate.leads for candidate in candidates) <= 1
    for gate in gates.values():
        gate.open()
    await settled()


async def one_leads(candidates: Sequence[Candidate], *, term: int) -> None:
    (leader,) = (candidate for candidate in candidates if candidate.leads)
    lease = await leader.lease()
    assert (lease.holder, lease.term) == (leader.name, term)


@pytest.mark.parametrize("order", ORDERS, ids="".join)
def test_of_two_who_stand_for_the_first_term_one_leads(order: Sequence[str]) -> None:
    async def both_stand(*candidates: Candidate) -> None:
        for candidate in candidates:
            candidate.stand()
        await stepped(candidates, order)
        await one_leads(candidates, term=1)

    with_two(both_stand)


@pytest.mark.parametrize("order", ORDERS, ids="".join)
def test_of_two_who_find_a_lease_that_has_run_out_one_leads(order: Sequence[str]) -> None:
    async def both_stand(*candidates: Candidate) -> None:
        leases = candidates[0].store.leases
        await leases.take_over(LeaseRecord(name=LEASE), "dead")
        for candidate in candidates:
            assert await candidate.election._stand() is None  # it sees the lease
        await clock.sleep(TIMINGS.lease_duration_seconds)
        for candidate in candidates:
            candidate.stand()
        await stepped(candidates, order)
        await one_leads(candidates, term=2)

    with_two(both_stand)
