"""What a flush writes again when the database's clock has jumped."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import cast

from culling.membership import Membership, MembershipTimings
from enterprise_gateway.kernels.activity import Activity
from enterprise_gateway.kernels.flushing import Flusher
from enterprise_gateway.kernels.held import HeldKernel, HeldKernels
from enterprise_gateway.relay.relay import Relay
from persistence.kernel_session_manager import KernelSessionManager
from persistence.testing import mock_store
from tests.records import HOST, running_kernel
from tests.unit.kernels.test_held import FakeRelay

JUMP = timedelta(minutes=1)


async def last_activity(store: KernelSessionManager) -> datetime:
    record = await store.kernels.get("k1")
    assert record is not None
    return record.last_activity


def jump(store: KernelSessionManager) -> None:
    now = store.clock.local_now()
    store.clock.observe(store.clock.latest_now() + JUMP, sent=now, received=now)


async def test_a_use_that_was_written_before_a_jump_was_noticed_is_written_again() -> None:
    async with mock_store() as store:
        membership = Membership(
            store, url="http://x:1", host=HOST, version="1", timings=MembershipTimings(), log=logging.getLogger("test")
        )
        await membership.register()
        await store.kernels.insert(running_kernel(owner=membership.replica_id))
        activity = Activity("k1", clock=store.clock, turned=lambda: None)
        kernels = HeldKernels()
        held = HeldKernel("k1", activity=activity, new_relay=lambda held: cast(Relay, FakeRelay()))
        held.generation = 1
        kernels.add(held)
        flusher = Flusher(store, membership, kernels)
        activity.touch()
        await flusher.flush()
        before = await last_activity(store)
        await flusher.flush()
        assert await last_activity(store) == before
        jump(store)
        await flusher.flush()
        assert await last_activity(store) >= before + JUMP
