"""Kernel managers, as tests handle them."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec

from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.provisioners.local import LocalProvisioner

IPYKERNEL = KernelSpec(
    argv=["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    language="python",
    metadata={"supported_encryption": ["curve"]},
)
SLEEPER = KernelSpec(argv=["sleep", "1000"], language="none")
ENV = {"PATH": os.defpath, "HOME": "/tmp", "IPYTHONDIR": "/tmp/no-ipython", "OPENBLAS_NUM_THREADS": "1"}
Make = Callable[..., GatewayKernelManager]
Connect = Callable[[GatewayKernelManager], Awaitable[AsyncKernelClient]]


async def launched(manager: GatewayKernelManager, *, env: Mapping[str, str] = ENV) -> GatewayKernelManager:
    await manager.prepare(env=env, cwd="/tmp")
    await manager.launch()
    await manager.open()
    return manager


async def recorded(manager: GatewayKernelManager) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what a record holds of a kernel, as it comes out of the database."""
    stored: tuple[dict[str, Any], dict[str, Any]] = tuple(
        json.loads(json.dumps(part)) for part in (await manager.provisioner_info(), manager.connection())
    )  # type: ignore[assignment]
    return stored


async def adopted(manager: GatewayKernelManager, make: Make, **how: Any) -> GatewayKernelManager:
    other = make(manager.kernel_spec, **how)
    await other.restore(*await recorded(manager))
    return other


def exists(path: str) -> bool:
    return os.path.exists(path)


def read_proc(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


def local(manager: GatewayKernelManager) -> LocalProvisioner:
    assert isinstance(manager.provisioner, LocalProvisioner)
    return manager.provisioner
