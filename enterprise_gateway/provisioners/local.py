"""Kernels as processes of this host; stands in for jupyter_client's `local-provisioner`.

What it adds to that one: the process waits until it is recorded; any replica of the host can take the kernel over from
the recorded information; a signal can't go astray; nothing is removed but on demand; forking stalls no event loop; and
two starts never get the same address. Kernels known to manage it listen on Unix sockets in their own directory, the
others on reserved TCP ports of the loopback interface, encrypted where the kernelspec says that they can.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Instance, Integer

from enterprise_gateway.provisioners import exits
from enterprise_gateway.provisioners.addresses import (
    CONNECTION_FILE,
    choose_addresses,
    choose_keys,
    manages_ipc,
    write_private,
)
from enterprise_gateway.provisioners.child import GatedChild, fork_gated
from enterprise_gateway.provisioners.errors import KernelOnOtherHost, LaunchError, ProvisioningError
from enterprise_gateway.provisioners.exits import ExitStatus
from enterprise_gateway.provisioners.host import HostIdentity
from enterprise_gateway.provisioners.kernel_log import KernelLog
from enterprise_gateway.provisioners.ports import PortReservation
from enterprise_gateway.provisioners.process import KernelProcess
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories

LOG_FILE = "kernel.log"
TERMINATE_GRACE_SECONDS = 5.0

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """What all kernels of one gateway on this host have in common."""

    host: HostIdentity
    directories: RuntimeDirectories
    """Prepared."""
    ipc_kernelspecs: frozenset[str] = field(default_factory=frozenset)
    """Names of kernelspecs that manage Unix sockets, beside those that run ipykernel."""
    kernel_log_max_bytes: int = 10 * 1024 * 1024
    """Past which `trim_log` shortens a kernel's log; 0: never."""


