"""Real kernels, launched step by step, and taken over as another replica would."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning import factory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner as StockProvisioner

from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager, spec_from, spec_to_mapping
from enterprise_gateway.provisioners.errors import (
    KernelOnOtherHost,
    LaunchError,
    ProcessProxyUnsupported,
    ProvisionerMissing,
    ProvisionerNotRestorable,
)
from enterprise_gateway.provisioners.exits import ExitStatus
from enterprise_gateway.provisioners.host import HostIdentity
from enterprise_gateway.provisioners.local import LocalProvisioner, LocalSettings
from enterprise_gateway.provisioners.process import KernelProcess, read_start_ticks
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from tests.cluster.waiting import eventually
from tests.unit.kernels.clients import output, start_channels
from tests.unit.provisioners.short_paths import short_directory

IPYKERNEL = KernelSpec(
    argv=["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    language="python",
    metadata={"supported_encryption": ["curve"]},
)
SLEEPER = KernelSpec(argv=["sleep", "1000"], language="none")
STOCK = KernelSpec(argv=["sleep", "1000"], metadata={"kernel_provisioner": {"provisioner_name": "stock"}})
ENV = {"PATH": os.defpath, "HOME": "/tmp", "IPYTHONDIR": "/tmp/no-ipython", "OPENBLAS_NUM_THREADS": "1"}

Make = Callable[..., GatewayKernelManager]
Connect = Callable[[GatewayKernelManager], Awaitable[AsyncKernelClient]]


@pytest.fixture
def settings() -> Iterator[LocalSettings]:
    with short_directory() as parent:
        directories = RuntimeDirectories(parent / "run")
        directories.prepare()
        yield LocalSettings(host=HostIdentity.current(), directories=directories)


@pytest.fixture
async def make(settings: LocalSettings) -> AsyncIterator[Make]:
    """Make kernel managers of one host; what they launched is ended with the test."""
    context = zmq.asyncio.Context()
    made: list[GatewayKernelManager] = []

    def make(
        spec: KernelSpec = SLEEPER, *, generation: int = 1, host: HostIdentity | None = None
    ) -> GatewayKernelManager:
        local = settings if host is None else LocalSettings(host=host, directories=settings.directories)
        manager = GatewayKernelManager(
            local=local, spec=spec, kernel_id="k1", generation=generation, kernel_name="test", context=context
        )
        made.append(manager)
        return manager

    yield make
    for manager in made:
        if isinstance(manager.provisioner, LocalProvisioner):
            await manager.provisioner.end(0)
        elif manager.provisioner is not None:
            await manager.provisioner.kill()
            await manager.provisioner.wait()
        manager.close()
    context.destroy(linger=0)


@pytest.fixture
async def connect(make: Make) -> AsyncIterator[Connect]:
    """Connect to a kernel; the connection is closed with the test."""
    clients: list[AsyncKernelClient] = []

    async def connect(manager: GatewayKernelManager) -> AsyncKernelClient:
        client = manager.client()
        clients.append(client)
        await start_channels(client)
        return client

    yield connect
    for client in clients:
        client.stop_channels()


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


async def test_an_ipykernel_listens_on_sockets_in_its_directory_and_answers(
    make: Make, connect: Connect, settings: LocalSettings
) -> None:
    manager = await launched(make(IPYKERNEL))
    await connect(manager)
    assert manager.connection()["transport"] == "ipc"
    assert {f"s-{number}" for number in range(1, 6)} < set(os.listdir(settings.directories.path("k1", 1)))


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


async def test_a_manager_serves_one_launch(make: Make) -> None:
    manager = await launched(make(SLEEPER))
    with pytest.raises(RuntimeError, match="one launch"):
        await manager.restore(*await recorded(manager))


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


LEAVES_ONE_DEAF = "(trap '' TERM HUP INT; sh -c 'echo $PPID'; exec sleep 1000) & exec sleep 1000"


async def one_left_deaf(manager: GatewayKernelManager) -> KernelProcess:
    """Kill the kernel alone, when a member of its group ignores all that asks it to end; return that member."""
    told = await eventually(lambda: local(manager).output_tail(1), "it is deaf and told its pid")
    left = KernelProcess.find(int(told[0]), read_start_ticks(int(told[0])) or 0)
    assert left is not None
    assert manager.process is not None
    os.kill(manager.process["pid"], signal.SIGKILL)
    return left


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


async def test_the_output_of_an_adopted_kernel_is_told_too(make: Make) -> None:
    manager = await launched(make(KernelSpec(argv=["sh", "-c", "echo one; echo two >&2"])))
    await local(manager).wait(10)
    assert await local(await adopted(manager, make)).output_tail(5) == ["one", "two"]


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


async def test_a_process_proxy_of_another_kind_is_refused(make: Make) -> None:
    proxy = "enterprise_gateway.services.processproxies.k8s.KubernetesProcessProxy"
    spec = KernelSpec(argv=["x"], metadata={"process_proxy": {"class_name": proxy}})
    with pytest.raises(ProcessProxyUnsupported, match="KubernetesProcessProxy"):
        await make(spec).prepare(env=ENV, cwd="/")


async def test_the_local_process_proxy_is_a_local_kernel(make: Make) -> None:
    proxy = "enterprise_gateway.services.processproxies.processproxy.LocalProcessProxy"
    spec = KernelSpec(argv=["sleep", "1000"], metadata={"process_proxy": {"class_name": proxy}})
    assert (await launched(make(spec))).has_kernel


async def test_a_provisioner_that_is_not_installed_is_named(make: Make) -> None:
    spec = KernelSpec(argv=["x"], metadata={"kernel_provisioner": {"provisioner_name": "nowhere"}})
    with pytest.raises(ProvisionerMissing, match="'nowhere'"):
        await make(spec).prepare(env=ENV, cwd="/")


class Restorable(StockProvisioner):
    """Like jupyter_client's own, but it knows after loading that it has a process; it tells bytes, too."""

    restored = False
    token: bytes | None = None

    @property
    def has_process(self) -> bool:
        return self.restored or super().has_process

    async def get_provisioner_info(self) -> dict[str, Any]:
        return {**await super().get_provisioner_info(), "token": b"\xff"}

    async def load_provisioner_info(self, provisioner_info: dict[str, Any]) -> None:
        await super().load_provisioner_info(provisioner_info)
        self.token = provisioner_info["token"]
        self.restored = True


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have foreign provisioners installed, as packages bring them."""
    entries = {name: EntryPoint(name, kind) for name, kind in (("stock", StockProvisioner), ("good", Restorable))}
    monkeypatch.setattr(factory.KernelProvisionerFactory, "provisioners", entries)


class EntryPoint:
    def __init__(self, name: str, kind: type) -> None:
        self.name = name
        self.load = lambda: kind


@pytest.mark.usefixtures("stock")
async def test_a_foreign_provisioner_launches_with_the_environment_given(make: Make) -> None:
    spec = KernelSpec(argv=["sleep", "1000"], env={"A": "spec"}, metadata=STOCK.metadata)
    manager = await launched(make(spec), env={**ENV, "A": "request"})
    assert manager.provisioner is not None
    pid = manager.provisioner.pid  # type: ignore[attr-defined]
    assert b"A=request" in read_proc(pid, "environ").split(b"\0")
    assert manager.process is None


@pytest.mark.usefixtures("stock")
async def test_a_foreign_provisioner_that_restores_nothing_is_no_dead_kernel(make: Make) -> None:
    manager = await launched(make(STOCK))
    with pytest.raises(ProvisionerNotRestorable):
        await adopted(manager, make)


@pytest.mark.usefixtures("stock")
async def test_a_foreign_provisioner_gets_back_what_it_told(make: Make) -> None:
    spec = KernelSpec(argv=["sleep", "1000"], metadata={"kernel_provisioner": {"provisioner_name": "good"}})
    manager = await launched(make(spec))
    other = await adopted(manager, make)
    assert isinstance(other.provisioner, Restorable)
    assert other.provisioner.token == b"\xff"
    assert other.provisioner.connection_info == manager.get_connection_info()
    other.provisioner = None  # its wait would poll a process that it does not hold


@pytest.mark.usefixtures("stock")
async def test_abandoning_ends_what_a_foreign_provisioner_launched(make: Make, settings: LocalSettings) -> None:
    manager = await launched(make(STOCK))
    assert manager.provisioner is not None
    pid = manager.provisioner.pid  # type: ignore[attr-defined]
    await manager.abandon()
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        pytest.fail("it lives")
    assert list(settings.directories.root.iterdir()) == []


def test_a_kernelspec_comes_out_of_a_record_as_it_went_in() -> None:
    spec = KernelSpec(argv=["a"], env={"B": "c"}, resource_dir="/r", metadata={"d": 1}, interrupt_mode="message")
    back = spec_from({**spec_to_mapping(spec, "n"), "of_a_newer_version": 1})
    assert spec_to_mapping(back, "n") == spec_to_mapping(spec, "n")
    assert back.resource_dir == "/r"
