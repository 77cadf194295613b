"""A kernel that dies by itself and is not to be restarted: clients are told, and the record says why."""

from __future__ import annotations

import os
import select
import signal
from typing import Any

import pytest

from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

SETTINGS = {"EG_AUTORESTART": "false"}
LAST_WORDS = "the last words of this kernel"
# ipykernel reads what is written to descriptor 2 and sends it to its clients; this is the process's own stderr.
SAY = f"import os, signal, sys\nos.write(sys.stderr._original_stdstream_copy, b'{LAST_WORDS}\\n')\n"
EXIT = f"{SAY}os._exit(3)"
KILL = f"{SAY}os.kill(os.getpid(), signal.SIGKILL)"


async def ended(trio: Cluster, kernel_id: str) -> dict[str, Any]:
    """Wait until the record is ended, and return it."""
    return await eventually(
        lambda: next((d for d in trio.documents("kernels") if d["_id"] == kernel_id and d["phase"] == "ended"), None),
        f"the record of {kernel_id} is ended",
    )


@pytest.mark.parametrize(("code", "named"), [(EXIT, "3"), (KILL, "SIGKILL")])
@pytest.mark.parametrize("on", [0, 1])
async def test_a_kernel_that_dies_is_told_dead_everywhere_and_ended_with_its_reason(
    rest: Rest, trio: Cluster, code: str, named: str, on: int
) -> None:
    kernel_id = await rest.start(on=0)
    async with await rest.open(kernel_id, on=on) as kernel:
        await kernel.begin(code)
        await kernel.until_state("dead")
    record = await ended(trio, kernel_id)
    assert named in record["reason"]
    assert LAST_WORDS in record["reason"]
    assert "slot" not in record
    await rest.get(f"/api/kernels/{kernel_id}", on=2, expect=404)
    assert kernel_id not in await rest.listed()


async def test_a_kernel_killed_from_outside_is_ended_without_any_client(rest: Rest, trio: Cluster) -> None:
    kernel_id = await rest.start(on=0)
    (process,) = trio.kernel_processes(kernel_id)
    os.kill(process.pid, signal.SIGKILL)
    assert "SIGKILL" in (await ended(trio, kernel_id))["reason"]


async def test_a_kernel_that_ends_itself_as_exit_does_is_ended(rest: Rest, trio: Cluster) -> None:
    kernel_id = await rest.start(on=0)
    async with await rest.open(kernel_id, on=1) as kernel:
        await kernel.begin("exit()")
        await kernel.until_state("dead")
    await ended(trio, kernel_id)


async def test_an_interrupt_of_a_kernel_whose_death_nobody_has_told_says_it(rest: Rest, trio: Cluster) -> None:
    kernel_id = await rest.start(on=0)
    interrupt = f"/api/kernels/{kernel_id}/interrupt"
    assert (await rest.request("POST", interrupt, on=1)).status_code == 204
    (process,) = trio.kernel_processes(kernel_id)
    death = os.pidfd_open(process.pid)
    trio.replicas[0].signal(signal.SIGSTOP)
    try:
        process.kill()
        await eventually(lambda: select.select([death], [], [], 0)[0], "it is dead to the last thread")
        answer = await rest.request("POST", interrupt, on=1)
    finally:
        trio.replicas[0].signal(signal.SIGCONT)
        os.close(death)
    assert (answer.status_code, answer.json()["reason"]) == (409, "Kernel has died")
    await ended(trio, kernel_id)
