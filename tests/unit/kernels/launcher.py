"""A replica of its own: launches an ipykernel, tells what a record would hold of it, and waits to be killed."""

from __future__ import annotations

import asyncio
import json
import sys

import zmq.asyncio

from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager, spec_from
from enterprise_gateway.provisioners.host import HostIdentity
from enterprise_gateway.provisioners.local import LocalSettings
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories


async def launch(root: str, spec: str, env: str) -> None:
    manager = GatewayKernelManager(
        local=LocalSettings(host=HostIdentity.current(), directories=RuntimeDirectories(root)),
        spec=spec_from(json.loads(spec)),
        kernel_id="k1",
        generation=1,
        context=zmq.asyncio.Context(),
    )
    await manager.prepare(env=json.loads(env), cwd="/tmp")
    await manager.launch()
    await manager.open()
    print(json.dumps([await manager.provisioner_info(), manager.connection()]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(launch(*sys.argv[1:]))
