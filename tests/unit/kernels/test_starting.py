"""How long a generation may take to come up, and what is known of it then: over mongomock, with launches only noted."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest

from culling.membership import Membership, MembershipTimings
from enterprise_gateway.errors import GatewayError, timed_out
from enterprise_gateway.kernels.activity import Activity
from enterprise_gateway.kernels.acts import Acts
from enterprise_gateway.kernels.admission import Admission
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.hydrate import Hydrator
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.kernels.managers import LaunchFailed, Managers
from enterprise_gateway.kernels.ownership import Ownership
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.settings import KernelSettings
from enterprise_gateway.kernels.starting import StartActs
from enterprise_gateway.kernels.startup import Started, Startup
from enterprise_gateway.kernels.work import Work
from enterprise_gateway.lifecycle import Background
from enterprise_gateway.relay.relay import Relay
from persistence import clock
from persistence.documents import ClientHold, KernelRecord
from persistence.kernel_session_manager import KernelSessionManager
from persistence.phases import Phase
from persistence.testing import mock_store
from tests.fakes.database_clock import SetClock
from tests.records import HOST, NOW, queued_kernel, request

LOG = logging.getLogger("test")


class FakeManagers:
    """Ends whatever there was."""

    def __init__(self, *, gated: bool = True) -> None:
        self._gated = gated

    def gated(self, record: KernelRecord) -> bool:
        return self._gated

    async def end_former(self, record: KernelRecord, *, graceful: bool, foreign: object = None) -> None:
        return


class FakeStartup:
    """Brings nothing up; notes how long it was given, and the phase that it began in."""

    def __init__(self) -> None:
        self.seconds_left = 0.0
        self.phase = ""

    async def bring_up(self, record: KernelRecord, *, deadline: clock.Deadline, stop: asyncio.Event) -> Started:
        self.seconds_left = deadline.remaining_seconds
        self.phase = record.phase
        raise LaunchFailed(timed_out("It was never meant to.", "Kernel did not start in time"))


class UpStartup:
    """Brings everything up."""

    async def bring_up(self, record: KernelRecord, *, deadline: clock.Deadline, stop: asyncio.Event) -> Started:
        return Started(record=record, manager=cast(GatewayKernelManager, None), connection={})


class FakeHydrator:
    """Holds one kernel that nobody is connected to."""

    def __init__(self, held: HeldKernel) -> None:
        self._held = held

    def hold(self, kernel_id: str) -> HeldKernel:
        return self._held


class FakeRelay:
    """Nobody is connected."""

    in_use = False


class FakeOwnership:
    """Watches nothing."""

    async def own(self, held: HeldKernel, record: KernelRecord) -> None:
        return


def replica_parts(store: KernelSessionManager, managers: FakeManagers | None = None) -> KernelParts:
    membership = Membership(store, url="http://x:1", host=HOST, version="1", timings=MembershipTimings(), log=LOG)
    return KernelParts(
        store=store,
        membership=membership,
        acts=Acts(store, membership, LOG),
        managers=cast(Managers, managers or FakeManagers()),
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


@pytest.mark.parametrize(("gated", "phase"), [(True, Phase.QUEUED), (False, Phase.LAUNCHING)])
async def test_only_what_waits_at_no_gate_is_recorded_as_launching_before_it_is_launched(
    database_name: str, gated: bool, phase: Phase
) -> None:
    async with mock_store(database_name) as store:
        record = queued_kernel()
        await store.kernels.insert(record)
        startup = FakeStartup()
        parts = replica_parts(store, FakeManagers(gated=gated))
        acts = StartActs(parts, cast(Startup, startup), cast(Hydrator, None), cast(Ownership, None))
        with pytest.raises(GatewayError, match="never meant to"):
            await acts.launch(record, Work(kernel_id=record.kernel_id), clock.Deadline(10.0))
    assert startup.phase == phase


async def test_a_launch_that_has_no_time_left_is_not_begun_and_blames_no_disk(database_name: str) -> None:
    async with mock_store(database_name) as store:
        parts = replica_parts(store)
        startup = Startup(store, parts.acts, parts.managers, LOG)
        with pytest.raises(LaunchFailed) as failure:
            await startup.bring_up(queued_kernel(), deadline=clock.Deadline(0.0), stop=asyncio.Event())
    assert failure.value.answer.status == 504
    assert "could not begin within 0 s" in failure.value.answer.message


@pytest.mark.parametrize(("clients", "unvisited"), [({}, True), ({"one": ClientHold(replica="r2", n=1)}, False)])
async def test_a_kernel_that_was_brought_up_here_is_unvisited_where_its_record_knows_no_session(
    database_name: str, clients: dict[str, ClientHold], unvisited: bool
) -> None:
    activity = Activity("k1", clock=SetClock(NOW), turned=lambda: None)
    held = HeldKernel("k1", activity=activity, new_relay=lambda held: cast(Relay, FakeRelay()))
    async with mock_store(database_name) as store:
        record = queued_kernel(clients=clients)
        await store.kernels.insert(record)
        acts = StartActs(
            replica_parts(store), cast(Any, UpStartup()), cast(Any, FakeHydrator(held)), cast(Any, FakeOwnership())
        )
        await acts.launch(record, Work(kernel_id=record.kernel_id), clock.Deadline(10.0))
    assert held.unvisited == unvisited


async def test_a_launch_is_a_use_which_a_jump_of_the_clock_has_written_again(database_name: str) -> None:
    activity = Activity("k1", clock=SetClock(NOW), turned=lambda: None)
    held = HeldKernel("k1", activity=activity, new_relay=lambda held: cast(Relay, FakeRelay()))
    async with mock_store(database_name) as store:
        record = queued_kernel()
        await store.kernels.insert(record)
        acts = StartActs(
            replica_parts(store), cast(Any, UpStartup()), cast(Any, FakeHydrator(held)), cast(Any, FakeOwnership())
        )
        await acts.launch(record, Work(kernel_id=record.kernel_id), clock.Deadline(10.0))
    assert activity.pending(1, owner=True) is None, "its record says so"
    activity.clock_jumped()
    pending = activity.pending(1, owner=True)
    assert pending is not None
    assert pending[1].last_activity == NOW
