"""Real kernels, launched step by step."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq.asyncio
from jupyter_client.kernelspec import KernelSpec

from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager, spec_from, spec_to_mapping
from enterprise_gateway.provisioners.errors import (
    LaunchError,
)
from enterprise_gateway.provisioners.local import LocalSettings
from enterprise_gateway.provisioners.process import KernelProcess
from tests.unit.kernels.clients import output
from tests.unit.kernels.managed import (
    ENV,
    IPYKERNEL,
    SLEEPER,
    Connect,
    Make,
    adopted,
    exists,
    launched,
    local,
    read_proc,
    recorded,
)


async def test_an_ipykernel_listens_on_sockets_in_its_directory_and_answers(
    make: Make, connect: Connect, settings: LocalSettings
) -> None:
    manager = await launched(make(IPYKERNEL))
    await connect(manager)
    assert manager.connection()["transport"] == "ipc"
    assert {f"s-{number}" for number in range(1, 6)} < set(os.listdir(settings.directories.path("k1", 1)))


async def test_a_kernel_by_tcp_is_encrypted_where_its_spec_says_that_it_can(make: Make, connect: Connect) -> None:
    argv = [
        sys.executable,
        "-c",
        "from ipykernel.kernelapp import launch_new_instance as go; go()",
        *IPYKERNEL.argv[3:],
    ]
    spec = KernelSpec(argv=argv, language="python", metadata=IPYKERNEL.metadata)
    manager = await launched(make(spec))
    await connect(await adopted(manager, make))
    assert manager.connection()["transport"] == "tcp"
    assert manager.connection()["curve_publickey"]


async def test_a_kernel_by_tcp_whose_spec_is_silent_is_not_encrypted(make: Make) -> None:
    manager = make(SLEEPER)
    await manager.prepare(env=ENV, cwd="/")
    assert "curve_publickey" not in manager.connection()


async def test_required_encryption_holds_for_sockets_too(make: Make, connect: Connect) -> None:
    manager = make(IPYKERNEL)
    manager.transport_encryption = "required"
    await connect(await launched(manager))
    assert (manager.connection()["transport"], manager.curve_publickey is None) == ("ipc", False)


async def test_required_encryption_refuses_a_kernel_that_can_not(make: Make) -> None:
    manager = make(SLEEPER)
    manager.transport_encryption = "required"
    with pytest.raises(LaunchError, match="supported_encryption"):
        await manager.prepare(env=ENV, cwd="/")


async def test_two_kernels_by_tcp_get_different_ports(make: Make) -> None:
    first, second = make(SLEEPER), make(SLEEPER, generation=2)
    for manager in (first, second):
        await manager.prepare(env=ENV, cwd="/")
    assert not set(first.ports) & set(second.ports)


async def test_ports_are_free_again_once_the_kernel_answers(make: Make) -> None:
    manager = await launched(make(SLEEPER))
    manager.started()
    with socket.socket() as other:
        other.bind(("127.0.0.1", manager.shell_port))


async def test_a_spec_named_by_the_settings_uses_sockets_too(settings: LocalSettings, make: Make) -> None:
    manager = make(SLEEPER)
    manager.local = LocalSettings(
        host=settings.host, directories=settings.directories, ipc_kernelspecs=frozenset({"test"})
    )
    await manager.prepare(env=ENV, cwd="/")
    assert manager.connection()["transport"] == "ipc"


async def test_the_connection_file_is_the_users_alone(make: Make) -> None:
    manager = make(SLEEPER)
    await manager.prepare(env=ENV, cwd="/")
    assert os.stat(manager.connection_file).st_mode & 0o777 == 0o600


def contents(file: str) -> str:
    return Path(file).read_text()


async def test_the_connection_file_says_what_other_replicas_are_told(make: Make) -> None:
    manager = make(SLEEPER)
    await manager.prepare(env={**ENV, "JPY_SESSION_NAME": "a.ipynb"}, cwd="/")
    names = {"kernel_name": "test", "jupyter_session": "a.ipynb"}
    assert json.loads(contents(manager.connection_file)) == {**manager.connection(), **names}


async def test_each_generation_has_keys_and_addresses_of_its_own(make: Make) -> None:
    first, second = make(IPYKERNEL), make(IPYKERNEL, generation=2)
    for manager in (first, second):
        await manager.prepare(env=ENV, cwd="/")
    assert first.connection()["key"] != second.connection()["key"]
    assert first.connection()["ip"] != second.connection()["ip"]


async def test_the_process_is_known_before_it_runs_the_command(make: Make) -> None:
    manager = make(SLEEPER)
    await manager.prepare(env=ENV, cwd="/")
    await manager.launch()
    process = manager.process
    assert process is not None
    assert b"sleep" not in read_proc(process["pid"], "comm")
    assert KernelProcess.find(**process) is not None


async def test_an_abandoned_launch_leaves_neither_process_nor_directory(make: Make, settings: LocalSettings) -> None:
    manager = make(SLEEPER)
    await manager.prepare(env=ENV, cwd="/")
    await manager.launch()
    process = manager.process
    await manager.abandon()
    assert process is not None
    assert KernelProcess.find(**process) is None
    assert list(settings.directories.root.iterdir()) == []


async def test_abandoning_does_not_touch_what_an_earlier_launch_of_this_generation_made(make: Make) -> None:
    first = await launched(make(SLEEPER))
    second = make(SLEEPER)
    with pytest.raises(LaunchError, match="exists already"):
        await second.prepare(env=ENV, cwd="/")
    await second.abandon()
    assert exists(first.connection_file)


async def test_a_lost_manager_removes_nothing(make: Make, settings: LocalSettings) -> None:
    context = zmq.asyncio.Context()
    manager = GatewayKernelManager(local=settings, spec=SLEEPER, kernel_id="k2", generation=1, context=context)
    await manager.prepare(env=ENV, cwd="/")
    file = manager.connection_file
    manager.close()
    del manager
    assert exists(file)
    context.destroy()


async def test_a_manager_serves_one_launch(make: Make) -> None:
    manager = await launched(make(SLEEPER))
    with pytest.raises(RuntimeError, match="one launch"):
        await manager.restore(*await recorded(manager))


async def test_the_kernel_gets_the_environment_and_directory_that_were_given(make: Make, connect: Connect) -> None:
    manager = await launched(make(IPYKERNEL), env={**ENV, "KERNEL_FOO": "bar"})
    client = await connect(manager)
    code = "import os; print(os.environ['KERNEL_FOO'], os.getcwd(), os.environ.get('JPY_PARENT_PID'))"
    assert await output(client, code) == "bar /tmp None\n"


async def test_a_command_that_is_not_found_is_told_with_its_last_words(make: Make) -> None:
    manager = await launched(make(KernelSpec(argv=["no-such-kernel"])))
    assert await local(manager).wait(10) == 127
    reason = await local(manager).death_reason()
    assert reason.startswith("The kernel's process exited with code 127 (its command was not found): ")
    assert "no-such-kernel: not found" in reason


async def test_a_long_log_is_trimmed(make: Make, settings: LocalSettings) -> None:
    manager = make(KernelSpec(argv=["sh", "-c", "echo 12345678901234567890"]))
    manager.local = LocalSettings(host=settings.host, directories=settings.directories, kernel_log_max_bytes=20)
    await launched(manager)
    await local(manager).wait(10)
    assert await local(manager).trim_log()
    assert await local(manager).output_tail(1) == ["234567890"]


async def test_removing_the_files_of_one_generation_leaves_the_next(make: Make) -> None:
    first, second = await launched(make(SLEEPER)), await launched(make(SLEEPER, generation=2))
    await local(first).end(0)
    await (await adopted(first, make)).remove_files()
    assert not exists(first.connection_file)
    assert exists(second.connection_file)


async def test_a_command_may_name_kernel_and_home(make: Make) -> None:
    manager = await launched(make(KernelSpec(argv=["echo", "{kernel_id}", "~/x", "{unknown}"])))
    await local(manager).wait(10)
    assert await local(manager).output_tail(1) == ["k1 /tmp/x {unknown}"]


@pytest.mark.parametrize("missing", ["env", "cwd"])
async def test_nothing_of_the_gateways_own_is_passed_on_by_default(make: Make, missing: str) -> None:
    manager = make(SLEEPER)
    arguments: dict[str, Any] = {"env": ENV, "cwd": "/"}
    await manager.prepare(**arguments)
    with pytest.raises(LaunchError, match=f"its {missing}"):
        await local(manager).launch_kernel(["true"], **{**arguments, missing: None})


@pytest.mark.parametrize("what", ["start_kernel", "restart_kernel", "shutdown_kernel"])
async def test_what_does_all_steps_at_once_is_refused(make: Make, what: str) -> None:
    with pytest.raises(NotImplementedError, match="an act"):
        await getattr(make(), what)()


def test_a_kernelspec_comes_out_of_a_record_as_it_went_in() -> None:
    spec = KernelSpec(argv=["a"], env={"B": "c"}, resource_dir="/r", metadata={"d": 1}, interrupt_mode="message")
    back = spec_from({**spec_to_mapping(spec, "n"), "of_a_newer_version": 1})
    assert spec_to_mapping(back, "n") == spec_to_mapping(spec, "n")
    assert back.resource_dir == "/r"
