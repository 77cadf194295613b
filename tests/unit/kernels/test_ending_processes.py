"""Interrupts and ends, of kernels and of all that their cells started."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any, cast

import pytest
from jupyter_client.kernelspec import KernelSpec

from enterprise_gateway.kernels.ending import end_kernel
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.provisioners.process import KernelProcess, read_start_ticks
from tests.cluster.waiting import eventually
from tests.fakes.kernel import FakeKernel
from tests.unit.kernels.clients import output
from tests.unit.kernels.managed import IPYKERNEL, SLEEPER, Connect, Make, adopted, launched, local

LEAVES_ONE_DEAF = "(trap '' TERM HUP INT; sh -c 'echo $PPID'; exec sleep 1000) & exec sleep 1000"


async def one_left_deaf(manager: GatewayKernelManager) -> KernelProcess:
    """Kill the kernel alone, when a member of its group ignores all that asks it to end; return that member."""
    told = await eventually(lambda: local(manager).output_tail(1), "it is deaf and told its pid")
    left = KernelProcess.find(int(told[0]), read_start_ticks(int(told[0])) or 0)
    assert left is not None
    assert manager.process is not None
    os.kill(manager.process["pid"], signal.SIGKILL)
    return left


async def test_an_interrupt_reaches_a_running_cell(make: Make, connect: Connect) -> None:
    manager = await launched(make(IPYKERNEL))
    other = await adopted(manager, make)
    client = await connect(manager)
    running = asyncio.Event()
    hear = lambda message: running.set() if message["msg_type"] == "stream" else None  # noqa: E731
    code = "import time; print('on', flush=True); time.sleep(1000)"
    cell = asyncio.create_task(client.execute_interactive(code, output_hook=hear, timeout=30, allow_stdin=False))
    await asyncio.wait_for(running.wait(), 30)
    assert await other.interrupt()
    assert (await cell)["content"]["ename"] == "KeyboardInterrupt"


async def test_an_interrupt_by_message_is_left_to_the_caller(make: Make) -> None:
    manager = await launched(make(KernelSpec(argv=["sleep", "1000"], interrupt_mode="message")))
    assert not await manager.interrupt()
    assert await manager.is_alive()


async def test_ending_a_kernel_ends_what_its_cells_started(make: Make, connect: Connect) -> None:
    manager = await launched(make(IPYKERNEL))
    client = await connect(manager)
    code = "import subprocess as s; p = s.Popen(['sleep', '1000']); print(p.pid, open(f'/proc/{p.pid}/stat').read())"
    pid, *stat = (await output(client, code)).split()
    child = KernelProcess.find(int(pid), int(stat[21]))
    assert child is not None
    await local(manager).end(5)
    assert await child.wait(10)


@pytest.mark.parametrize("by", ["launcher", "adopter"])
async def test_what_a_dead_kernel_leaves_of_its_group_is_ended(make: Make, by: str) -> None:
    launcher = await launched(make(KernelSpec(argv=["sh", "-c", LEAVES_ONE_DEAF])))
    manager = launcher if by == "launcher" else await adopted(launcher, make)
    left = await one_left_deaf(manager)
    assert await local(manager).wait(10) is not None
    assert left.alive()
    await manager.end_remains()
    assert await left.wait(10)


async def test_ending_the_remains_of_a_kernel_that_was_long_gone_is_harmless(make: Make) -> None:
    manager = await launched(make(SLEEPER))
    await local(manager).end(0)
    await (await adopted(manager, make)).end_remains()


class Asked:
    """A kernel's manager and provisioner in one, whose process ends as soon as the kernel is asked to.

    Attributes:
        signals: What its process was sent.
    """

    kernel_id = "k1"

    def __init__(self, kernel: FakeKernel) -> None:
        self.provisioner = self
        self.signals: list[int] = []
        self._kernel = kernel

    def connection(self) -> dict[str, Any]:
        return self._kernel.connection

    async def poll(self) -> int | None:
        return 0 if any(request.msg_type == "shutdown_request" for request in self._kernel.requests) else None

    async def send_signal(self, signum: int) -> None:
        self.signals.append(signum)


@pytest.mark.parametrize(("idle", "signals"), [(True, []), (False, [signal.SIGINT])])
async def test_a_kernel_that_may_be_busy_is_interrupted_before_it_is_asked_to_end(
    idle: bool, signals: list[int]
) -> None:
    async with FakeKernel() as kernel:
        asked = Asked(kernel)
        await end_kernel(cast(GatewayKernelManager, asked), graceful=True, grace_seconds=60.0, idle=idle)
    assert asked.signals == signals