class LocalProvisioner(KernelProvisionerBase):
    """One generation of one kernel, as a process of this host.

    Its life: `pre_launch`, `launch_kernel` (the process exists, and waits), `open_gate` once `process` is recorded;
    or, on another replica of the host, `load_provisioner_info`. Then signals and waits; in the end `end`, and
    `remove_directory` by the act that ended it. `close` gives back what this object holds, and leaves the kernel be.
    """

    settings = Instance(LocalSettings)
    generation = Integer()
    parent: KernelManager

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.directory: Path | None = None
        self.cwd: str | None = None
        self._child: GatedChild | None = None
        self._process: KernelProcess | None = None
        self._process_name: Mapping[str, int] | None = None
        self._ports: PortReservation | None = None

    def _load_config(self, *_: Any, **__: Any) -> None:
        """Find nothing, as there is nothing to configure: the search is dear, and each kernel has one of these."""

    # ------------------------------------------------------------------ the launch

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Make the directory, choose addresses and keys, and write the connection file.

        Args:
            **kwargs: `env`, the whole environment; `cwd`, the working directory; `extra_arguments` of the command.

        Returns:
            What `launch_kernel` takes, with the command as `cmd`.

        Raises:
            LaunchError: This generation was launched before, or lacks its environment.
            OSError: The disk is full, or no port left.
        """
        env: dict[str, str] = self._required(kwargs, "env")
        self.cwd = self._required(kwargs, "cwd")
        ipc = manages_ipc(self.kernel_spec, self.parent.kernel_name, self.settings.ipc_kernelspecs)
        # Known before it is there, so that `abandon` removes it also if this is cancelled in between.
        self.directory = self.settings.directories.path(self.kernel_id, self.generation)
        self._ports = choose_addresses(self.parent, self.directory, ipc=ipc)
        choose_keys(self.parent)
        self.connection_info = self.parent.get_connection_info()
        await asyncio.to_thread(self._lay_out, env.get("JPY_SESSION_NAME", ""))
        cmd = self.parent.format_kernel_cmd(extra_arguments=kwargs.pop("extra_arguments", []))
        # The environment is complete. The super class would write the kernelspec's over the request's.
        env = dict(env)
        self._finalize_env(env)
        env.pop("JPY_PARENT_PID", None)  # with it ipykernel ends when the gateway does
        return {"cmd": _without_tilde(cmd, env), "env": env, "cwd": self.cwd}

    def _lay_out(self, jupyter_session: str) -> None:
        try:
            self.settings.directories.make(self.kernel_id, self.generation)
        except (OSError, ProvisioningError):
            self.directory = None  # it is not this launch's, nor may `abandon` remove it
            raise
        names = {"kernel_name": self.parent.kernel_name, "jupyter_session": jupyter_session}
        key = _text(self.connection_info["key"])
        write_private(self.parent.connection_file, {**self.connection_info, "key": key, **names})

    def _required(self, kwargs: Mapping[str, Any], name: str) -> Any:
        if kwargs.get(name) is None:
            raise LaunchError(f"A kernel must be given its {name}: this gateway's own is never passed on")
        return kwargs[name]

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork the process, which waits for `open_gate`.

        Raises:
            LaunchError: It can't be forked; the message says why.
        """
        env, cwd = self._required(kwargs, "env"), self._required(kwargs, "cwd")
        self._child = await fork_gated(cmd, env=env, cwd=cwd, log=self.log_file)
        self._process = self._child.process
        self._process_name = {"pid": self._child.pid, "start_ticks": self._child.start_ticks}
        return self.connection_info

    def open_gate(self) -> None:
        """Let the process become the kernel. Only once `process` is in the record, by a step that was seen to win.

        Raises:
            LaunchError: There is none at the gate any more.
        """
        if self._child is None:
            raise LaunchError(f"Kernel {self.kernel_id} has no process of this gateway's waiting")
        self._child.open()

    async def abandon(self) -> None:
        """End what this object launched, at its gate or past it, and remove its directory: this act's own work."""
        if self._child is not None:
            await self._child.abandon()
        await self.remove_directory()
        self.close()

    def started(self) -> None:
        """Note that the kernel answers, and so has bound its ports: they need not be held for it any more."""
        if self._ports is not None:
            self._ports.release()

    # ------------------------------------------------------------------ the process

    @property
    def process(self) -> Mapping[str, int] | None:
        """What names this generation's process for good, `{"pid", "start_ticks"}`, alive or dead; None before it is."""
        return self._process_name

    @property
    def has_process(self) -> bool:
        """Whether the process is alive, seen from here."""
        return self._process is not None and self._process.alive()

    @property
    def exit_status(self) -> ExitStatus | None:
        """How the process ended; None while it lives, or before it was."""
        if self._process is not None:
            return self._process.exit_status
        if self._process_name is None:
            return None
        return exits.remembered(**self._process_name) or exits.UNKNOWN

    async def poll(self) -> int | None:
        """Give None while the process lives, else its code as `subprocess` has it, 0 where it is unknown."""
        return None if self.has_process else self._returncode()

    async def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Wait for the death of the process, without polling.

        Returns:
            As `poll`: None when `timeout_seconds` are over.
        """
        if self._process is not None:
            await self._process.wait(timeout_seconds)
        return await self.poll()

    def _returncode(self) -> int:
        status = self.exit_status
        return 0 if status is None else status.returncode

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the process and all that it started; nothing happens if it is gone."""
        if self._process is not None:
            self._process.signal_group(signum)

    async def kill(self, restart: bool = False) -> None:
        """Send SIGKILL to the group."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Send SIGTERM to the group."""
        await self.send_signal(signal.SIGTERM)

    async def end(self, grace_seconds: float = TERMINATE_GRACE_SECONDS) -> ExitStatus:
        """End the process and its group, and see it dead: SIGTERM, and after the grace SIGKILL.

        Raises:
            ProcessStillAlive: It did not die.
        """
        if self._process is None:
            return self.exit_status or exits.UNKNOWN
        return await self._process.end(grace_seconds)

    async def cleanup(self, restart: bool = False) -> None:
        """Give back the ports held for the kernel. Removes nothing: see `remove_directory`."""
        self.started()

    def close(self) -> None:
        """Give back what this object holds: descriptors, ports, a gate that was not opened. The kernel goes on."""
        self.started()
        if self._child is not None:
            self._child.close()
        if self._process is not None:
            self._process.close()
            self._process = None

    # ------------------------------------------------------------------ the directory

    async def remove_directory(self) -> None:
        """Remove connection file, sockets and log. Only for the act that ended this generation.

        Raises:
            OSError: Something in it can't be removed.
        """
        if self.directory is not None:
            recorded = RuntimeDirectories(self.directory.parent)
            await asyncio.to_thread(recorded.remove, self.kernel_id, self.generation)

    @property
    def log_file(self) -> KernelLog:
        """What the process writes to stdout and stderr. Its calls touch the disk."""
        if self.directory is None:
            raise LaunchError(f"Kernel {self.kernel_id} has no directory yet")
        return KernelLog(self.directory / LOG_FILE, self.settings.kernel_log_max_bytes)

    async def output_tail(self, lines: int) -> list[str]:
        """Give the last lines that the process wrote to stdout and stderr; may hold whatever its user printed."""
        return await self._on_log(lambda log: log.tail(lines), [])

    async def trim_log(self) -> bool:
        """Shorten the log if it is too long; its owner calls it now and then. Says whether it was."""
        return await self._on_log(KernelLog.trim, False)

    async def _on_log(self, work: Callable[[KernelLog], T], nothing: T) -> T:
        return nothing if self.directory is None else await asyncio.to_thread(work, self.log_file)

    async def death_reason(self, *, lines: int = 3) -> str:
        """Tell a person how the kernel's process ended, with the last lines it wrote, if they can be read."""
        status = self.exit_status
        sentence = f"The kernel's process {'still runs' if status is None else status.sentence}"
        try:
            said = [line for line in await self.output_tail(lines) if line.strip()]
        except OSError:
            said = []
        return f"{sentence}: {' | '.join(said)}" if said else sentence

    # ------------------------------------------------------------------ for other replicas

    async def get_provisioner_info(self) -> dict[str, Any]:
        """Give all that another replica of this host needs to take the kernel over. JSON-able; holds keys: seal it."""
        info = await super().get_provisioner_info()
        connection = dict(self.connection_info)
        connection["key"] = _text(connection.get("key", ""))
        return info | {
            "connection_info": connection,
            "generation": self.generation,
            "host": self.settings.host.id,
            "directory": None if self.directory is None else str(self.directory),
            "cwd": self.cwd,
            "process": None if self._process_name is None else dict(self._process_name),
        }

    async def load_provisioner_info(self, provisioner_info: dict[str, Any]) -> None:
        """Take over what `get_provisioner_info` gave on this host. The process is found again if it lives.

        Raises:
            KernelOnOtherHost: It was given on another.
        """
        if provisioner_info["host"] != self.settings.host.id:
            raise KernelOnOtherHost(f"Kernel {provisioner_info['kernel_id']} runs on another host")
        await super().load_provisioner_info(provisioner_info)
        connection: dict[str, Any] = dict(provisioner_info["connection_info"])
        connection["key"] = connection["key"].encode()
        self.connection_info = connection  # type: ignore[assignment]
        self.generation = provisioner_info["generation"]
        self.cwd = provisioner_info["cwd"]
        if provisioner_info["directory"] is not None:
            self.directory = Path(provisioner_info["directory"])
            self.parent.connection_file = str(self.directory / CONNECTION_FILE)
        self._process_name = provisioner_info["process"]
        if self._process_name is not None:
            self._process = KernelProcess.find(**self._process_name)

    def resolve_path(self, path: str) -> str | None:
        """Resolve a path as the kernel would, if there is such a file."""
        found = Path(self.cwd or "/") / Path(path).expanduser()
        return str(found.resolve()) if found.exists() else None


def _without_tilde(cmd: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Let `~/` in a command mean the kernel's own home, as jupyter_client allows it; the gateway's may be another."""
    home = env.get("HOME")
    return [os.path.join(home, part[2:]) if home and part.startswith("~/") else part for part in cmd]


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)
