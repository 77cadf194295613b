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
    client.start_channels(stdin=False, hb=False)
    printed: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    await client.kernel_info(reply=True, timeout=30)
    await client.execute_interactive("print(2 + 3)", output_hook=hear, timeout=30, allow_stdin=False)
    client.stop_channels()
    assert isinstance(manager.provisioner, LocalProvisioner)
    await manager.provisioner.end(5)
    ended = not await manager.is_alive()
    await manager.remove_files()
    manager.close()
    context.destroy(linger=0)
    return {"process": manager.process, "printed": "".join(printed), "ended": ended}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(adopt(json.load(sys.stdin)))))
