"""Kernelspecs that name a provisioner other than the gateway's own."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning import factory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner as StockProvisioner

from enterprise_gateway.provisioners.errors import (
    ProcessProxyUnsupported,
    ProvisionerMissing,
    ProvisionerNotRestorable,
)
from enterprise_gateway.provisioners.local import LocalSettings
from tests.cluster.waiting import eventually
from tests.unit.kernels.managed import ENV, Make, adopted, launched, read_proc

STOCK = KernelSpec(argv=["sleep", "1000"], metadata={"kernel_provisioner": {"provisioner_name": "stock"}})


class Restorable(StockProvisioner):
    """Like jupyter_client's own, but it knows after loading that it has a process; it tells bytes, too."""

    restored = False
    token: bytes | None = None

    @property
    def has_process(self) -> bool:
        return self.restored or super().has_process

    async def get_provisioner_info(self) -> dict[str, Any]:
        return {**await super().get_provisioner_info(), "token": b"\xff"}

    async def load_provisioner_info(self, provisioner_info: dict[str, Any]) -> None:
        await super().load_provisioner_info(provisioner_info)
        self.token = provisioner_info["token"]
        self.restored = True


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have foreign provisioners installed, as packages bring them."""
    entries = {name: EntryPoint(name, kind) for name, kind in (("stock", StockProvisioner), ("good", Restorable))}
    monkeypatch.setattr(factory.KernelProvisionerFactory, "provisioners", entries)


class EntryPoint:
    def __init__(self, name: str, kind: type) -> None:
        self.name = name
        self.load = lambda: kind


async def test_a_process_proxy_of_another_kind_is_refused(make: Make) -> None:
    proxy = "enterprise_gateway.services.processproxies.k8s.KubernetesProcessProxy"
    spec = KernelSpec(argv=["x"], metadata={"process_proxy": {"class_name": proxy}})
    with pytest.raises(ProcessProxyUnsupported, match="KubernetesProcessProxy"):
        await make(spec).prepare(env=ENV, cwd="/")


async def test_the_local_process_proxy_is_a_local_kernel(make: Make) -> None:
    proxy = "enterprise_gateway.services.processproxies.processproxy.LocalProcessProxy"
    spec = KernelSpec(argv=["sleep", "1000"], metadata={"process_proxy": {"class_name": proxy}})
    assert (await launched(make(spec))).has_kernel


async def test_a_provisioner_that_is_not_installed_is_named(make: Make) -> None:
    spec = KernelSpec(argv=["x"], metadata={"kernel_provisioner": {"provisioner_name": "nowhere"}})
    with pytest.raises(ProvisionerMissing, match="'nowhere'"):
        await make(spec).prepare(env=ENV, cwd="/")


@pytest.mark.usefixtures("stock")
async def test_a_foreign_provisioner_launches_with_the_environment_given(make: Make) -> None:
    spec = KernelSpec(argv=["sleep", "1000"], env={"A": "spec"}, metadata=STOCK.metadata)
    manager = await launched(make(spec), env={**ENV, "A": "request"})
    assert manager.provisioner is not None
    pid = manager.provisioner.pid  # type: ignore[attr-defined]
    # The kernel of the system shows none for a moment while a process is being exec'd.
    environ = await eventually(lambda: read_proc(pid, "environ").strip(b"\0"), "the environment can be read")
    assert b"A=request" in environ.split(b"\0")
    assert manager.process is None


@pytest.mark.usefixtures("stock")
async def test_a_foreign_provisioner_that_restores_nothing_is_no_dead_kernel(make: Make) -> None:
    manager = await launched(make(STOCK))
    with pytest.raises(ProvisionerNotRestorable):
        await adopted(manager, make)


@pytest.mark.usefixtures("stock")
async def test_a_foreign_provisioner_gets_back_what_it_told(make: Make) -> None:
    spec = KernelSpec(argv=["sleep", "1000"], metadata={"kernel_provisioner": {"provisioner_name": "good"}})
    manager = await launched(make(spec))
    other = await adopted(manager, make)
    assert isinstance(other.provisioner, Restorable)
    assert other.provisioner.token == b"\xff"
    assert other.provisioner.connection_info == manager.get_connection_info()
    other.provisioner = None  # its wait would poll a process that it does not hold


@pytest.mark.usefixtures("stock")
async def test_abandoning_ends_what_a_foreign_provisioner_launched(make: Make, settings: LocalSettings) -> None:
    manager = await launched(make(STOCK))
    assert manager.provisioner is not None
    pid = manager.provisioner.pid  # type: ignore[attr-defined]
    await manager.abandon()
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        pytest.fail("it lives")
    assert list(settings.directories.root.iterdir()) == []
