"""Kernel managers of one host, and clients of what they launch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec

from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.provisioners.host import HostIdentity
from enterprise_gateway.provisioners.local import LocalProvisioner, LocalSettings
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from tests.unit.kernels.clients import start_channels
from tests.unit.kernels.managed import SLEEPER, Connect, Make
from tests.unit.provisioners.short_paths import short_directory


@pytest.fixture
def settings() -> Iterator[LocalSettings]:
    with short_directory() as parent:
        directories = RuntimeDirectories(parent / "run")
        directories.prepare()
        yield LocalSettings(host=HostIdentity.current(), directories=directories)


@pytest.fixture
async def make(settings: LocalSettings) -> AsyncIterator[Make]:
    """Make kernel managers of one host; what they launched is ended with the test."""
    context = zmq.asyncio.Context()
    made: list[GatewayKernelManager] = []

    def make(
        spec: KernelSpec = SLEEPER, *, generation: int = 1, host: HostIdentity | None = None
    ) -> GatewayKernelManager:
        local = settings if host is None else LocalSettings(host=host, directories=settings.directories)
        manager = GatewayKernelManager(
            local=local, spec=spec, kernel_id="k1", generation=generation, kernel_name="test", context=context
        )
        made.append(manager)
        return manager

    yield make
    for manager in made:
        if isinstance(manager.provisioner, LocalProvisioner):
            await manager.provisioner.end(0)
        elif manager.provisioner is not None:
            await manager.provisioner.kill()
            await manager.provisioner.wait()
        manager.close()
    context.destroy(linger=0)


@pytest.fixture
async def connect(make: Make) -> AsyncIterator[Connect]:
    """Connect to a kernel; the connection is closed with the test."""
    clients: list[AsyncKernelClient] = []

    async def connect(manager: GatewayKernelManager) -> AsyncKernelClient:
        client = manager.client()
        clients.append(client)
        await start_channels(client)
        return client

    yield connect
    for client in clients:
        client.stop_channels()
