"""From records to held kernels, where the process is gone or another one comes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from culling.membership import Membership, MembershipTimings
from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels.activity import Activity
from enterprise_gateway.kernels.acts import Acts
from enterprise_gateway.kernels.admission import Admission
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.hydrate import Hydrator
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.kernels.managers import Managers, ProcessGone
from enterprise_gateway.kernels.ownership import Ownership
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.settings import KernelSettings
from enterprise_gateway.lifecycle import Background
from enterprise_gateway.relay.relay import Relay
from persistence.documents import KernelRecord, ReplicaState
from persistence.testing import mock_store
from tests.fakes.database_clock import SetClock
from tests.records import HOST, NOW, replica, running_kernel
from tests.unit.kernels.test_held import FakeRelay

LOG = logging.getLogger("test")


class DeadManager:
    """Of a process that is not there."""

    provisioner = None

    def connection(self) -> dict[str, Any]:
        ports = {f"{name}_port": 1 for name in ("shell", "iopub", "stdin", "control", "hb")}
        return {"transport": "ipc", "ip": "/nowhere", "key": "k", "signature_scheme": "hmac-sha256", **ports}

    def close(self) -> None:
        """Nothing is open."""


class FakeManagers:
    """This is the kernels' host, and none of their processes is there."""

    async def restored(self, record: KernelRecord) -> GatewayKernelManager:
        raise ProcessGone(cast(GatewayKernelManager, DeadManager()))

    async def end_remains(self, manager: GatewayKernelManager) -> None:
        """Nothing remains."""


class Here:
    """A replica that hydrates kernels whose processes are gone, and notes the deaths that it sees."""

    def __init__(self, parts: KernelParts) -> None:
        self.parts = parts
        self.id = parts.membership.replica_id
        self.died: list[KernelRecord] = []
        self.relay = FakeRelay()
        self.ownership = Ownership(parts)
        self.ownership.on_death(self._note)
        self._hydrator = Hydrator(parts, self.ownership, self._new_held)

    def _new_held(self, kernel_id: str) -> HeldKernel:
        activity = Activity(kernel_id, clock=SetClock(NOW), turned=lambda: None)
        return HeldKernel(kernel_id, activity=activity, new_relay=lambda held: cast(Relay, self.relay))

    async def _note(self, held: HeldKernel, record: KernelRecord, manager: GatewayKernelManager) -> None:
        self.died.append(record)

    async def hydrate(self, record: KernelRecord) -> HeldKernel:
        """Hydrate it, and wait for what its watch has to say."""
        held = await self._hydrator.hydrate(record)
        if held.watch is not None:
            await held.watch
        return held


class BoundRelay(FakeRelay):
    """Binds whatever it is given."""

    async def bind(self, connection: object, generation: int, *, hands_over: bool) -> None:
        self.generation = generation


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    async with mock_store() as store:
        membership = Membership(store, url="http://x:1", host=HOST, version="1", timings=MembershipTimings(), log=LOG)
        for known in (replica("live"), replica("dead", state=ReplicaState.DEAD)):
            await store.replicas.register(known)
        await membership.register()
        background = Background(LOG)
        here = Here(
            KernelParts(
                store=store,
                membership=membership,
                acts=Acts(store, membership, LOG),
                managers=cast(Managers, FakeManagers()),
                admission=Admission(1),
                settings=KernelSettings(),
                background=background,
                log=LOG,
            )
        )
        here.relay = BoundRelay()
        yield here
        await background.stop()


async def test_what_is_gone_while_its_owner_lives_is_503_and_not_held(here: Here) -> None:
    with pytest.raises(GatewayError) as refused:
        await here.hydrate(running_kernel(owner="live"))
    assert (refused.value.status, refused.value.reason) == (503, "Kernel is gone")
    assert here.parts.held.get("k1") is None
    assert here.died == []


@pytest.mark.parametrize("owner", [None, "dead"])
async def test_what_died_without_an_owner_is_adopted_and_seen_dead_at_once(here: Here, owner: str | None) -> None:
    record = running_kernel(owner=owner)
    await here.parts.store.kernels.insert(record)
    await here.hydrate(record)
    (died,) = here.died
    assert died.owner == here.id


async def test_what_is_gone_and_ones_own_is_seen_dead_at_once(here: Here) -> None:
    record = running_kernel(owner=here.id)
    await here.hydrate(record)
    (died,) = here.died
    assert (died.owner, died.generation, died.process) == (record.owner, record.generation, record.process)


async def test_a_watch_keeps_nothing_of_a_record_that_is_long(here: Here) -> None:
    await here.hydrate(running_kernel(owner=here.id, kernelspec={"argv": ["python"]}, kernel_info={"banner": "hello"}))
    (died,) = here.died
    assert (died.kernelspec, died.kernel_info, died.connection, died.request.env) == ({}, None, None, b"")


async def test_who_comes_while_a_kernel_is_restarted_is_not_joined_to_the_former_process(here: Here) -> None:
    held = await here.hydrate(running_kernel(owner=here.id))
    here.relay.generation = held.generation
    await here.hydrate(running_kernel(phase="restarting", generation=2, restarts=1, owner="live"))
    assert here.relay.told == [("restarting", None)]
    assert held.manager is None


async def test_what_was_launched_under_a_former_id_is_not_own_before_the_record_says_so(here: Here) -> None:
    held = await here.hydrate(running_kernel(owner=here.id))
    held.release()
    await here.ownership.own(held, running_kernel(owner="dead"))
    assert not held.owned


async def test_under_a_new_id_nothing_is_own_before_the_records_say_so(here: Here) -> None:
    held = await here.hydrate(running_kernel(owner=here.id))
    assert held.owned
    await here.parts.store.replicas.declare_dead(here.id, here.parts.membership.record.beat)
    await here.parts.membership.beat_once(_nothing)
    assert here.parts.membership.replica_id != here.id
    assert not held.owned


async def _nothing() -> None:
    return None
