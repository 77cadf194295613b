"""The election over mongomock, on virtual time: each candidate has its own client and its own clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from culling.election import _Guard
from persistence import clock
from persistence.testing import away
from tests.records import running_kernel
from tests.unit.culling.candidates import TIMINGS, Candidate, Test, with_two


def virtually(test: Test) -> Callable[[], None]:
    def run() -> None:
        with_two(test)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__  # type: ignore[attr-defined]
    return run


def passing(seconds: float) -> Coroutine[Any, Any, None]:
    return clock.sleep(seconds)


@virtually
async def test_one_of_two_leads_and_goes_on_leading(a: Candidate, b: Candidate) -> None:
    a.stand()
    await passing(0.1)
    b.stand()
    await passing(60)
    assert a.leads
    assert not b.leads
    assert (await a.lease()).term == 1


@virtually
async def test_renewals_count_as_attempted_also_when_they_fail_and_no_more_when_the_lead_is_lost(
    a: Candidate, b: Candidate
) -> None:
    assert a.election.seconds_since_attempt is None
    a.stand()
    await passing(5)
    with away(a.store.database):
        await passing(0.6)
        assert a.leads
        assert a.election.seconds_since_attempt is not None
        assert a.election.seconds_since_attempt < TIMINGS.renew_interval_seconds
        await passing(10)
        assert not a.leads
        assert a.election.seconds_since_attempt > 8


@virtually
async def test_of_two_who_stand_at_once_one_leads(a: Candidate, b: Candidate) -> None:
    a.stand()
    b.stand()
    await passing(10)
    assert a.leads != b.leads


def test_deployments_that_share_a_server_by_database_name_have_each_a_leader() -> None:
    async def both_lead(a: Candidate, b: Candidate) -> None:
        for candidate in (a, b):
            candidate.stand()
        await passing(5)
        assert a.leads
        assert b.leads

    with_two(both_lead, databases=("one", "other"))


@virtually
async def test_given_back_the_lead_passes_on_within_one_renew_interval(a: Candidate, b: Candidate) -> None:
    a.stand()
    await passing(5)
    b.stand()
    await passing(5)
    await a.leave()
    assert (await a.lease()).holder is None
    await passing(TIMINGS.longest_interval_seconds)
    assert b.leads
    assert (await b.lease()).term == 2


@virtually
async def test_a_leader_that_is_cut_off_stops_before_another_begins(a: Candidate, b: Candidate) -> None:
    a.stand()
    await passing(1)
    b.stand()
    await passing(5)
    with away(a.store.database):
        while a.leads:
            await passing(0.01)
            assert not b.leads
        await passing(TIMINGS.lease_duration_seconds + 2 * TIMINGS.longest_interval_seconds)
        assert b.leads
    assert a.lost == 1


@virtually
async def test_its_right_counts_from_the_sending_of_the_last_acknowledged_renewal(a: Candidate, b: Candidate) -> None:
    a.stand()
    await passing(5)
    loop = asyncio.get_running_loop()
    sent: list[float] = []

    async def slow(operation: str) -> None:
        if operation == "find_one_and_update":
            sent.append(loop.time())
            await passing(0.4)  # within the operation timeout

    a.backend.before = slow
    await passing(10)
    assert a.leads
    a.backend.down = True
    last = max(at for at in sent if at + 0.4 < loop.time())
    while a.leads:
        await passing(0.001)
    assert loop.time() == pytest.approx(last + TIMINGS.renew_deadline_seconds, abs=0.01)


@virtually
async def test_a_machine_that_was_suspended_leads_no_more(a: Candidate, b: Candidate) -> None:
    a.stand()
    await passing(5)
    assert a.leads
    a.ahead = 3600.0
    assert not a.leads
    await passing(0.01)
    assert a.term is not None
    assert a.term.over


@virtually
async def test_a_term_that_is_over_never_comes_back(a: Candidate, b: Candidate) -> None:
    a.stand()
    await passing(5)
    assert a.term is not None
    a.ahead = 3600.0
    assert a.term.over
    a.ahead = 0.0
    a.term.renewed(await a.lease(), sent=asyncio.get_running_loop().time())
    assert a.term.over


@virtually
async def test_a_renewal_whose_answer_was_lost_loses_nothing(a: Candidate, b: Candidate) -> None:
    a.stand()
    await passing(5)
    assert a.term is not None
    await a.store.leases.renew(a.term.lease)  # made, and nobody was told
    await passing(10)
    assert a.leads
    assert (await a.lease()).term == 1


@virtually
async def test_another_that_has_taken_over_ends_the_work_at_once(a: Candidate, b: Candidate) -> None:
    a.stand()
    await passing(5)
    await b.store.leases.take_over(await b.lease(), "b")
    await passing(TIMINGS.longest_interval_seconds)
    assert a.lost == 1
    assert (await b.lease()).holder == "b"


@virtually
async def test_a_takeover_makes_void_what_was_read_of_kernels_before(a: Candidate, b: Candidate) -> None:
    await a.store.kernels.insert(running_kernel())
    a.stand()
    await passing(1)
    record = await b.store.kernels.get("k1")
    assert record is not None
    assert record.activity_seq == 1


@virtually
async def test_who_can_not_make_old_reads_void_does_not_lead(a: Candidate, b: Candidate) -> None:
    async def fail_raise(operation: str) -> None:
        if operation == "update_many":
            await passing(5)

    a.backend.before = fail_raise
    a.stand()
    await passing(4)
    assert a.term is None


@virtually
async def test_who_is_not_willing_leaves_the_lead_to_others(a: Candidate, b: Candidate) -> None:
    a.willing = False
    a.stand()
    await passing(1)
    b.stand()
    await passing(5)
    assert not a.leads
    assert b.leads


@virtually
async def test_a_block_that_ends_by_itself_gives_the_lead_back(a: Candidate, b: Candidate) -> None:
    async with a.election.leadership() as term:
        assert term.number == 1
    assert (await a.lease()).holder is None


@virtually
async def test_what_fails_in_the_block_passes_and_gives_the_lead_back(a: Candidate, b: Candidate) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with a.election.leadership():
            raise ValueError("mine")
    assert (await a.lease()).holder is None


async def test_a_cancellation_that_comes_together_with_the_loss_of_the_lead_is_kept() -> None:
    async def lead() -> None:
        guard = _Guard()
        task = asyncio.current_task()
        assert task is not None
        async with guard:
            guard.fire()
            task.cancel()

    leading = asyncio.create_task(lead())
    await asyncio.wait({leading})
    assert leading.cancelled()
