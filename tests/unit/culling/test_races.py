"""Two who want contrary things of one document, stepped through every order of their operations."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from persistence import clock, steps
from persistence.documents import Act, KernelRecord, LeaseRecord
from persistence.errors import StaleWrite
from persistence.flush import ActivityEntry
from persistence.kernel_session_manager import KernelSessionManager
from persistence.testing import Gate, mock_store
from tests.records import NOW, running_kernel

LATER = NOW + timedelta(seconds=100)
KEY = "A" * 43 + "="

Actor = Callable[[KernelSessionManager], Awaitable[Any]]
ORDERS = sorted(set(itertools.permutations("aabb")))


@pytest.fixture
async def stores(database_name: str) -> AsyncIterator[Sequence[KernelSessionManager]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(mock_store(database_name, sealing_keys=[KEY])) for _ in range(2)]


async def race(stores: Sequence[KernelSessionManager], order: Sequence[str], a: Actor, b: Actor) -> list[Any]:
    """Run both, their operations in this order; give what each returned, or its StaleWrite."""
    gates = [Gate(store.database) for store in stores]
    tasks = [asyncio.ensure_future(actor(store)) for actor, store in zip((a, b), stores, strict=True)]
    for who in order:
        gate, task = gates["ab".index(who)], tasks["ab".index(who)]
        stepping = asyncio.ensure_future(gate.step())
        await asyncio.wait({stepping, task}, return_when=asyncio.FIRST_COMPLETED)
        stepping.cancel()
        await asyncio.wait({stepping})
        await _rest(task, gate)
    for gate in gates:
        gate.open()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, StaleWrite):
            raise outcome
    return outcomes


async def _rest(task: asyncio.Future[Any], gate: Gate) -> None:
    """Let the actor come to its next operation, or to its end."""
    for _ in range(50):
        if task.done() or not gate.idle:
            return
        await clock.sleep(0)  # so that the other task runs


def lost(outcomes: Sequence[Any]) -> list[bool]:
    return [isinstance(outcome, StaleWrite) for outcome in outcomes]


async def stored(store: KernelSessionManager) -> KernelRecord:
    found = await store.kernels.get("k1")
    assert found is not None
    return found


async def cull(store: KernelSessionManager) -> KernelRecord:
    candidates = await store.kernels.idle_since(NOW, limit=1)
    if not candidates:
        raise StaleWrite("it is not idle")
    act = Act(id="cull", replica="leader", since=LATER)
    return await store.kernels.apply(steps.claim_cull(candidates[0], act=act, reason="idle"))


async def touch(store: KernelSessionManager) -> set[str]:
    entry = ActivityEntry(kernel_id="k1", generation=1, last_activity=LATER)
    return await store.kernels.flush("r1", "flush", [entry])


async def connect(store: KernelSessionManager) -> KernelRecord:
    return await store.kernels.apply(steps.open_connection("k1", replica="r1", count=1, n=1, now=LATER))


async def restart(store: KernelSessionManager) -> KernelRecord:
    record = await stored(store)
    act = Act(id="restart", replica="r1", since=LATER)
    return await store.kernels.apply(steps.claim_restart(record, act=act, now=LATER))


@pytest.mark.parametrize("order", ORDERS, ids="".join)
@pytest.mark.parametrize("other", [touch, connect, restart])
async def test_a_cull_never_wins_over_what_was_acknowledged_before_its_claim(
    stores: Sequence[KernelSessionManager], order: Sequence[str], other: Actor
) -> None:
    await stores[0].kernels.insert(running_kernel())
    acknowledged: list[bool] = []

    async def seen(store: KernelSessionManager) -> Any:
        done = await other(store)
        acknowledged.append((await stored(stores[1])).phase != "stopping")
        return done

    culled, _ = lost(await race(stores, order, cull, seen))
    if not culled:
        # What came after the claim may be written too, but nobody was told before it that the kernel lives on.
        assert (await stored(stores[0])).act == Act(id="cull", replica="leader", since=LATER)
        assert not any(acknowledged)


@pytest.mark.parametrize("order", ORDERS, ids="".join)
async def test_of_two_who_take_a_lease_one_has_it(stores: Sequence[KernelSessionManager], order: Sequence[str]) -> None:
    async def take(store: KernelSessionManager, holder: str) -> LeaseRecord:
        seen = await store.leases.get("leader") or LeaseRecord(name="leader")
        if seen.term:
            raise StaleWrite("somebody has it")
        return await store.leases.take_over(seen, holder)

    outcomes = await race(stores, order, lambda store: take(store, "a"), lambda store: take(store, "b"))
    assert sorted(lost(outcomes)) == [False, True]


@pytest.mark.parametrize("order", ORDERS, ids="".join)
async def test_of_a_renewal_and_a_takeover_one_is_made(
    stores: Sequence[KernelSessionManager], order: Sequence[str]
) -> None:
    held = await stores[0].leases.take_over(LeaseRecord(name="leader"), "a")
    outcomes = await race(
        stores, order, lambda store: store.leases.renew(held), lambda store: store.leases.take_over(held, "b")
    )
    assert sorted(lost(outcomes)) == [False, True]


@pytest.mark.parametrize("order", ORDERS, ids="".join)
async def test_an_owner_that_comes_back_writes_nothing_over_its_adopter(
    stores: Sequence[KernelSessionManager], order: Sequence[str]
) -> None:
    record = running_kernel(execution_n=0)
    await stores[0].kernels.insert(record)

    async def adopt(store: KernelSessionManager) -> KernelRecord:
        return await store.kernels.apply(steps.adopt(record, replica="r2", now=LATER))

    async def come_back(store: KernelSessionManager) -> set[str]:
        busy = ActivityEntry(
            kernel_id="k1", generation=1, last_activity=LATER, execution_state="busy", execution_n=7, owner=True
        )
        return await store.kernels.flush("r1", "flush", [busy])

    await race(stores, order, adopt, come_back)
    after = await stored(stores[0])
    assert (after.owner, after.execution_state, after.execution_n) == ("r2", "unknown", 0)
    assert after.last_activity == LATER


@pytest.mark.parametrize("order", ORDERS, ids="".join)
async def test_of_a_launch_and_its_takeover_one_goes_on(
    stores: Sequence[KernelSessionManager], order: Sequence[str]
) -> None:
    act = Act(id="launch", replica="r1", since=NOW)
    record = running_kernel(phase="launching", act=act)
    await stores[0].kernels.insert(record)

    async def goes_on(store: KernelSessionManager) -> KernelRecord:
        return await store.kernels.apply(steps.mark_running(record, now=LATER, kernel_info={}, replica="r1"))

    async def takes_over(store: KernelSessionManager) -> KernelRecord:
        other = Act(id="takeover", replica="r2", since=LATER)
        return await store.kernels.apply(steps.take_over_start(record, act=other, now=LATER))

    outcomes = await race(stores, order, goes_on, takes_over)
    assert sorted(lost(outcomes)) == [False, True]
