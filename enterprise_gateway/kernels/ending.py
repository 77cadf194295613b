"""Making a kernel's process end: asked first, then told, at last killed; over only when it has been seen dead."""

from __future__ import annotations

import asyncio
import signal

from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.provisioners.local import LocalProvisioner
from enterprise_gateway.relay import probe
from persistence import clock, faults

TERMINATE_SECONDS = 2.0
KILL_SECONDS = 3.0
POLL_SECONDS = 0.2


class EndFailed(Exception):
    """The process was killed and still exists (it hangs in the kernel of the operating system, or can't be reached)."""


async def end_kernel(
    manager: GatewayKernelManager,
    *,
    graceful: bool,
    grace_seconds: float = 0.0,
    restart: bool = False,
    idle: bool = False,
) -> None:
    """End the process of a generation and see it dead.

    Args:
        manager: Of that generation, launched or restored.
        graceful: Ask the kernel first to shut down by itself.
        grace_seconds: How long it may take when asked.
        restart: Told to the kernel, so that it can tell its clients.
        idle: Is it known to run nothing? Then there is nothing to interrupt.

    Raises:
        EndFailed: It still exists after SIGKILL.
    """
    provisioner = manager.provisioner
    if provisioner is None or await provisioner.poll() is not None:
        return
    if graceful:
        if not idle:
            # As jupyter_client does: interrupted first, a busy kernel gets round to reading what is asked.
            await provisioner.send_signal(signal.SIGINT)
            faults.reach("interrupted", manager.kernel_id)
        if await _asked(manager, grace_seconds, restart):
            return
    await provisioner.terminate(restart=restart)
    faults.reach("told to end", manager.kernel_id)
    if await gone(manager, TERMINATE_SECONDS):
        return
    await provisioner.kill(restart=restart)
    if not await gone(manager, KILL_SECONDS):
        raise EndFailed("its process still exists after SIGKILL")


async def _asked(manager: GatewayKernelManager, grace_seconds: float, restart: bool) -> bool:
    asking = asyncio.ensure_future(_ask(manager, grace_seconds, restart))
    try:
        return await gone(manager, grace_seconds)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def _ask(manager: GatewayKernelManager, grace_seconds: float, restart: bool) -> None:
    await probe.shutdown_request(manager.connection(), restart=restart, timeout_seconds=grace_seconds)
    faults.reach("agreed to end", manager.kernel_id)


async def gone(manager: GatewayKernelManager, timeout_seconds: float | None) -> bool:
    """Wait until the process is seen dead; False when it still lives after `timeout_seconds` (None: for ever)."""
    provisioner = manager.provisioner
    if provisioner is None:
        return True
    deadline = None if timeout_seconds is None else clock.Deadline(timeout_seconds)
    while await provisioner.poll() is None:
        if deadline is not None and deadline.passed:
            return False
        await _wait(provisioner, None if deadline is None else deadline.remaining_seconds)
    return True


async def _wait(provisioner: KernelProvisionerBase, timeout_seconds: float | None) -> None:
    """Wait for the end, at most so long: by notification where it is a process of this host, else for a moment."""
    if isinstance(provisioner, LocalProvisioner):
        await provisioner.wait(timeout_seconds)
    else:
        await clock.sleep(POLL_SECONDS if timeout_seconds is None else min(POLL_SECONDS, timeout_seconds))
