"""What a kernel has started ends with it, also what ignores the signals it is asked to end by."""

from __future__ import annotations

import os
import signal

import pytest

from enterprise_gateway.provisioners.process import KernelProcess, read_start_ticks
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

# An orphan in the kernel's process group, as `!nohup sleep 1000 &` leaves one; its pid is told when it is deaf.
LEAVE_DEAF = """
import subprocess
deaf = "trap '' TERM HUP INT; sh -c 'echo $PPID'; exec sleep 1000 >/dev/null 2>&1"
with subprocess.Popen(["sh", "-c", f"({deaf}) &"], stdout=subprocess.PIPE, text=True) as shell:
    print(shell.stdout.readline().strip())
"""


async def leave_deaf(rest: Rest, kernel_id: str) -> KernelProcess:
    pid = int(await rest.run(kernel_id, LEAVE_DEAF, on=0))
    found = KernelProcess.find(pid, read_start_ticks(pid) or 0)
    assert found is not None
    return found


@pytest.mark.parametrize("on", [0, 1])
async def test_a_delete_ends_what_does_not_listen(rest: Rest, on: int) -> None:
    kernel_id = await rest.start(on=0)
    deaf = await leave_deaf(rest, kernel_id)
    await rest.delete(f"/api/kernels/{kernel_id}", on=on)
    assert not deaf.alive()


@pytest.mark.parametrize("on", [0, 1])
async def test_a_restart_ends_what_does_not_listen(rest: Rest, on: int) -> None:
    kernel_id = await rest.start(on=0)
    deaf = await leave_deaf(rest, kernel_id)
    await rest.post(f"/api/kernels/{kernel_id}/restart", on=on, expect=200)
    assert not deaf.alive()


async def test_with_a_kernel_that_dies_ends_what_it_leaves(rest: Rest, trio: Cluster) -> None:
    kernel_id = await rest.start(on=0)
    deaf = await leave_deaf(rest, kernel_id)
    (process,) = trio.kernel_processes(kernel_id)
    os.kill(process.pid, signal.SIGKILL)
    await eventually(lambda: not deaf.alive(), "what it left is ended")
