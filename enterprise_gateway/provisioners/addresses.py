"""Where a local kernel listens, and with which keys: chosen anew for each generation, never the same for two."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from enterprise_gateway.provisioners.errors import LaunchError
from enterprise_gateway.provisioners.ports import PortReservation
from enterprise_gateway.provisioners.runtime_dirs import SOCKET_NAME

CONNECTION_FILE = "connection.json"
LOOPBACK = "127.0.0.1"
PORT_NAMES = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
IPC_MODULES = frozenset({"ipykernel", "ipykernel_launcher", "ipykernel.kernelapp"})


def manages_ipc(spec: KernelSpec, name: str, others: frozenset[str]) -> bool:
    """Whether this kernelspec's kernel is known to listen on Unix sockets: it runs ipykernel, or is among `others`.

    Only a Python that is started directly counts: what wraps one (docker, ssh) may not share this file system.
    """
    if name in others:
        return True
    argv = spec.argv
    starts_python = bool(argv) and Path(argv[0]).name.startswith(("python", "pypy"))
    return starts_python and any(flag == "-m" and module in IPC_MODULES for flag, module in pairwise(argv))


def choose_addresses(manager: KernelManager, directory: Path, *, ipc: bool) -> PortReservation | None:
    """Set the manager's transport, address and ports, and where its connection file is to be.

    Returns:
        The TCP ports, held until they are released; None for Unix sockets.

    Raises:
        OSError: No port is left.
    """
    manager.connection_file = str(directory / CONNECTION_FILE)
    manager.transport = "ipc" if ipc else "tcp"
    manager.ip = str(directory / SOCKET_NAME) if ipc else LOOPBACK
    held = None if ipc else PortReservation(LOOPBACK, len(PORT_NAMES))
    numbers: Sequence[int] = range(1, len(PORT_NAMES) + 1) if held is None else held.ports
    for name, number in zip(PORT_NAMES, numbers, strict=True):
        setattr(manager, name, number)
    return held


def choose_keys(manager: KernelManager) -> None:
    """Give the manager CurveZMQ keys, as its `transport_encryption` and its kernelspec say.

    `auto` encrypts TCP only, since nobody but the gateway's user reaches the sockets of the other kind.

    Raises:
        LaunchError: Encryption is required, and the kernelspec does not say that its kernel can.
    """
    policy, able = manager.transport_encryption, manager._kernel_supports_curve_encryption()
    if policy == "required" and not able:
        raise LaunchError(
            "transport_encryption is 'required', and the kernelspec does not say that its kernel can: "
            '"supported_encryption": "curve" in the metadata of its kernel.json'
        )
    if able and (policy == "required" or (policy == "auto" and manager.transport == "tcp")):
        manager.curve_publickey, manager.curve_secretkey = zmq.curve_keypair()


def write_private(file: str, content: Mapping[str, Any]) -> None:
    """Write a connection file anew, for the gateway's user alone.

    Raises:
        OSError: It is there already, or the disk is full.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as target:
        json.dump(content, target, indent=2)
