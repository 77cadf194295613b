"""How long a generation may take to come up: over mongomock, with launches only noted."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

import pytest

from culling.membership import Membership, MembershipTimings
from enterprise_gateway.errors import GatewayError, timed_out
from enterprise_gateway.kernels.acts import Acts
from enterprise_gateway.kernels.admission import Admission
from enterprise_gateway.kernels.hydrate import Hydrator
from enterprise_gateway.kernels.managers import LaunchFailed, Managers
from enterprise_gateway.kernels.ownership import Ownership
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.settings import KernelSettings
from enterprise_gateway.kernels.starting import StartActs
from enterprise_gateway.kernels.startup import Started, Startup
from enterprise_gateway.kernels.work import Work
from enterprise_gateway.lifecycle import Background
from persistence import clock
from persistence.documents import KernelRecord
from persistence.kernel_session_manager import KernelSessionManager
from persistence.phases import Phase
from persistence.testing import mock_store
from tests.records import HOST, queued_kernel, request

LOG = logging.getLogger("test")


class FakeManagers:
    """Ends whatever there was."""

    async def end_former(self, record: KernelRecord, *, graceful: bool, foreign: object = None) -> None:
        return


class FakeStartup:
    """Brings nothing up; notes how long it was given."""

    def __init__(self) -> None:
        self.seconds_left = 0.0

    async def bring_up(self, record: KernelRecord, *, deadline: clock.Deadline, stop: asyncio.Event) -> Started:
        self.seconds_left = deadline.remaining_seconds
        raise LaunchFailed(timed_out("It was never meant to.", "Kernel did not start in time"))


def replica_parts(store: KernelSessionManager) -> KernelParts:
    membership = Membership(store, url="http://x:1", host=HOST, version="1", timings=MembershipTimings(), log=LOG)
    return KernelParts(
        store=store,
        membership=membership,
        acts=Acts(store, membership, LOG),
        managers=cast(Managers, FakeManagers()),
        admission=Admission(1),
        settings=KernelSettings(),
        background=Background(LOG),
        log=LOG,
    )


async def test_a_restart_that_took_all_its_time_to_end_the_former_process_leaves_the_new_one_a_launchs(
    database_name: str,
) -> None:
    async with mock_store(database_name) as store:
        former = {"pid": 4711, "start_ticks": 99}
        asked = request(launch_timeout_seconds=40.0)
        record = queued_kernel(phase=Phase.RESTARTING, generation=2, former=former, request=asked)
        await store.kernels.insert(record)
        startup = FakeStartup()
        acts = StartActs(replica_parts(store), cast(Startup, startup), cast(Hydrator, None), cast(Ownership, None))
        with pytest.raises(GatewayError, match="never meant to"):
            await acts.restart(record, Work(kernel_id=record.kernel_id), clock.Deadline(0.0))
    assert startup.seconds_left > 0.0


async def test_a_launch_that_has_no_time_left_is_not_begun_and_blames_no_disk(database_name: str) -> None:
    async with mock_store(database_name) as store:
        parts = replica_parts(store)
        startup = Startup(store, parts.acts, parts.managers, LOG)
        with pytest.raises(LaunchFailed) as failure:
            await startup.bring_up(queued_kernel(), deadline=clock.Deadline(0.0), stop=asyncio.Event())
    assert failure.value.answer.status == 504
    assert "could not begin within 0 s" in failure.value.answer.message
