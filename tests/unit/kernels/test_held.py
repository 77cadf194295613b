"""What the clients of a held kernel are told when another generation comes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from enterprise_gateway.kernels.activity import Activity
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.relay.relay import Relay
from persistence import clock
from persistence.documents import KernelNotice, KernelRecord
from tests.fakes.database_clock import SetClock
from tests.records import NOW, running_kernel


class FakeRelay:
    """Bound to the first generation; notes what it was told."""

    client_count = 0
    in_use = False

    def __init__(self) -> None:
        self.generation: int | None = 1
        self.told: list[tuple[str, str | None]] = []

    def unbind(self, status: str, text: str | None = None) -> None:
        self.generation = None
        self.told.append((status, text))


class FakeManager:
    """Of a process that runs."""

    def __init__(self, process: Mapping[str, Any] | None = None) -> None:
        self.process = process
        self.is_local = process is not None


@pytest.fixture
def relay() -> FakeRelay:
    return FakeRelay()


@pytest.fixture
def held(relay: FakeRelay) -> HeldKernel:
    activity = Activity("k1", clock=SetClock(NOW), turned=lambda: None)
    return HeldKernel("k1", activity=activity, new_relay=lambda held: cast(Relay, relay))


ASKED = running_kernel(phase="restarting", generation=2)
DIED = running_kernel(phase="restarting", generation=2, restarts=1, reason="It was killed.")


@pytest.mark.parametrize(
    ("record", "told"), [(ASKED, ("starting", None)), (DIED, ("restarting", "It was killed."))], ids=["asked", "died"]
)
def test_clients_are_told_whether_their_kernel_has_died(
    held: HeldKernel, relay: FakeRelay, record: KernelRecord, told: tuple[str, str | None]
) -> None:
    held.pause(record)
    assert relay.told == [told]


def test_a_notice_tells_as_much_as_a_record(held: HeldKernel, relay: FakeRelay) -> None:
    held.pause(KernelNotice.from_document(DIED.to_document()))
    assert relay.told == [("restarting", "It was killed.")]


def test_they_are_told_once(held: HeldKernel, relay: FakeRelay) -> None:
    held.pause(DIED)
    held.pause(DIED)
    assert len(relay.told) == 1


async def test_a_paused_kernel_is_watched_and_probed_no_longer(held: HeldKernel) -> None:
    duties = [asyncio.create_task(clock.sleep(1000)) for _ in range(2)]
    held.owned, (held.watch, held.probe) = True, duties
    assert held.watched
    held.pause(DIED)
    await asyncio.wait(duties)
    assert all(duty.cancelled() for duty in duties)
    assert not held.watched


async def test_a_watch_that_has_ended_watches_nothing(held: HeldKernel) -> None:
    held.owned, held.watch = True, asyncio.create_task(clock.sleep(0))
    await held.watch
    assert not held.watched


PROCESS = {"pid": 7, "start_ticks": 1}


def serving(held: HeldKernel, manager: FakeManager) -> HeldKernel:
    held.generation, held.manager, held.owned = 1, cast(GatewayKernelManager, manager), True
    return held


def test_what_serves_a_kernel_here_is_given_up_to_who_ends_it(held: HeldKernel) -> None:
    manager = FakeManager(PROCESS)
    assert serving(held, manager).give_up(dict(PROCESS)) is cast(Any, manager)
    assert (held.manager, held.owned) == (None, False)


def test_what_serves_another_process_is_not_given_up(held: HeldKernel) -> None:
    manager = FakeManager(PROCESS)
    assert serving(held, manager).give_up({"pid": 8, "start_ticks": 1}) is None
    assert held.manager is cast(Any, manager)


def test_what_alone_may_end_a_foreign_kernel_stays_for_a_second_try(held: HeldKernel) -> None:
    manager = FakeManager()
    assert serving(held, manager).give_up({"generation": 1}) is cast(Any, manager)
    assert held.manager is cast(Any, manager)
