"""A replica of its own: takes a kernel over by what a record holds, uses it, and ends it."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import zmq.asyncio

from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager, spec_from
from enterprise_gateway.provisioners.host import HostIdentity
from enterprise_gateway.provisioners.local import LocalProvisioner, LocalSettings
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from tests.unit.kernels.clients import output, start_channels


async def adopt(stored: dict[str, Any]) -> dict[str, Any]:
    context = zmq.asyncio.Context()
    manager = GatewayKernelManager(
        local=LocalSettings(host=HostIdentity.current(), directories=RuntimeDirectories(stored["root"])),
        spec=spec_from(stored["spec"]),
        kernel_id=stored["info"]["kernel_id"],
        generation=stored["info"]["generation"],
        context=context,
    )
    await manager.restore(stored["info"], stored["connection"])
    client = manager.client()
    await start_channels(client)
    printed = await output(client, "print(2 + 3)")
    client.stop_channels()
    assert isinstance(manager.provisioner, LocalProvisioner)
    await manager.provisioner.end(5)
    ended = not await manager.is_alive()
    await manager.remove_files()
    manager.close()
    context.destroy(linger=0)
    return {"process": manager.process, "printed": printed, "ended": ended}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(adopt(json.load(sys.stdin)))))
