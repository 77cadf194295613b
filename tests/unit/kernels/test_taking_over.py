"""Kernels taken over as another replica would."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import pytest
from jupyter_client.kernelspec import KernelSpec

from enterprise_gateway.kernels.kernel_manager import spec_to_mapping
from enterprise_gateway.provisioners.errors import (
    KernelOnOtherHost,
)
from enterprise_gateway.provisioners.exits import ExitStatus
from enterprise_gateway.provisioners.host import HostIdentity
from enterprise_gateway.provisioners.local import LocalSettings
from tests.unit.kernels.clients import output
from tests.unit.kernels.managed import ENV, IPYKERNEL, SLEEPER, Connect, Make, adopted, launched, local, recorded


async def test_another_process_takes_a_kernel_over(make: Make, connect: Connect, settings: LocalSettings) -> None:
    """It is given nothing but what a record holds, and the runtime directory."""
    manager = await launched(make(IPYKERNEL))
    await connect(manager)
    info, connection = await recorded(manager)
    stored = {
        "info": info,
        "connection": connection,
        "spec": spec_to_mapping(IPYKERNEL, "test"),
        "root": str(settings.directories.root),
    }
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.kernels.adopter", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    answer, _ = await asyncio.wait_for(other.communicate(json.dumps(stored).encode()), 60)
    assert json.loads(answer) == {"process": manager.process, "printed": "5\n", "ended": True}
    assert await local(manager).wait(10) is not None


async def test_a_kernel_outlives_the_kill_of_its_launcher_and_is_taken_over(
    make: Make, connect: Connect, settings: LocalSettings
) -> None:
    arguments = [str(settings.directories.root), json.dumps(spec_to_mapping(IPYKERNEL, "test")), json.dumps(ENV)]
    launcher = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.kernels.launcher", *arguments, stdout=subprocess.PIPE
    )
    assert launcher.stdout is not None
    info, connection = json.loads(await asyncio.wait_for(launcher.stdout.readline(), 60))
    launcher.kill()
    await launcher.communicate()  # to the end of its pipe, so that this is closed
    manager = make(IPYKERNEL)
    await manager.restore(info, connection)
    client = await connect(manager)
    assert await output(client, "print(6 * 7)") == "42\n"
    assert not (await local(manager).end(5)).known  # its parent, who would know, is dead


async def test_an_adopted_kernel_is_the_same_process_alive(make: Make) -> None:
    manager = await launched(make(SLEEPER))
    other = await adopted(manager, make)
    assert other.process == manager.process
    assert other.has_kernel
    assert await other.is_alive()


async def test_an_adopted_kernel_has_the_same_connection(make: Make) -> None:
    manager = await launched(make(IPYKERNEL))
    other = await adopted(manager, make)
    assert other.connection() == manager.connection()
    assert await other.provisioner_info() == await manager.provisioner_info()


async def test_an_adopted_kernel_can_be_adopted_again(make: Make) -> None:
    manager = await launched(make(SLEEPER))
    assert (await adopted(await adopted(manager, make), make)).has_kernel


async def test_an_adopter_ends_the_kernel_and_its_launcher_sees_it_dead(make: Make) -> None:
    manager = await launched(make(SLEEPER))
    other = await adopted(manager, make)
    await local(other).end(5)
    assert not await manager.is_alive()


async def test_a_kernel_that_died_is_restored_and_dead(make: Make) -> None:
    manager = await launched(make(SLEEPER))
    await local(manager).end(0)
    other = await adopted(manager, make)
    assert not await other.is_alive()
    assert local(other).exit_status == ExitStatus(signal=signal.SIGKILL)  # told by its parent, which this process is


async def test_a_pid_that_is_another_process_now_is_dead(make: Make) -> None:
    manager = await launched(make(SLEEPER))
    info, connection = await recorded(manager)
    info["process"]["start_ticks"] += 1
    other = make(SLEEPER)
    await other.restore(info, connection)
    assert not other.has_kernel
    await local(other).kill()
    assert await manager.is_alive()


async def test_a_kernel_of_another_host_is_not_restored(make: Make) -> None:
    manager = await launched(make(SLEEPER))
    elsewhere = HostIdentity(
        machine="m", boot="b", pid_namespace=1, mount_namespace=2, network_namespace=3, user=4, name="elsewhere"
    )
    with pytest.raises(KernelOnOtherHost):
        await adopted(manager, make, host=elsewhere)


async def test_the_output_of_an_adopted_kernel_is_told_too(make: Make) -> None:
    manager = await launched(make(KernelSpec(argv=["sh", "-c", "echo one; echo two >&2"])))
    await local(manager).wait(10)
    assert await local(await adopted(manager, make)).output_tail(5) == ["one", "two"]
